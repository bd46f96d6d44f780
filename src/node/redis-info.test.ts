import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventName } from '../events.ts'
import { parseInfo, SettingsJudge, statsOf } from './redis-info.ts'

/** What is told of these settings, one after the other. */
function toldOf(...settings: readonly string[]): EventName[][] {
  const judge = new SettingsJudge('n')
  return settings.map((text) => {
    const told: EventName[] = []
    judge.judge(parseInfo(text), (name) => void told.push(name))
    return told
  })
}

const bounded = (policy: string): string => `# Memory\r\nmaxmemory:1000000\r\nmaxmemory_policy:${policy}\r\n`

test('what is wrong and what could be better is told once, and again when it is something else', () => {
  const [right, fair, wrong] = ['volatile-lfu', 'volatile-lru', 'noeviction'].map(bounded) as [string, string, string]
  assert.deepEqual(toldOf(fair, fair, right, fair), [['node:advised'], [], [], ['node:advised']])
  assert.deepEqual(toldOf(wrong, wrong, fair, wrong), [['node:misconfigured'], [], ['node:advised'], ['node:misconfigured']])
  assert.deepEqual(toldOf('maxmemory:0\nmaxmemory_policy:volatile-lfu', 'maxmemory:0\nmaxmemory_policy:noeviction'), [
    ['node:advised'],
    ['node:advised'],
  ])
})

test('what a server does not say is not judged', () => {
  assert.deepEqual(toldOf('', 'run_id:1', 'maxmemory:1000', bounded('volatile-lfu')), [[], [], [], []])
})

test('lookups are told, and how many of them were of control records and hints, as far as the server says', () => {
  const text =
    'keyspace_hits:70\nkeyspace_misses:20\ncmdstat_get:calls=12,usec=20,usec_per_call=1.6\ncmdstat_zrange:calls=3\ncmdstat_zscore:calls=4,usec=1\ncmdstat_getrange:calls=9,usec=1'
  const { hits, misses, controlReads, hintReads } = statsOf(parseInfo(text), 0)
  assert.deepEqual([hits, misses, controlReads, hintReads], [70, 20, 12, 7])
  assert.equal(statsOf(parseInfo('keyspace_hits:70'), 0).controlReads, 0)
})
