import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  cacheAside,
  createTier,
  type Duration,
  ketamaRing,
  memoryStore,
  readThrough,
  redisNode,
  type Tier,
  writeThrough,
} from '../src/index.ts'
import { until } from '../src/testing/live-redis.ts'
import { type RedisServer, startRedisServer } from '../src/testing/redis-server.ts'

/** A tier on five real servers: what only shows with processes that can be killed, stopped and filled. */

let servers: RedisServer[] = []
before(async () => {
  servers = await Promise.all(Array.from({ length: 5 }, () => startRedisServer()))
})
after(async () => {
  await Promise.all(servers.map((server) => server.stop()))
})

/** Where a test is not about time, a busy machine is given some. */
const PATIENT = { call: '10s' } as const

const ids = ['a', 'b', 'c', 'd', 'e']

async function withTier(work: (tier: Tier) => Promise<void>, timeout: Duration = '50ms'): Promise<void> {
  const nodes = servers.map((server, at) => redisNode(server.url, { id: ids[at]!, timeout }))
  const tier = await createTier({ nodes })
  try {
    await work(tier)
  } finally {
    await tier.close()
  }
}

const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`)

test('a thousand values written in one call are read back in one call, each from three nodes', async () => {
  await withTier(async (tier) => {
    const cache = tier.cache<{ n: number }>('bulk', {
      strategy: cacheAside(),
      ttl: '1m',
      consistency: { writes: 'all' },
      deadlines: PATIENT,
    })
    const results = await cache.setMany(keys(1_000).map((key, n) => [key, { n }] as const))
    assert.ok([...results.values()].every((result) => result.ok))
    const read = await cache.getMany(keys(1_000))
    assert.equal(read.size, 1_000)
    assert.deepEqual(read.get('k7'), { n: 7 })
    const entries = (await tier.nodes()).reduce((sum, node) => sum + node.entries!, 0)
    // And when the cache was last cleared, on three nodes; and each node's record and lock.
    assert.equal(entries, 3_003 + 2 * 5)
    await cache.deleteMany(keys(1_000))
    assert.equal((await cache.getMany(keys(1_000))).size, 0)
  }, '2s')
})

test('two processes, each with its own tier, see each other’s writes, and the newest stays', async () => {
  await withTier(async (one) => {
    await withTier(async (other) => {
      const [mine, yours] = [one, other].map((tier) =>
        tier.cache<string>('shared', { strategy: cacheAside(), ttl: '1m', deadlines: PATIENT }),
      )
      await mine!.set('x', 'mine')
      assert.equal(await yours!.get('x'), 'mine')
      await yours!.set('x', 'yours')
      assert.equal(await mine!.get('x'), 'yours')
      await mine!.delete('x')
      assert.equal(await yours!.get('x'), undefined)
    })
  })
})

test('a value expires on the nodes', async () => {
  await withTier(async (tier) => {
    const cache = tier.cache<string>('ttl', {
      strategy: cacheAside(),
      ttl: '1h',
      grace: '1h',
      jitter: 0,
      consistency: { writes: 'all' },
      deadlines: PATIENT,
    })
    await cache.set('x', 'v')
    const { Redis } = await import('ioredis')
    const ttls = await Promise.all(
      servers.map(async (server) => {
        const client = new Redis(server.url)
        const ttlMs = await client.pttl('rt:ttl:x')
        client.disconnect()
        return ttlMs
      }),
    )
    const held = ttls.filter((ttlMs) => ttlMs !== -2)
    assert.equal(held.length, 3)
    for (const ttlMs of held) assert.ok(ttlMs > 7_100_000 && ttlMs <= 7_200_000)
  })
})

test('while a node is killed every read is still a hit, none fails, and the node is told down and up again', async () => {
  await withTier(async (tier) => {
    const store = memoryStore<number>({ rows: keys(300).map((key, n) => [key, n] as const) })
    const cache = tier.cache<number>('kill', {
      strategy: writeThrough(store),
      ttl: '1m',
      consistency: { writes: 'all' },
      deadlines: PATIENT,
    })
    const told: string[] = []
    tier.on('node:down', ({ node }) => told.push(`down ${node}`))
    const up = new Promise<void>((resolve) => void tier.on('node:up', ({ node }) => resolve(void told.push(`up ${node}`))))
    await cache.setMany(keys(300).map((key, n) => [key, n] as const))
    const before = store.stats()[0]!.queries
    const victim = servers[1]!
    await victim.kill()
    for (let round = 0; round < 3; round++) {
      const values = await Promise.all(keys(300).map((key) => cache.get(key)))
      assert.deepEqual(
        values,
        keys(300).map((_, n) => n),
      )
      assert.equal((await cache.getMany(keys(300))).size, 300)
    }
    assert.equal(store.stats()[0]!.queries, before)
    assert.equal(cache.metrics().errors, 0)
    // Writes are acknowledged by the quorum that is left.
    const results = await cache.setMany(keys(300).map((key) => [key, 0] as const))
    assert.ok([...results.values()].every((result) => result.ok))
    servers[1] = await startRedisServer({ port: victim.port })
    await up
    assert.deepEqual(told.slice(0, 2), ['down b', 'up b'])
  })
})

test('a node that is stopped in mid-air costs no read its answer', async () => {
  await withTier(async (tier) => {
    const cache = tier.cache<number>('freeze', { strategy: cacheAside(), ttl: '1m', consistency: { writes: 'all' }, deadlines: PATIENT })
    await cache.setMany(keys(200).map((key, n) => [key, n] as const))
    servers[2]!.pause()
    try {
      for (let round = 0; round < 2; round++) {
        const values = await Promise.all(keys(200).map((key) => cache.get(key)))
        assert.ok(values.every((value, n) => value === n))
      }
    } finally {
      servers[2]!.resume()
    }
    assert.equal(cache.metrics().hits, 400)
  })
})

test('when every node is down reads are answered by the store, writes reach it, and nothing waits long', async () => {
  const own = await Promise.all([startRedisServer(), startRedisServer(), startRedisServer()])
  const tier = await createTier({ nodes: own.map((server, at) => redisNode(server.url, { id: ids[at]! })) })
  try {
    const store = memoryStore<number>({ rows: [['x', 1]] })
    const cache = tier.cache<number>('dark', { strategy: writeThrough(store), ttl: '1m' })
    const bypassed: string[] = []
    tier.on('cache:bypassed', ({ operation }) => bypassed.push(operation))
    await Promise.all(own.map((server) => server.kill()))
    assert.equal(await cache.get('x', { deadline: '1s' }), 1)
    await cache.set('x', 2)
    assert.equal((await store.load(['x'])).rows.get('x')!.value, 2)
    await until(() => bypassed.length >= 2)
    assert.deepEqual(bypassed, ['read', 'write'])
    assert.equal(cache.metrics().bypassed, 2)
    assert.ok((await tier.nodes()).every((node) => !node.up))
  } finally {
    await tier.close()
  }
})

test('a tier starts while a node is away, tells so, and serves from the others', async () => {
  const gone = await startRedisServer()
  await gone.kill()
  const nodes = [redisNode(gone.url, { id: 'gone' }), ...servers.slice(3, 5).map((server, at) => redisNode(server.url, { id: ids[at]! }))]
  const tier = await createTier({ nodes })
  try {
    const cache = tier.cache<number>('start', { strategy: readThrough(memoryStore({ rows: [['x', 1]] })), ttl: '1m', deadlines: PATIENT })
    assert.equal(await cache.get('x'), 1)
    assert.deepEqual(
      (await tier.nodes()).map((node) => [node.id, node.up]),
      [
        ['gone', false],
        ['a', true],
        ['b', true],
      ],
    )
  } finally {
    await tier.close()
  }
})

test('foreign bytes, a list and a truncated entry under a key are misses that the next fill mends, or leaves be', async () => {
  await withTier(async (tier) => {
    const { Redis } = await import('ioredis')
    const clients = servers.map((server) => new Redis(server.url))
    const store = memoryStore<string>({ rows: ['text', 'list', 'cut'].map((key) => [key, 'right'] as const) })
    const cache = tier.cache<string>('odd', { strategy: readThrough(store), ttl: '1m', deadlines: PATIENT })
    for (const client of clients) {
      await client.set('rt:odd:text', 'hello')
      await client.rpush('rt:odd:list', 'a')
    }
    assert.equal(await cache.get('text'), 'right')
    assert.equal(await cache.get('list'), 'right')
    assert.equal(await cache.get('cut'), 'right')
    for (const client of clients) {
      const whole = await client.getBuffer('rt:odd:cut')
      if (whole !== null) await client.set('rt:odd:cut', whole.subarray(0, whole.length - 3))
      // What somebody else keeps under the name is not ours to remove.
      if (await client.exists('rt:odd:list')) assert.equal(await client.type('rt:odd:list'), 'list')
      client.disconnect()
    }
    const rejected: string[] = []
    tier.on('entry:rejected', ({ reason }) => rejected.push(reason))
    assert.equal(await cache.get('cut'), 'right')
    await until(() => rejected.length > 0)
    assert.match(rejected[0]!, /^corrupt/)
  })
})

test('a plain cache on a ketama ring lays ten thousand values where every other tier of it reads them', async () => {
  const nodes = () => servers.map((server, at) => redisNode(server.url, { id: ids[at]!, label: `cache-${at}`, weight: at + 1 }))
  const one = await createTier({ nodes: nodes(), ring: ketamaRing(), replicas: 1 })
  const other = await createTier({ nodes: nodes().toReversed(), ring: ketamaRing(), replicas: 1 })
  try {
    const options = { strategy: cacheAside<string>(), ttl: '1m', keys: 'plain', deadlines: PATIENT } as const
    const [written, read] = [one.cache('plain', options), other.cache('plain', options)]
    await written.setMany(keys(10_000).map((key) => [key, `value of ${key}`] as const))
    assert.equal((await read.getMany(keys(10_000))).size, 10_000)
  } finally {
    await Promise.all([one.close(), other.close()])
  }
})
