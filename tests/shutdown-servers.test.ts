import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { cacheAside, createTier, memoryStore, RingtailError, redisNode, systemClock, writeThrough } from '../src/index.ts'
import { flakyStore } from '../src/testing/index.ts'
import { type RedisServer, startRedisServer } from '../src/testing/redis-server.ts'

/** A tier on real servers, closed in the midst of writes that come by the clock. */

const LIVE = { timeout: 60_000 }
/** Writes that come every 10 ms. */
const AT_ONCE = 10
const ROUNDS = 120
/** After so many of them. */
const CLOSED_AT = 80

let servers: readonly RedisServer[] = []
before(async () => {
  servers = await Promise.all([1, 2, 3].map(() => startRedisServer()))
})
after(async () => {
  await Promise.all(servers.map((server) => server.stop()))
})

const nodes = () => servers.map(({ url }, nth) => redisNode(url, { id: `n${nth}` }))
const pause = (ms: number) => new Promise<void>((resolve) => void systemClock.after(ms, resolve, { keepAlive: true }))
const resources = () => process.getActiveResourcesInfo().filter((name) => /TCP|Timeout|Immediate/.test(name))

test(
  'a tier closed under 1,000 writes a second has each acknowledged one on the nodes, refuses the others with typed errors, and leaves nothing',
  LIVE,
  async () => {
    const store = flakyStore(memoryStore<number>(), { seed: 5, odds: { delay: 0.5, delayMs: 15, late: 0.5, lateMs: 15 } })
    const tier = await createTier({ nodes: nodes() })
    const cache = tier.cache<number>('n', { strategy: writeThrough(store), ttl: '1h' })
    const keys = Array.from({ length: ROUNDS * AT_ONCE }, (_, nth) => `k${nth}`)
    await cache.setMany(keys.map((key) => [key, 1]))
    const acknowledged: string[] = []
    const refused: unknown[] = []
    const write = (key: string): Promise<unknown> =>
      cache.set(key, 2).then(
        () => acknowledged.push(key),
        (error) => refused.push(error instanceof RingtailError ? error.code : error),
      )
    const writes: Promise<unknown>[] = []
    let closing: Promise<void> | undefined
    for (let round = 0; round < ROUNDS; round++) {
      if (round === CLOSED_AT) closing = tier.close()
      writes.push(...keys.slice(round * AT_ONCE, (round + 1) * AT_ONCE).map(write))
      await pause(10)
    }
    await Promise.all([closing, ...writes])
    await store.mishaps.close()
    assert.deepEqual(resources(), [])
    // Those that came after; a starved machine sheds some of those before.
    assert.equal(refused.filter((code) => code === 'CLOSED').length, (ROUNDS - CLOSED_AT) * AT_ONCE)
    assert.deepEqual(
      refused.filter((code) => typeof code !== 'string'),
      [],
    )
    assert.ok(acknowledged.length > (CLOSED_AT * AT_ONCE) / 2, `${acknowledged.length} acknowledged`)
    const other = await createTier({ nodes: nodes() })
    const found = await other.cache<number>('n', { strategy: cacheAside(), ttl: '1h' }).getMany(acknowledged)
    await other.close()
    assert.deepEqual(
      acknowledged.filter((key) => found.get(key) !== 2),
      [],
    )
    assert.deepEqual(resources(), [])
  },
)
