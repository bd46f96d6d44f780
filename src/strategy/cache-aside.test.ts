import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import type { MapCluster } from '../../tests/support/map-cluster.ts'
import { ConflictError, EncodeError, UnacknowledgedError } from '../errors.ts'
import { cacheAside } from './cache-aside.ts'

const options = { strategy: cacheAside<number>(), ttl: '10s', jitter: 0 } as const

test('what was set is read; what was deleted is a miss', async () => {
  const { cache } = cacheOn(options)
  assert.equal(await cache.get('a'), undefined)
  await cache.set('a', 1)
  assert.equal(await cache.get('a'), 1)
  assert.ok(await cache.has('a'))
  await cache.delete('a')
  assert.equal(await cache.get('a'), undefined)
})

test('null is a value', async () => {
  const { cache } = cacheOn<number | null>({ strategy: cacheAside<number | null>(), ttl: 1_000 })
  await cache.set('a', null)
  assert.deepEqual(await cache.getWithOutcome('a'), { value: null, outcome: 'hit', node: 'n1' })
})

test('undefined is refused as a value', async () => {
  const { cache } = cacheOn(options)
  await assert.rejects(async () => cache.set('a', undefined as never), { code: 'CONFIGURATION' })
})

test('getOrSet loads what is missing once, however many ask', async () => {
  const { cache } = cacheOn(options)
  let loads = 0
  const ask = () =>
    cache.getOrSet('a', async () => {
      await settled()
      return ++loads
    })
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [1, 1, 1])
  await settled()
  assert.equal(await ask(), 1)
})

test('what a loader throws reaches the caller as it is, and nothing is cached', async () => {
  const { cache } = cacheOn(options)
  const boom = new TypeError('boom')
  await assert.rejects(
    cache.getOrSet('a', () => Promise.reject(boom)),
    (error) => error === boom,
  )
  await settled()
  assert.equal(await cache.getOrSet('a', () => 2), 2)
})

test('a loader without a value is asked again', async () => {
  const { cache } = cacheOn(options)
  assert.equal(await cache.getOrSet('a', () => undefined), undefined)
  await settled()
  assert.equal(await cache.getOrSet('a', () => 5), 5)
})

test('getOrSet with a ttl of its own keeps the value so long', async () => {
  const { cache, clock } = cacheOn(options)
  await cache.getOrSet('a', () => 1, { ttl: '1m' })
  await settled()
  await clock.advance(59_000)
  assert.equal(await cache.get('a'), 1)
  await clock.advance(1_000)
  assert.equal(await cache.get('a'), undefined)
})

test('getOrSetMany asks its loader once, for what is missing', async () => {
  const { cache } = cacheOn(options)
  await cache.set('a', 1)
  const asked: (readonly string[])[] = []
  const load = (missing: readonly string[]) => {
    asked.push(missing)
    return new Map([
      ['b', 2],
      ['c', 3],
    ])
  }
  assert.deepEqual(Object.fromEntries(await cache.getOrSetMany(['a', 'b', 'c', 'd'], load)), { a: 1, b: 2, c: 3 })
  assert.deepEqual(asked, [['b', 'c', 'd']])
  await settled()
  assert.equal(await cache.get('c'), 3)
})

test('setMany and deleteMany tell each key its result', async () => {
  const { cache } = cacheOn(options)
  const set = await cache.setMany([
    ['a', 1],
    ['b', 2],
    ['a', 3],
  ])
  assert.deepEqual(Object.fromEntries(set), { a: { ok: true }, b: { ok: true } })
  assert.equal(await cache.get('a'), 3)
  assert.deepEqual(Object.fromEntries(await cache.deleteMany(['a', 'nothing'])), { a: { ok: true }, nothing: { ok: true } })
})

test('a set that no owner takes rejects: the value is nowhere', async () => {
  const { cache, cluster } = cacheOn(options)
  cluster.reachable = false
  await assert.rejects(cache.set('a', 1), UnacknowledgedError)
  const results = await cache.setMany([['a', 1]])
  assert.equal(results.get('a')!.ok, false)
  assert.equal(cache.metrics().failedWrites, 2)
})

test('a value that cannot be encoded rejects and leaves the old one', async () => {
  const { cache } = cacheOn<unknown>({ strategy: cacheAside<unknown>(), ttl: '10s' })
  await cache.set('a', 1)
  await assert.rejects(cache.set('a', 10n), EncodeError)
  assert.equal(await cache.get('a'), 1)
})

test('a set that arrives after a newer one is overtaken, and the newer one stays', async () => {
  const { cache, cluster } = cacheOn(options)
  const held = Promise.withResolvers<void>()
  cluster.hold = held.promise
  const older = cache.set('a', 1)
  cluster.hold = undefined
  await cache.set('a', 2)
  held.resolve()
  await older
  assert.equal(await cache.get('a'), 2)
})

test('a set that arrives after a later delete does not bring the value back', async () => {
  const { cache, cluster } = cacheOn(options)
  const held = Promise.withResolvers<void>()
  cluster.hold = held.promise
  const older = cache.set('a', 1)
  cluster.hold = undefined
  await cache.delete('a')
  held.resolve()
  await older
  assert.equal(await cache.get('a'), undefined)
})

test('concurrent updates lose no increment', async () => {
  const { cache, clock } = cacheOn(options)
  const updates = Array.from({ length: 8 }, () => cache.update('n', (n) => (n ?? 0) + 1))
  let done = false
  const all = Promise.all(updates).finally(() => {
    done = true
  })
  while (!done) await clock.advance(50)
  await all
  assert.equal(await cache.get('n'), 8)
})

test('an update that meets a change each time gives up with a ConflictError', async () => {
  const { cache, clock } = cacheOn(options)
  let done = false
  const update = cache
    .update('n', async () => {
      await cache.set('n', 100)
      return 0
    })
    .finally(() => {
      done = true
    })
  const rejected = assert.rejects(update, ConflictError)
  while (!done) await clock.advance(50)
  await rejected
  assert.equal(await cache.get('n'), 100)
})

test('each outcome is counted once', async () => {
  const { cache, clock } = cacheOn({ ...options, grace: '10s' })
  await cache.get('a')
  await cache.set('a', 1)
  await cache.get('a')
  await cache.getMany(['a', 'b'])
  await clock.advance(10_000)
  await cache.get('a')
  await assert.rejects(cache.getOrSet('z', () => Promise.reject(new Error('no'))))
  const { hits, stale, misses, negativeHits, errors, writes, deletes, byNode, latencyMs } = cache.metrics()
  assert.deepEqual(
    { hits, stale, misses, negativeHits, errors, writes, deletes },
    { hits: 2, stale: 1, misses: 2, negativeHits: 0, errors: 1, writes: 1, deletes: 0 },
  )
  assert.deepEqual(byNode, { n1: { hits: 2, stale: 1, misses: 2, negativeHits: 0, errors: 0 } })
  assert.equal(latencyMs.hit.count + latencyMs.miss.count, 5)
})

test('a process whose clock lags two seconds still sets, deletes and updates', async () => {
  const ahead = cacheOn(options)
  await ahead.clock.advance(2_000)
  const behind = cacheOn(options, ahead.cluster)
  await ahead.cache.set('a', 1)
  await behind.cache.set('a', 2)
  assert.equal(await behind.cache.get('a'), 2)
  await ahead.cache.set('b', 1)
  await cacheOn(options, ahead.cluster).cache.delete('b')
  assert.equal(await behind.cache.get('b'), undefined)
  await ahead.cache.set('c', 1)
  assert.equal(await cacheOn(options, ahead.cluster).cache.update('c', (n) => n! + 1), 2)
})

test('a set that others may have seen, though the first owner refused it, takes the place of what refused it and of nothing later', async () => {
  for (const later of [undefined, 3]) {
    const ahead = cacheOn(options)
    await ahead.clock.advance(3)
    const behind = cacheOn(options, ahead.cluster)
    await ahead.cache.set('a', 1)
    ahead.cluster.takenElsewhere = true
    const { cluster } = ahead
    const meddle = async (): Promise<void> => {
      Object.assign(cluster, { compareAndSet, replicate })
      if (later !== undefined) await ahead.cache.set('a', later)
    }
    const compareAndSet: MapCluster['compareAndSet'] = cluster.compareAndSet.bind(cluster)
    const replicate: MapCluster['replicate'] = cluster.replicate.bind(cluster)
    cluster.compareAndSet = (change) => meddle().then(() => compareAndSet(change))
    let puts = 0
    cluster.replicate = (changes) => (++puts > 1 ? meddle() : Promise.resolve()).then(() => replicate(changes))
    await behind.cache.set('a', 2)
    assert.equal(await ahead.cache.get('a'), later ?? 2)
  }
})

test('a set that others may have seen is not made again for what cannot have been there before it, by clocks that are little apart', async () => {
  for (const [apartMs, seen, last] of [
    [24, true, 'held back'],
    [25, true, 'later'],
    [25, false, 'held back'],
  ] as const) {
    const first = cacheOn<string>({ strategy: cacheAside(), ttl: '1m' })
    const { cluster, clock } = first
    const second = cacheOn<string>({ strategy: cacheAside(), ttl: '1m' }, cluster, clock, 'things', 2)
    const arrived = Promise.withResolvers<void>()
    const replicate = cluster.replicate.bind(cluster)
    cluster.replicate = (changes) => arrived.promise.then(() => replicate(changes))
    const heldBack = first.cache.set('a', 'held back')
    cluster.replicate = replicate
    await clock.advance(apartMs)
    await second.cache.set('a', 'later')
    // Now the other owners have it, and readers of a quorum may.
    cluster.takenElsewhere = seen
    await clock.advance(1)
    arrived.resolve()
    await heldBack
    assert.equal(await second.cache.get('a'), last, `${apartMs} ms apart, seen: ${seen}`)
  }
})

test('one bad value of a call is refused alone', async () => {
  const { cache } = cacheOn<unknown>({ strategy: cacheAside<unknown>(), ttl: '10s' })
  const results = await cache.setMany([
    ['a', 1],
    ['b', 10n],
  ])
  assert.deepEqual([results.get('a')!.ok, results.get('b')!.ok], [true, false])
  assert.equal(await cache.get('a'), 1)
})

test('a call of ten thousand keys is worked through in parts', async () => {
  const { cache } = cacheOn(options)
  const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`)
  const set = await cache.setMany(keys.map((key, n) => [key, n] as const))
  assert.equal(set.size, 10_000)
  assert.equal((await cache.getMany(keys)).size, 10_000)
})
