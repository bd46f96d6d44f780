/**
 * A follower whose process is cut off from the cache nodes, and still reaches the database: another has its place within moments.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ground, hit, type Item, LIVE, service, withPostgres } from '../../tests/support/capture-ground.ts'
import type { Cache } from '../caches/cache.ts'
import { systemClock } from '../clock.ts'
import type { CacheNode } from '../node/node.ts'
import { redisNode } from '../node/redis-node.ts'
import { until } from '../testing/live-redis.ts'
import { startRedisServer } from '../testing/redis-server.ts'
import type { ToxicDoor } from '../testing/toxic-door.ts'
import { startToxicProxy } from '../testing/toxic-proxy.ts'
import type { CapturedCache } from './capture.ts'
import { setUpCapture } from './preparation.ts'

const MODES = ['replication', 'outbox'] as const
const KEYS = Array.from({ length: 10 }, (_, nth) => `k${nth + 1}`)

withPostgres()

/** Three servers; each process has a door of its own to each. */
async function doorsTo(t: TestContext): Promise<(name: string) => Promise<{ doors: ToxicDoor[]; nodes: CacheNode[] }>> {
  const servers = await Promise.all([startRedisServer(), startRedisServer(), startRedisServer()])
  t.after(() => Promise.all(servers.map((server) => server.stop())))
  const proxies = await Promise.all(servers.map(({ url }) => startToxicProxy({ to: url })))
  t.after(() => Promise.all(proxies.map((proxy) => proxy.close())))
  return async (name) => {
    const doors = await Promise.all(proxies.map((proxy) => proxy.door(name)))
    return { doors, nodes: doors.map((door, nth) => redisNode(door.url(), { id: `n${nth}` })) }
  }
}

/** Two processes that capture the same table, of which the first follows and the other waits. @param through what the first tells its cache by */
async function twoProcesses(t: TestContext, mode: (typeof MODES)[number], through?: (cache: Cache<Item>) => CapturedCache) {
  const on = await ground()
  const { database, slot } = on.names
  if (mode === 'outbox') await setUpCapture({ database, tables: [on.table], outbox: true })
  const doorsOf = await doorsTo(t)
  const start = async (name: string) => {
    const { doors, nodes } = await doorsOf(name)
    const { cache, capture, told, tier } = await service(t, on, nodes)
    // Defaults of `every`.
    const captured = name === 'first' && through !== undefined ? { cache: through(cache) } : {}
    const capturing = await capture(captured, { mode, slot, every: undefined })
    const blackhole = () => {
      for (const door of doors) door.set({ blackhole: true })
    }
    const heal = () => Promise.all(doors.map((door) => door.heal()))
    const suspects = new Set<string>()
    tier.on('node:suspect', ({ node }) => void suspects.add(node))
    tier.on('node:up', ({ node }) => void suspects.delete(node))
    return { cache, capturing, told, doors, blackhole, heal, suspects }
  }
  const first = await start('first')
  await first.capturing.caughtUp()
  const second = await start('second')
  assert.deepEqual([first.capturing.stats().state, second.capturing.stats().state], ['following', 'waiting'])
  for (const key of KEYS) await hit(second.cache, key)
  return { on, first, second }
}

async function staleIn(cache: Cache<Item>, n: number): Promise<string[]> {
  const values = await cache.getMany(KEYS)
  return KEYS.filter((key) => values.get(key)?.n !== n)
}

for (const mode of MODES) {
  test(`${mode}: from a follower that is cut off another takes over, and what is committed then is told`, LIVE, async (t) => {
    const { on, first, second } = await twoProcesses(t, mode)
    const cutOffMs = systemClock.monotonic()
    first.blackhole()
    await on.sql(`update items set value = '{"n": 1}'`)
    const committedMs = systemClock.monotonic()
    await until(() => second.capturing.stats().state === 'following')
    const followingMs = systemClock.monotonic()
    await until(async () => (await staleIn(second.cache, 1)).length === 0)
    const toldMs = systemClock.monotonic()
    await second.capturing.caughtUp()
    t.diagnostic(
      `another follows ${Math.round(followingMs - cutOffMs)} ms after the cut, nodes told ${Math.round(toldMs - committedMs)} ms after the commit`,
    )
    assert.ok(toldMs - committedMs < 3_000, `told after ${toldMs - committedMs} ms`)
    assert.equal(first.capturing.stats().state, 'waiting')
    assert.match(first.told.find(({ name }) => name === 'capture:waiting')!.reason!, /most nodes do not answer/)

    await on.sql(`update items set value = '{"n": 2}'`)
    await second.capturing.caughtUp()
    // What the first had sent comes now.
    await first.heal()
    await until(() => first.suspects.size === 0)
    await until(async () => (await staleIn(first.cache, 2)).length === 0)
    await on.sql(`update items set value = '{"n": 3}'`)
    await second.capturing.caughtUp()
    assert.deepEqual([await staleIn(first.cache, 3), await staleIn(second.cache, 3)], [[], []])
    const states = [first, second].map(({ capturing }) => [capturing.stats().state, capturing.stats().losses])
    assert.deepEqual(states, [
      ['waiting', 0],
      ['following', 0],
    ])
  })

  test(`${mode}: the place is free before calls to nodes have ended, and what comes of them then counts for nothing`, LIVE, async (t) => {
    const answer = Promise.withResolvers<void>()
    // Else what failed would not come to its end.
    t.signal.addEventListener('abort', () => answer.resolve())
    let asked = 0
    const late = (cache: Cache<Item>): CapturedCache => ({
      name: cache.name,
      async applyChanges(changes, options) {
        asked++
        await answer.promise
        return cache.applyChanges(changes, options)
      },
      deleteByTag: (tags) => cache.deleteByTag(tags),
      clear: () => cache.clear(),
    })
    const { on, first, second } = await twoProcesses(t, mode, late)
    await on.sql(`update items set value = '{"n": 1}'`)
    await until(() => asked > 0)
    const cutOffMs = systemClock.monotonic()
    first.blackhole()
    await until(() => second.capturing.stats().state === 'following')
    const tookMs = systemClock.monotonic() - cutOffMs
    await second.capturing.caughtUp()
    assert.deepEqual(await staleIn(second.cache, 1), [])
    await on.sql(`update items set value = '{"n": 2}'`)
    await second.capturing.caughtUp()
    await first.heal()
    answer.resolve()
    await until(() => first.suspects.size === 0)
    await until(async () => (await staleIn(first.cache, 2)).length === 0)
    const { state, changes, owed } = first.capturing.stats()
    assert.deepEqual([state, changes, owed], ['waiting', 0, 0])
    assert.ok(tookMs < 3_000, `another follows after ${tookMs} ms`)
  })

  test(`${mode}: what a node has missed of one follower it is told by the next`, LIVE, async (t) => {
    const { on, first, second } = await twoProcesses(t, mode)
    // One node alone is no cut: its changes are owed to it, and those that follow are told to the others.
    first.doors[0]!.set({ blackhole: true })
    await on.sql(`update items set value = '{"n": 1}'`)
    await until(() => first.capturing.stats().owed > 0)
    await on.sql(`update items set value = '{"n": 2}' where key in ('k9', 'k10')`)
    await until(() => first.capturing.stats().changes === KEYS.length + 2)
    first.blackhole()
    await until(() => second.capturing.stats().state === 'following')
    await second.capturing.caughtUp()
    const values = await second.cache.getMany(KEYS)
    assert.deepEqual(
      KEYS.map((key) => values.get(key)?.n),
      [1, 1, 1, 1, 1, 1, 1, 1, 2, 2],
    )
    assert.equal(first.capturing.stats().state, 'waiting')
    // What was just being told is owed until its calls have failed.
    await until(() => first.capturing.stats().owed === 0)
    assert.equal(second.capturing.stats().changes, KEYS.length + 2, 'all that was told while something was owed')
  })

  test(`${mode}: a follower stays while whoever waits is cut off too, and goes when that is well`, LIVE, async (t) => {
    const { on, first, second } = await twoProcesses(t, mode)
    second.blackhole()
    await until(() => second.suspects.size === 3)
    first.blackhole()
    await on.sql(`update items set value = '{"n": 1}'`)
    // Told once a second at most.
    await until(() => first.told.filter(({ name }) => name === 'capture:failed').length === 2)
    assert.deepEqual(
      first.told.map(({ name }) => name).filter((name) => name !== 'capture:failed'),
      ['capture:started'],
    )
    await second.heal()
    await until(() => second.capturing.stats().state === 'following')
    await second.capturing.caughtUp()
    assert.deepEqual(await staleIn(second.cache, 1), [])
  })
}
