import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { createTier } from './create-tier.ts'
import { ConfigurationError, StoreError } from './errors.ts'
import { prometheusText } from './metrics/prometheus.ts'
import { memoryNode } from './node/memory-node.ts'
import { hashRing } from './ring/hash-ring.ts'
import { ketamaRing } from './ring/ketama.ts'
import { memoryStore } from './store/memory-store.ts'
import { cacheAside } from './strategy/cache-aside.ts'
import { readThrough } from './strategy/read-through.ts'
import { writeThrough } from './strategy/write-through.ts'
import { FakeClock } from './testing/fake-clock.ts'
import { seededRandom } from './testing/seeded-random.ts'
import type { TierOptions } from './tier-options.ts'

const five = () => ['a', 'b', 'c', 'd', 'e'].map((id) => memoryNode({ id }))
const aside = { strategy: cacheAside<number>(), ttl: '1m' } as const
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

async function tierOf(options: Partial<TierOptions> = {}) {
  const clock = new FakeClock()
  const nodes = options.nodes ?? five()
  const tier = await createTier({ clock, random: seededRandom(7), ...options, nodes })
  return { tier, clock, nodes }
}

async function holdersOf(nodes: readonly ReturnType<typeof memoryNode>[], key: string): Promise<string[]> {
  const held = await Promise.all(nodes.map(async (node) => ((await node.getMany([key]))[0] === undefined ? undefined : node.id)))
  return held.filter((id) => id !== undefined)
}

test('each key lives on three nodes by default', async () => {
  const { tier, nodes } = await tierOf()
  const cache = tier.cache('n', { ...aside, consistency: { writes: 'all' } })
  for (let i = 0; i < 50; i++) {
    await cache.set(`k${i}`, i)
    assert.equal((await holdersOf(nodes, `rt:n:k${i}`)).length, 3)
  }
  await tier.close()
})

test('a cache may have its own replicas and its own nodes', async () => {
  const { tier, nodes } = await tierOf()
  const cache = tier.cache('n', { ...aside, replicas: 2, nodes: ['b', 'd', 'e'], consistency: { writes: 'all' } })
  const used = new Set<string>()
  for (let i = 0; i < 50; i++) {
    await cache.set(`k${i}`, i)
    const holders = await holdersOf(nodes, `rt:n:k${i}`)
    assert.equal(holders.length, 2)
    for (const holder of holders) used.add(holder)
  }
  assert.deepEqual([...used].sort(), ['b', 'd', 'e'])
  await tier.close()
})

test('owners of a key lie in distinct zones as far as there are any', async () => {
  const nodes = ['a1', 'a2', 'b1', 'b2', 'c1', 'c2'].map((id) => memoryNode({ id, zone: id[0]! }))
  const { tier } = await tierOf({ nodes })
  const cache = tier.cache('n', { ...aside, consistency: { writes: 'all' } })
  for (let i = 0; i < 50; i++) {
    await cache.set(`k${i}`, i)
    const zones = (await holdersOf(nodes, `rt:n:k${i}`)).map((id) => id[0])
    assert.deepEqual(zones.sort(), ['a', 'b', 'c'])
  }
  await tier.close()
})

test('two tiers with the same nodes, whatever their order, read what the other wrote', async () => {
  const nodes = five()
  const one = await createTier({ nodes })
  const other = await createTier({ nodes: nodes.toReversed() })
  const [written, read] = [one.cache('n', aside), other.cache('n', aside)]
  for (let i = 0; i < 50; i++) await written.set(`k${i}`, i)
  assert.equal((await read.getMany(Array.from({ length: 50 }, (_, i) => `k${i}`))).size, 50)
  assert.equal(read.metrics().hits, 50)
  await one.close()
})

test('keys of one cache cannot name those of another', async () => {
  const { tier } = await tierOf()
  const [one, two] = [tier.cache('a', aside), tier.cache('a.b', aside)]
  await one.set('b:x', 1)
  await one.set('.b:x', 2)
  assert.equal(await two.get('x'), undefined)
  await tier.close()
})

test('a plain cache writes values as other clients do and reads what they wrote', async () => {
  const { tier, nodes } = await tierOf({ ring: ketamaRing() })
  const cache = tier.cache<{ name: string }>('legacy', { strategy: cacheAside(), ttl: '1m', keys: 'plain', replicas: 1 })
  await cache.set('user:1', { name: 'Mouse' })
  const [holder] = await holdersOf(nodes, 'user:1')
  const node = nodes.find((each) => each.id === holder)!
  assert.equal(String((await node.getMany(['user:1']))[0]), '{"name":"Mouse"}')
  await node.apply([{ op: 'set', key: 'user:1', bytes: Buffer.from('{"name":"Keyboard"}'), ttlMs: 0 }])
  assert.deepEqual(await cache.get('user:1'), { name: 'Keyboard' })
  await cache.delete('user:1')
  assert.deepEqual(await holdersOf(nodes, 'user:1'), [])
  await assert.rejects(
    cache.update('user:1', () => ({ name: 'x' })),
    { code: 'UNSUPPORTED' },
  )
  await tier.close()
})

test('`__proto__` as a key and in a value is data', async () => {
  const { tier } = await tierOf()
  const cache = tier.cache<object>('n', { strategy: cacheAside(), ttl: '1m' })
  const value = JSON.parse('{"__proto__": {"admin": true}}')
  await cache.set('__proto__', value)
  const read = await cache.get('__proto__')
  assert.deepEqual(Object.keys(read!), ['__proto__'])
  assert.equal(({} as { admin?: boolean }).admin, undefined)
  assert.equal((await cache.getMany(['__proto__'])).size, 1)
  await tier.close()
})

test('a node that is closed under the tier is read around', async () => {
  const { tier, nodes } = await tierOf()
  const store = memoryStore<number>({ rows: Array.from({ length: 100 }, (_, i) => [`k${i}`, i] as const) })
  const cache = tier.cache('n', { strategy: writeThrough(store), ttl: '1m' })
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`)
  await cache.getMany(keys)
  await settled()
  await nodes[0]!.close()
  const before = store.stats()[0]!.queries
  for (const key of keys) assert.equal((await cache.getWithOutcome(key)).outcome, 'hit')
  assert.equal(store.stats()[0]!.queries, before)
  const report = (await tier.nodes()).find((each) => each.id === 'a')!
  assert.ok(report.errors > 0)
  assert.equal(report.up, false)
  await tier.close()
})

test('with every node closed, reads are answered by the store and writes reach it, and both are told', async () => {
  const { tier, nodes } = await tierOf()
  const store = memoryStore<number>({ rows: [['a', 1]] })
  const cache = tier.cache('n', { strategy: writeThrough(store), ttl: '1m' })
  const told: string[] = []
  tier.on('cache:bypassed', ({ operation }) => told.push(operation))
  for (const node of nodes) await node.close()
  assert.equal(await cache.get('a'), 1)
  await cache.set('a', 2)
  assert.equal((await store.load(['a'])).rows.get('a')!.value, 2)
  await settled()
  assert.deepEqual(told, ['read', 'write'])
  assert.equal(cache.metrics().bypassed, 2)
})

test('nodes tell their share, entries and bytes; caches their counts; Prometheus gets both', async () => {
  const { tier } = await tierOf()
  const cache = tier.cache('n', { ...aside, consistency: { writes: 'all' } })
  await cache.set('a', 1)
  await cache.get('a')
  const nodes = await tier.nodes()
  assert.ok(Math.abs(nodes.reduce((sum, node) => sum + node.share, 0) - 1) < 1e-9)
  assert.equal(
    nodes.reduce((sum, node) => sum + node.entries!, 0),
    // The value, and when the cache was last cleared; each on three nodes.
    6,
  )
  assert.equal(
    nodes.reduce((sum, node) => sum + node.hits, 0),
    1,
  )
  assert.match(prometheusText({ ...tier.metrics(), nodes }), /ringtail_reads_total\{cache="n",outcome="hit"\} 1/)
  await tier.close()
})

test('events are heard until the listener is taken off, and on the diagnostics channel', async () => {
  const { tier, nodes } = await tierOf()
  const cache = tier.cache('n', { strategy: readThrough(memoryStore<number>()), ttl: '1m' })
  const heard: unknown[] = []
  const onChannel: unknown[] = []
  const listen = (message: unknown) => onChannel.push(message)
  subscribe('ringtail:cache:bypassed', listen)
  const off = tier.on('cache:bypassed', (payload) => heard.push(payload))
  tier.on('cache:bypassed', () => {
    throw new Error('a listener of the application')
  })
  const failures: unknown[] = []
  tier.on('listener:failed', (payload) => failures.push(payload))
  for (const node of nodes) await node.close()
  await cache.get('a')
  await settled()
  off()
  await cache.get('b')
  await settled()
  unsubscribe('ringtail:cache:bypassed', listen)
  assert.equal(heard.length, 1)
  assert.equal(onChannel.length, 1)
  assert.deepEqual(failures, [{ event: 'cache:bypassed', reason: 'Error: a listener of the application' }])
})

for (const [name, options, message] of [
  ['fewer nodes than replicas', { nodes: [memoryNode({ id: 'a' })] }, /needs .*3.* but got/],
  ['two nodes of one id', { nodes: [memoryNode({ id: 'a' }), memoryNode({ id: 'a' })], replicas: 1 }, /'?"?a"?'?/],
  ['no nodes', { nodes: [] }, /nodes/],
  ['an unknown option', { nodes: five(), replica: 2 }, /replica/],
  ['urls for nodes', { nodes: ['redis://a', 'redis://b', 'redis://c'] }, /nodes: needs nodes such as redisNode/],
  ['a placement that was not called', { nodes: five(), ring: hashRing }, /ring: needs a placement: hashRing\(\)/],
  ['replicas that are no number', { nodes: five(), replicas: '3' }, /replicas: needs a whole number/],
] as const) {
  test(`createTier refuses ${name}`, async () => {
    await assert.rejects(createTier(options as never), (error) => error instanceof ConfigurationError && message.test(error.message))
  })
}

for (const [name, options, message] of [
  ['no ttl', { strategy: cacheAside() }, /ttl: needs a duration/],
  ['a ttl in unknown units', { strategy: cacheAside(), ttl: '10 minutes' }, /but got: "10 minutes"/],
  ['no strategy', { ttl: 1 }, /strategy: needs cacheAside/],
  ['an unknown option', { ...aside, graceful: 1 }, /graceful/],
  ['a jitter above 1', { ...aside, jitter: 10 }, /jitter: needs a number from 0 to 1/],
  ['a node that there is not', { ...aside, nodes: ['z'], replicas: 1 }, /nodes: needs ids among 'a'/],
  ['more replicas than it has nodes', { ...aside, nodes: ['a', 'b'] }, /replicas: needs at most/],
  ['an unknown write level', { ...aside, consistency: { writes: 'most' } }, /'one', 'quorum', 'all'/],
  ['grace on plain values', { ...aside, keys: 'plain', grace: 1 }, /grace/],
] as const) {
  test(`tier.cache refuses ${name}`, async () => {
    const { tier } = await tierOf()
    assert.throws(
      () => tier.cache('n', options as never),
      (error) => error instanceof ConfigurationError && message.test(error.message),
    )
    await tier.close()
  })
}

test('a name is taken once, and must be one', async () => {
  const { tier } = await tierOf()
  tier.cache('n', aside)
  assert.throws(() => tier.cache('n', aside), ConfigurationError)
  assert.throws(() => tier.cache('a:b', aside), ConfigurationError)
  await tier.close()
  assert.throws(() => tier.cache('m', aside), { code: 'CLOSED' })
})

test('a strategy refuses what is no store, and `on` what is no event', async () => {
  assert.throws(() => writeThrough({} as never), /needs a store that loads, saves and removes/)
  assert.throws(() => writeThrough(undefined as never), ConfigurationError)
  assert.throws(() => readThrough({ load: 5 } as never), ConfigurationError)
  const { tier } = await tierOf()
  assert.throws(() => tier.on('node:dwon' as never, () => {}), /node:down/)
  assert.throws(() => tier.on('node:down', undefined as never), ConfigurationError)
  await tier.close()
})

test('nodes and caches of any name are counted like any other', async () => {
  const nodes = ['constructor', '__proto__', 'toString'].map((id) => memoryNode({ id }))
  const { tier } = await tierOf({ nodes })
  const cache = tier.cache<number>('__proto__', aside)
  await cache.set('a', 1)
  await cache.get('a')
  assert.equal(Object.entries(tier.metrics().caches)[0]![1].hits, 1)
  assert.equal(
    (await tier.nodes()).reduce((sum, node) => sum + node.hits, 0),
    1,
  )
  await tier.close()
})

test('one store of several caches has one guard, which tells of its shard once and is told of in their metrics', async () => {
  const { tier, clock } = await tierOf({ stores: { breaker: { minimumCalls: 4 } } })
  let away = true
  const rows = memoryStore<number>({ rows: [['k', 1]] })
  const load: typeof rows.load = async (keys) => {
    if (away) throw new StoreError('connection refused')
    return rows.load(keys)
  }
  const store = { name: 'db', load, stats: () => rows.stats() }
  const [one, other] = ['one', 'other'].map((name) => tier.cache(name, { strategy: readThrough(store), ttl: '1m' }))
  const told: string[] = []
  tier.on('shard:suspect', ({ store, shard, reason }) => void told.push(`suspect ${store} ${shard} ${reason}`))
  tier.on('shard:returning', ({ store, shard }) => void told.push(`returning ${store} ${shard}`))
  tier.on('shard:down', ({ store, shard, reason }) => void told.push(`down ${store} ${shard} ${reason}`))
  tier.on('shard:up', ({ store, shard }) => void told.push(`up ${store} ${shard}`))
  for (let read = 0; read < 2; read++) {
    await assert.rejects(one!.get(`k${read}`), StoreError)
    await assert.rejects(other!.get(`k${read}`), StoreError)
  }
  for (const cache of [one!, other!]) {
    await assert.rejects(cache.get('k'), { code: 'OVERLOADED', reason: 'open' })
    assert.equal(cache.metrics().store?.shards[0]?.guard?.state, 'down')
  }
  assert.match(prometheusText(tier.metrics()), /^ringtail_shard_up\{cache="one",shard="memory"\} 0$/m)
  away = false
  await clock.advance(1_500)
  for (let probe = 0; probe < 3; probe++) assert.equal(await one!.get(`unknown${probe}`), undefined)
  assert.equal(await other!.get('k'), 1)
  assert.match(prometheusText(tier.metrics()), /^ringtail_shard_up\{cache="one",shard="memory"\} 1$/m)
  await clock.settle()
  const reason = 'calls failed, the last: connection refused'
  assert.deepEqual(told, [`suspect db  3 of 3 ${reason}`, `down db  4 of 4 ${reason}`, 'returning db ', 'up db '])
  await tier.close()
})

test('stores are as they were made where the tier is to guard none', async () => {
  const { tier } = await tierOf({ stores: false })
  const load = async () => {
    throw new StoreError('connection refused')
  }
  const cache = tier.cache('n', { strategy: readThrough({ name: 'db', load, stats: () => [] }), ttl: '1m' })
  for (let read = 0; read < 30; read++) await assert.rejects(cache.get(`k${read}`), StoreError)
  await tier.close()
  await assert.rejects(createTier({ nodes: five(), stores: { concurrency: 0 } }), ConfigurationError)
})
