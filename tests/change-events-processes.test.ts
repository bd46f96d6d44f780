import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import type { CacheChange } from '../src/invalidation/change-feed.ts'
import { server, turn, until } from '../src/testing/live-redis.ts'
import { type ChangingOrder, openNumbers } from './support/changing-worker.ts'
import { ForkedWorker } from './support/forked-worker.ts'

/** Changes made by another process, on real servers: heard from the nodes, and over a bus. */

const LIVE = { timeout: 90_000 }
const WITHIN_MS = 60_000

async function twoProcesses(t: TestContext, how: 'tracking' | 'bus') {
  const servers = await Promise.all([0, 1, 2].map(() => server(t)))
  const bus = how === 'bus' ? await server(t) : undefined
  const setting = { urls: servers.map(({ url }) => url), busUrl: bus?.url }
  const { tier, cache } = await openNumbers(setting)
  t.after(() => tier.close())
  const worker = new ForkedWorker<ChangingOrder>(new URL('./support/changing-worker.ts', import.meta.url))
  t.after(() => worker.close())
  await worker.ask({ do: 'open', setting }, WITHIN_MS)
  const order = (next: ChangingOrder): Promise<void> => worker.ask(next, WITHIN_MS)
  /** Breaks every connection by which this process and the other hear of changes. */
  const cut = async (): Promise<void> => {
    for (const { url } of bus === undefined ? servers : [bus]) {
      const admin = new Redis(url)
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      admin.disconnect()
    }
  }
  return { cache, order, cut, servers, bus }
}

for (const how of ['tracking', 'bus'] as const) {
  test(`what another process changes is told here by key, tag and cache, by ${how}`, LIVE, async (t) => {
    const { cache, order } = await twoProcesses(t, how)
    const told = { key: new Set<string>(), tag: new Set<string>(), all: new Set<string>() }
    const into = (names: Set<string>) => (change: CacheChange) => {
      names.add(
        change.event === 'entry:changed' ? change.key : change.event === 'group:deleted' ? `${change.kind} ${change.name}` : 'missed',
      )
    }
    // Where a connection is lost on the way, that is told instead.
    const heard = (names: ReadonlySet<string>, name: string): boolean => names.has(name) || names.has('missed')
    await cache.subscribe({ keys: ['b'] }, into(told.key))
    await cache.subscribe({ tags: ['red'] }, into(told.tag))
    await cache.subscribe({ all: true }, into(told.all))
    await order({ do: 'set', keys: ['a', 'b'], value: 1, tags: ['red', 'blue'] })
    await until(() => heard(told.key, 'b') && heard(told.all, 'a') && heard(told.all, 'b'))
    assert.deepEqual(
      [...told.tag].filter((name) => name !== 'missed'),
      [],
    )
    told.key.clear()
    await order({ do: 'delete', key: 'b' })
    await until(() => heard(told.key, 'b'))
    await order({ do: 'deleteByTag', tag: 'red' })
    await until(() => heard(told.tag, 'tag red') && heard(told.key, 'tag red') && heard(told.all, 'tag red'))
    await order({ do: 'clear' })
    await until(() => heard(told.tag, 'all undefined') && heard(told.all, 'all undefined'))
    if ([...told.key, ...told.tag, ...told.all].includes('missed')) {
      t.diagnostic('a connection was lost on the way: what was missed was told')
      return
    }
    assert.deepEqual([...told.key].sort(), ['all undefined', 'b', 'tag red'])
    assert.deepEqual([...told.tag].sort(), ['all undefined', 'tag red'])
  })

  test(
    `copies kept by what a subscription tells are right in the end, though connections break all the while, by ${how}`,
    LIVE,
    async (t) => {
      const { cache, order, cut } = await twoProcesses(t, how)
      const keys = Array.from({ length: 20 }, (_, nth) => `k${nth}`)
      const copies = new Map<string, number | undefined>()
      const doubts = new Map<string, number>()
      const drop = (key: string): void => {
        copies.delete(key)
        doubts.set(key, (doubts.get(key) ?? 0) + 1)
      }
      let missed = 0
      await cache.subscribe({ keys }, (change) => {
        if (change.event === 'entry:changed') drop(change.key)
        else for (const key of keys) drop(key)
        if (change.event === 'changes:missed') missed++
      })
      /** As anybody may keep copies: what was doubted during the read is not kept. */
      const read = async (key: string): Promise<void> => {
        if (copies.has(key)) return
        const before = doubts.get(key)
        const value = await cache.get(key)
        if (doubts.get(key) === before) copies.set(key, value)
      }
      const rounds = 30
      let writing = true
      const reading = (async () => {
        for (; writing; await turn()) for (const key of keys) await read(key)
      })()
      for (let round = 1; round <= rounds; round++) {
        const written = order({ do: 'set', keys, value: round })
        if (round % 5 === 0) await cut()
        await written
      }
      writing = false
      await reading
      await until(async () => {
        for (const key of keys) await read(key)
        return keys.every((key) => copies.get(key) === rounds)
      })
      assert.ok(missed > 0)
    },
  )
}

test('a subscription made while a node is away begins all the same, says so, and says when the node is heard', LIVE, async (t) => {
  const { cache, servers } = await twoProcesses(t, 'tracking')
  await Promise.all(servers.slice(1).map((each) => each.kill()))
  const reasons: string[] = []
  await cache.subscribe({ keys: ['a'] }, (change) => void (change.event === 'changes:missed' && reasons.push(change.reason)))
  await until(() => reasons.some((reason) => /not all nodes/.test(reason)))
  const before = reasons.length
  for (const { port } of servers.slice(1)) await server(t, { port })
  await until(() => reasons.length > before)
})
