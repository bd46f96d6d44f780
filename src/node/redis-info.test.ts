import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventName } from '../events.ts'
import { parseInfo, SettingsJudge } from './redis-info.ts'

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
