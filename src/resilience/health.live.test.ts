import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock, type Timer } from '../clock.ts'
import { createTier, type Tier } from '../create-tier.ts'
import type { EventName } from '../events.ts'
import { redisNode } from '../node/redis-node.ts'
import { cacheAside } from '../strategy/cache-aside.ts'
import { LIVE, server, until } from '../testing/live-redis.ts'
import type { RedisServer } from '../testing/redis-server.ts'

/** The machine may have other things to do. */
const PATIENT = { call: '10s', try: '2s' } as const
const EVENTS: readonly EventName[] = ['node:up', 'node:suspect', 'node:down']

interface Heard {
  readonly event: string
  readonly node: string
  readonly atMs: number
}

/** A tier of real servers n0, n1 …, and what it told of them when. */
async function fleet(t: TestContext, size: number): Promise<{ tier: Tier; servers: RedisServer[]; told: Heard[] }> {
  const servers = await Promise.all(Array.from({ length: size }, () => server(t)))
  const nodes = servers.map(({ url }, nth) => redisNode(url, { id: `n${nth}` }))
  const tier = await createTier({ nodes, replicas: 3 })
  t.after(() => tier.close())
  const told: Heard[] = []
  for (const name of EVENTS) {
    tier.on(name, (payload) => void told.push({ event: name, node: (payload as { node: string }).node, atMs: systemClock.monotonic() }))
  }
  return { tier, servers, told }
}

/** For how long in all the test's process did not come to run, though it was due. */
function heldUpMs(t: TestContext): () => number {
  let sumMs = 0
  let dueMs = systemClock.monotonic() + 5
  const look = (): Timer =>
    systemClock.after(5, () => {
      sumMs += Math.max(0, systemClock.monotonic() - dueMs)
      dueMs = systemClock.monotonic() + 5
      timer = look()
    })
  let timer = look()
  t.after(() => timer.cancel())
  return () => sumMs
}

const keys = Array.from({ length: 100 }, (_, nth) => `key ${nth}`)

test('a stopped server that still takes connections is found within a second, and then no read waits for it', LIVE, async (t) => {
  const { tier, servers, told } = await fleet(t, 5)
  const cache = tier.cache<number>('c', { strategy: cacheAside(), ttl: '10m', consistency: { writes: 'all' }, deadlines: PATIENT })
  await cache.setMany(keys.map((key, nth) => [key, nth] as const))
  const heldUp = heldUpMs(t)
  const stoppedMs = systemClock.monotonic()
  servers[2]!.pause()
  // Nobody reads or writes: only pings can find it.
  const found = (event: string): Heard | undefined => told.find((each) => each.event === event && each.node === 'n2')
  await until(() => found('node:down') !== undefined)
  const tookMs = found('node:down')!.atMs - stoppedMs
  t.diagnostic(`down after ${Math.round(tookMs)} ms, in ${Math.round(heldUp())} of which this process was kept from running`)
  assert.ok(tookMs - heldUp() <= 1_000, `${tookMs} ms`)
  const errors = (): number => cache.metrics().byNode.n2?.errors ?? 0
  const isDown = async (): Promise<boolean> => (await tier.nodes())[2]!.state === 'down'
  await until(async () => {
    const before = errors()
    const values = await Promise.all(keys.map((key) => cache.get(key)))
    assert.deepEqual(
      values,
      keys.map((_, nth) => nth),
    )
    // It is not where others have been slow to answer a ping, which says that it may be this process.
    return errors() === before && (await isDown())
  })
  servers[2]!.resume()
  await until(() => found('node:up') !== undefined)
})

test('when every server stops none is ejected, and reads are answered again as soon as they go on', LIVE, async (t) => {
  const { tier, servers } = await fleet(t, 5)
  const cache = tier.cache<number>('c', { strategy: cacheAside(), ttl: '10m', consistency: { writes: 'all' }, deadlines: PATIENT })
  await cache.setMany(keys.map((key, nth) => [key, nth] as const))
  for (const each of servers) each.pause()
  const states = async (): Promise<string> => (await tier.nodes()).map(({ state }) => state).join(' ')
  await until(async () => (await states()) === 'suspect suspect suspect suspect suspect')
  // Another second: a node that is silent alone would be down by then.
  const suspectMs = systemClock.monotonic()
  await until(() => systemClock.monotonic() - suspectMs > 1_000)
  assert.equal(await states(), 'suspect suspect suspect suspect suspect')
  const resumedMs = systemClock.monotonic()
  for (const each of servers) each.resume()
  const found = (): Promise<number> =>
    cache.getMany(keys).then(
      ({ size }) => size,
      () => 0,
    )
  await until(async () => (await found()) === keys.length)
  const tookMs = systemClock.monotonic() - resumedMs
  t.diagnostic(`all read after ${Math.round(tookMs)} ms`)
  assert.ok(tookMs <= 2_000, `${tookMs} ms`)
  await until(async () => (await tier.nodes()).every(({ up }) => up))
})
