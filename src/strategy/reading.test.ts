import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { HeldReader } from '../../tests/support/held-reader.ts'
import { DeadlineError, StoreError, UnavailableError } from '../errors.ts'
import { memoryStore } from '../store/memory-store.ts'
import { cacheAside } from './cache-aside.ts'
import { readThrough } from './read-through.ts'
import { writeThrough } from './write-through.ts'

const times = { ttl: '10s', jitter: 0 } as const

test('a miss is loaded and filled, and the next read is a hit that asks no store', async () => {
  const store = memoryStore<string>({ rows: [['a', 'A']] })
  const { cache } = cacheOn<string>({ strategy: readThrough(store), ...times })
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 'A', outcome: 'miss', node: 'n1' })
  await settled()
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 'A', outcome: 'hit', node: 'n1' })
  assert.equal(store.stats()[0]!.queries, 1)
})

test('a hundred readers of a missing key make one load', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const reads = Array.from({ length: 100 }, () => cache.get('a'))
  await settled()
  await reader.answer(0, { a: 'A' })
  assert.deepEqual(new Set(await Promise.all(reads)), new Set(['A']))
  assert.equal(reader.calls.length, 1)
})

test('keys missed in one turn are loaded in one call', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const reads = ['a', 'b', 'c'].map((key) => cache.get(key))
  await settled()
  assert.deepEqual(
    reader.calls.map((call) => call.keys),
    [['a', 'b', 'c']],
  )
  await reader.answer(0, { a: 'A', c: 'C' })
  assert.deepEqual(await Promise.all(reads), ['A', undefined, 'C'])
})

test('getMany loads what is missing in one call, and only that', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const first = cache.getMany(['a', 'b'])
  await settled()
  await reader.answer(0, { a: 'A', b: 'B' })
  await first
  const second = cache.getMany(['a', 'b', 'c', 'c'])
  await settled()
  assert.deepEqual(reader.calls[1]!.keys, ['c'])
  await reader.answer(1, { c: 'C' })
  assert.deepEqual(Object.fromEntries(await second), { a: 'A', b: 'B', c: 'C' })
})

test('a stale value is served at once and refreshed behind the reader, once', async () => {
  const reader = new HeldReader()
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(reader), grace: '1m', ...times })
  const first = cache.get('a')
  await settled()
  await reader.answer(0, { a: 'old' })
  await first
  await clock.advance(10_000)
  const stale = await Promise.all([cache.getWithOutcome('a'), cache.getWithOutcome('a')])
  assert.deepEqual(
    stale.map(({ value, outcome }) => [value, outcome]),
    [
      ['old', 'stale'],
      ['old', 'stale'],
    ],
  )
  await settled()
  assert.equal(reader.calls.length, 2)
  await reader.answer(1, { a: 'new' })
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 'new', outcome: 'hit', node: 'n1' })
})

test('while the store fails, a value within grace is served, and none after it', async () => {
  const reader = new HeldReader()
  const { cache, clock, told } = cacheOn<string>({ strategy: readThrough(reader), grace: '1m', ...times })
  const first = cache.get('a')
  await settled()
  await reader.answer(0, { a: 'A' })
  await first
  await clock.advance(69_000)
  assert.equal(await cache.get('a'), 'A')
  await settled()
  reader.calls[1]!.answer.reject(new Error('connection refused'))
  await settled()
  assert.deepEqual(
    told.map((each) => each.name),
    ['store:failed'],
  )
  await clock.advance(1_000)
  const late = cache.get('a')
  await settled()
  reader.calls[2]!.answer.reject(new Error('connection refused'))
  await assert.rejects(late, StoreError)
})

test('a row that does not exist is remembered for negativeTtl, and no longer', async () => {
  const store = memoryStore<string>()
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(store), negativeTtl: '2s', ...times })
  assert.equal((await cache.getWithOutcome('a')).outcome, 'miss')
  await settled()
  assert.deepEqual(await cache.getWithOutcome('a'), { value: undefined, outcome: 'negative', node: 'n1' })
  assert.equal(store.stats()[0]!.queries, 1)
  await clock.advance(2_000)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'miss')
})

test('with negativeTtl 0 each read of a row that does not exist asks the store', async () => {
  const store = memoryStore<string>()
  const { cache } = cacheOn<string>({ strategy: readThrough(store), negativeTtl: 0, ...times })
  await cache.get('a')
  await settled()
  await cache.get('a')
  assert.equal(store.stats()[0]!.queries, 2)
})

test('a load that runs into its deadline rejects, is aborted, and leaves the key to the next reader', async () => {
  const reader = new HeldReader()
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(reader), deadlines: { load: 500 }, ...times })
  const late = assert.rejects(cache.get('a'), DeadlineError)
  await settled()
  await clock.advance(500)
  await late
  assert.ok(reader.calls[0]!.signal?.aborted)
  await settled()
  const again = cache.get('a')
  await settled()
  await reader.answer(1, { a: 'A' })
  assert.equal(await again, 'A')
})

test('a key whose shard failed rejects alone', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const reads = Promise.allSettled([cache.get('a'), cache.get('b')])
  await settled()
  reader.calls[0]!.answer.resolve({
    rows: new Map([['a', { value: 'A', version: 0n }]]),
    failed: new Map([['b', new StoreError('shard 2 is down')]]),
  })
  const [a, b] = await reads
  assert.deepEqual(a, { status: 'fulfilled', value: 'A' })
  assert.ok(b!.status === 'rejected' && b.reason instanceof StoreError)
})

test('a caller who aborts leaves; the load goes on for the others', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const leaving = new AbortController()
  const left = cache.get('a', { signal: leaving.signal })
  const stayed = cache.get('a')
  await settled()
  leaving.abort(new Error('gone'))
  await assert.rejects(left, /gone/)
  await reader.answer(0, { a: 'A' })
  assert.equal(await stayed, 'A')
})

test('a caller whose own deadline passes gets a DeadlineError', async () => {
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(new HeldReader()), ...times })
  const late = assert.rejects(cache.get('a', { deadline: '20ms' }), DeadlineError)
  await clock.advance(20)
  await late
})

test('with every node down reads are answered by the store, one load a key, and the tier is told', async () => {
  const store = memoryStore<string>({ rows: [['a', 'A']] })
  const { cache, cluster, told } = cacheOn<string>({ strategy: readThrough(store), ...times })
  cluster.reachable = false
  assert.deepEqual(await Promise.all([cache.get('a'), cache.get('a')]), ['A', 'A'])
  assert.equal(store.stats()[0]!.queries, 1)
  assert.equal(
    told.filter(({ name, payload }) => name === 'cache:bypassed' && 'operation' in payload && payload.operation === 'read').length,
    2,
  )
  assert.equal(cache.metrics().bypassed, 2)
})

test('with every node down and no store a read rejects, a getOrSet loads', async () => {
  const { cache, cluster } = cacheOn<string>({ strategy: cacheAside(), ...times })
  cluster.reachable = false
  await assert.rejects(cache.get('a'), UnavailableError)
  assert.equal(await cache.getOrSet('a', () => 'made'), 'made')
})

test('a load that began before a delete does not bring the old value back', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const slow = cache.get('a')
  await settled()
  await cache.delete('a')
  await reader.answer(0, { a: 'old' })
  assert.equal(await slow, 'old')
  const after = cache.getWithOutcome('a')
  await settled()
  await reader.answer(1, { a: 'new' })
  assert.deepEqual(await after, { value: 'new', outcome: 'miss', node: 'n1' })
})

test('refresh loads anew whatever is cached, joins no load that began before, and fills', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const before = cache.get('a')
  await settled()
  const refreshed = cache.refresh('a')
  await settled()
  assert.equal(reader.calls.length, 2)
  await reader.answer(1, { a: 'new' })
  await reader.answer(0, { a: 'old' })
  assert.equal(await before, 'old')
  assert.deepEqual(Object.fromEntries(await refreshed), { a: 'new' })
  assert.equal(await cache.get('a'), 'new')
})

test('refresh of many keys is one call to the store', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const refreshed = cache.refresh(['a', 'b', 'c', 'a'])
  await settled()
  assert.deepEqual(
    reader.calls.map((call) => call.keys),
    [['a', 'b', 'c']],
  )
  await reader.answer(0, { a: 'A', b: 'B', c: 'C' })
  assert.equal((await refreshed).size, 3)
})

test('a refresh and a miss of one key in the same turn are one load', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const both = [cache.refresh('a'), cache.refresh('a'), cache.refresh(['a', 'b'])]
  await settled()
  assert.deepEqual(
    reader.calls.map((call) => call.keys),
    [['a', 'b']],
  )
  await reader.answer(0, { a: 'A', b: 'B' })
  assert.deepEqual(
    (await Promise.all(both)).map((values) => values.get('a')),
    ['A', 'A', 'A'],
  )
})

test('bytes that are no entry are a miss and an event, and the fill takes their place', async () => {
  const store = memoryStore<string>({ rows: [['a', 'A']] })
  const { cache, cluster, told } = cacheOn<string>({ strategy: readThrough(store), ...times })
  cluster.entries.set('rt:things:a', { bytes: Buffer.from('{"foreign": true}'), ttlMs: 0 })
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 'A', outcome: 'miss', node: 'n1' })
  assert.deepEqual(told, [{ name: 'entry:rejected', payload: { cache: 'things', node: 'n1', reason: 'foreign: no header' } }])
  await settled()
  assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
})

test('an entry of another schema number is a miss without an event', async () => {
  const store = memoryStore<string>({ rows: [['a', 'A']] })
  const old = cacheOn<string>({ strategy: readThrough(store), codec: { schema: 1 }, ...times })
  await old.cache.get('a')
  await settled()
  const { cache, told } = cacheOn<string>({ strategy: readThrough(store), codec: { schema: 2 }, ...times }, old.cluster)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'miss')
  assert.deepEqual(told, [])
})

test('a TTL is shortened by at most its jitter, never lengthened, and differently each time', async () => {
  const store = memoryStore<string>({ rows: Array.from({ length: 200 }, (_, i) => [`k${i}`, 'v'] as const) })
  const { cache, cluster } = cacheOn<string>({ strategy: readThrough(store), ttl: '10s', jitter: 0.2 })
  await cache.getMany(Array.from({ length: 200 }, (_, i) => `k${i}`))
  await settled()
  const ttls = [...cluster.entries.values()].map(({ ttlMs }) => ttlMs)
  assert.equal(ttls.length, 200)
  assert.ok(Math.min(...ttls) >= 8_000 && Math.max(...ttls) <= 10_000)
  assert.ok(new Set(ttls).size > 150)
})

test('a key that cannot be one rejects, and does not throw', async () => {
  const { cache } = cacheOn<string>({ strategy: readThrough(memoryStore<string>()), ...times })
  await assert.rejects(cache.get('x'.repeat(2_000)), { code: 'CONFIGURATION' })
  await assert.rejects(cache.getMany([7 as never]), { code: 'CONFIGURATION' })
})

test('who asks with a loader is not answered by a store that has no row', async () => {
  const reader = new HeldReader()
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  const plain = cache.get('a')
  await settled()
  const loaded = cache.getOrSet('a', () => 'made')
  await settled()
  await reader.answer(0, {})
  assert.equal(await plain, undefined)
  // It waits for the load of the store, which has the key's lease; and then makes its own.
  await clock.advance(10)
  assert.equal(await loaded, 'made')
})

test('refresh takes the place of an entry of the very same version, whatever the jitter', async () => {
  const store = memoryStore<{ n: number }>({ rows: [['a', { n: 1 }]] })
  const { cache } = cacheOn<{ n: number }>({ strategy: writeThrough(store), ttl: '10s', jitter: 0.5 })
  await cache.get('a')
  await settled()
  for (let n = 2; n < 40; n++) {
    // What SQL that knows nothing of versions does.
    store.load = async () => ({ rows: new Map([['a', { value: { n }, version: 1n }]]) })
    await cache.refresh('a')
    await settled()
    assert.deepEqual(await cache.get('a'), { n })
  }
})

test("on a store cache a loader's value gives way to the row", async () => {
  const store = memoryStore<string>()
  const { cache } = cacheOn<string>({ strategy: writeThrough(store), ...times })
  assert.equal(await cache.getOrSet('a', () => 'made'), 'made')
  await settled()
  await cache.set('a', 'row')
  assert.equal(await cache.get('a'), 'row')
})

test('a value that cannot be kept is told of', async () => {
  const { cache, told } = cacheOn<unknown>({ strategy: cacheAside(), ...times })
  const load = () => ({ when: Number.NaN })
  assert.deepEqual(await cache.getOrSet('a', load), { when: Number.NaN })
  await settled()
  assert.equal(told[0]!.name, 'entry:refused')
})

test('a bad deadline or signal rejects the call, and nothing is begun', async () => {
  const reader = new HeldReader()
  const { cache } = cacheOn<string>({ strategy: readThrough(reader), ...times })
  await assert.rejects(cache.get('a', { deadline: '5 sec' as never }), { code: 'CONFIGURATION' })
  await assert.rejects(cache.get('a', { signal: 'now' as never }), { code: 'CONFIGURATION' })
  await assert.rejects(cache.get('a', { tll: 5 } as never), { code: 'CONFIGURATION' })
  await assert.rejects(cache.getMany(['a'], { signal: AbortSignal.abort(new Error('gone')) }), /gone/)
  await settled()
  assert.equal(reader.calls.length, 0)
})

test('a call that its caller gave up counts as an error, once', async () => {
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(new HeldReader()), ...times })
  const late = Promise.allSettled([
    cache.get('a', { deadline: 20 }),
    cache.getMany(['a', 'b'], { deadline: 20 }),
    cache.getOrSet('c', () => new Promise<string>(() => {}), { deadline: 20 }),
  ])
  await clock.advance(20)
  assert.deepEqual(
    (await late).map(({ status }) => status),
    ['rejected', 'rejected', 'rejected'],
  )
  assert.equal(cache.metrics().errors, 4)
})

test('a string is not taken for a list of keys', async () => {
  const { cache } = cacheOn<string>({ strategy: cacheAside(), ...times })
  await assert.rejects(cache.deleteMany('B0001'), { code: 'CONFIGURATION' })
  await assert.rejects(cache.getMany('B0001'), { code: 'CONFIGURATION' })
})
