import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { MapCluster } from '../../tests/support/map-cluster.ts'
import { byNow, twoProcesses } from '../../tests/support/two-processes.ts'
import type { CacheOptions } from '../caches/cache-options.ts'
import { DeadlineError, StoreError } from '../errors.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { cacheAside } from './cache-aside.ts'

const WIRE = 'rt:things:a'

/** Two processes in each of which lies a value that is stale since 1 s. */
async function withStale(options: Partial<CacheOptions<string>> = {}) {
  const bench = twoProcesses({ grace: '1m', ...options })
  const first = bench.one.cache.get('a')
  await settled()
  await bench.reader.answer(0, { a: 'old' })
  await first
  await settled()
  await bench.clock.advance(11_000)
  return bench
}

test('two processes that miss one key make one load, and the second gets what the first fills', async () => {
  const { one, other, reader, clock } = twoProcesses()
  const reads = [one.cache.get('a')]
  await settled()
  reads.push(other.cache.get('a'), other.cache.get('a'))
  await clock.advance(200)
  assert.equal(reader.calls.length, 1)
  await reader.answer(0, { a: 'A' })
  await clock.advance(51)
  assert.deepEqual(await Promise.all(reads), ['A', 'A', 'A'])
  assert.equal(reader.calls.length, 1)
  assert.equal(clock.pendingTimers, 0)
})

test('while another process loads, a stale value is served at once, and nobody waits or loads too', async () => {
  const { one, other, reader, clock } = await withStale()
  assert.equal(await one.cache.get('a'), 'old')
  await settled()
  assert.equal(reader.calls.length, 2)
  assert.deepEqual(await other.cache.getWithOutcome('a'), { value: 'old', outcome: 'stale', node: 'n1' })
  await clock.advance(100)
  assert.equal(reader.calls.length, 2)
  await reader.answer(1, { a: 'new' })
  assert.deepEqual(await other.cache.getWithOutcome('a'), { value: 'new', outcome: 'hit', node: 'n1' })
})

test('while another process loads, readers of a stale value do not ask for the lease each', async () => {
  const { one, other, cluster, clock } = await withStale()
  await one.cache.get('a')
  await settled()
  let asks = 0
  const lease = cluster.lease.bind(cluster)
  cluster.lease = (requests) => {
    asks++
    return lease(requests)
  }
  for (let ms = 0; ms < 100; ms++) {
    assert.equal(await other.cache.get('a'), 'old')
    await clock.advance(1)
  }
  assert.ok(asks >= 2 && asks <= 4, `${asks} asks within 100 ms`)
})

test('a holder that died frees the key within the lease time: the load deadline and 100 ms', async () => {
  const { cluster, clock, other, reader } = twoProcesses({ deadlines: { load: 500 } })
  // The lease of a process of which nothing is heard any more.
  const ask = { key: WIRE, seen: { version: 0n, begun: 0, freshUntilMs: 0 }, leaseMs: 600 }
  assert.equal((await cluster.lease([ask]))[0]!.state, 'granted')
  const read = other.cache.get('a')
  await clock.advance(599)
  assert.equal(reader.calls.length, 0)
  await clock.advance(3)
  assert.equal(reader.calls.length, 1)
  await reader.answer(0, { a: 'A' })
  assert.equal(await read, 'A')
  await settled()
  assert.equal((await other.cache.getWithOutcome('a')).outcome, 'hit')
})

test('a load whose process was given up by its readers fills all the same, or frees the key at its deadline', async () => {
  const { one, other, reader, clock } = twoProcesses({ deadlines: { load: 500 } })
  const leaving = new AbortController()
  const left = one.cache.get('a', { signal: leaving.signal })
  await settled()
  leaving.abort(new Error('gone'))
  await assert.rejects(left, /gone/)
  await clock.advance(400)
  const read = other.cache.get('a')
  await clock.advance(151)
  assert.equal(reader.calls.length, 2)
  await reader.answer(1, { a: 'A' })
  assert.equal(await read, 'A')
})

test('a fill is refused after a delete, and what was loaded before it is not told to who came after', async () => {
  const { one, other, reader, clock } = twoProcesses()
  const early = one.cache.get('a')
  await settled()
  await other.cache.delete('a')
  const late = one.cache.get('a')
  await settled()
  await reader.answer(0, { a: 'before' })
  assert.equal(await early, 'before')
  assert.equal(await byNow(late), undefined)
  await reader.answer(1, { a: 'after' })
  await clock.advance(51)
  assert.equal(await late, 'after')
  assert.equal(await other.cache.get('a'), 'after')
  assert.equal(reader.calls.length, 2)
})

test('a fill is refused after a set, and those who came after the set read what was set', async () => {
  const { one, other, clock } = twoProcesses({ strategy: cacheAside() })
  const loaded = Promise.withResolvers<string>()
  const early = one.cache.getOrSet('a', () => loaded.promise)
  await settled()
  await other.cache.set('a', 'set')
  // Joins the load in this process unless the nodes say better.
  const late = one.cache.getOrSet('a', () => 'unused')
  loaded.resolve('loaded')
  assert.equal(await early, 'loaded')
  assert.equal(await late, 'set')
  await clock.advance(10)
  assert.equal(await one.cache.get('a'), 'set')
})

test('who joins a load that is under way, and a set comes after, is told what was set', async () => {
  const { one, other } = twoProcesses({ strategy: cacheAside() })
  const loaded = Promise.withResolvers<string>()
  const early = one.cache.getOrSet('a', () => loaded.promise)
  await settled()
  const late = one.cache.getOrSet('a', () => 'unused')
  await settled()
  await other.cache.set('a', 'set')
  loaded.resolve('loaded')
  assert.equal(await early, 'loaded')
  assert.equal(await late, 'set')
})

test('who misses after a delete while a fill taken before it is still being told, loads anew', async () => {
  const { one, other, cluster, clock } = twoProcesses({ strategy: cacheAside() })
  const told = Promise.withResolvers<void>()
  const fill = cluster.fill.bind(cluster)
  cluster.fill = async (fills) => {
    const outcomes = await fill(fills)
    await told.promise
    return outcomes
  }
  assert.equal(await one.cache.getOrSet('a', () => 'before'), 'before')
  await clock.advance(1)
  await other.cache.delete('a')
  const late = one.cache.getOrSet('a', () => 'after')
  await settled()
  told.resolve()
  assert.equal(await late, 'after')
})

test('a fill is refused when its vacant entry was evicted, or another took the lease by force', async () => {
  for (const lose of [
    (cluster: MapCluster) => cluster.entries.delete(WIRE),
    (cluster: MapCluster) => cluster.lease([{ key: WIRE, seen: { version: 0n, begun: 0, freshUntilMs: 0 }, leaseMs: 100, force: true }]),
  ]) {
    const { one, cluster, reader } = twoProcesses()
    const read = one.cache.get('a')
    await settled()
    await lose(cluster)
    await reader.answer(0, { a: 'A' })
    assert.equal(await read, 'A')
    await settled()
    assert.deepEqual(cluster.changes, [])
  }
})

test('who joins while a fill is on its way to the other owners, after a delete that came behind it, is not told what was filled', async () => {
  const { one, other, cluster, reader, clock } = twoProcesses()
  const spread = Promise.withResolvers<void>()
  cluster.spread = spread.promise
  const early = one.cache.get('a')
  await settled()
  await reader.answer(0, { a: 'before' })
  assert.equal(await early, 'before')
  await clock.advance(1)
  await other.cache.delete('a')
  const late = one.cache.get('a')
  await settled()
  cluster.spread = undefined
  spread.resolve()
  await settled()
  await reader.answer(1, { a: 'after' })
  await clock.advance(51)
  assert.equal(await late, 'after')
})

test('those who join a load under way share it when it was filled', async () => {
  const { one, reader } = twoProcesses()
  const reads = [one.cache.get('a')]
  await settled()
  reads.push(one.cache.get('a'), one.cache.get('a'))
  await settled()
  await reader.answer(0, { a: 'A' })
  assert.deepEqual(await Promise.all(reads), ['A', 'A', 'A'])
  assert.equal(reader.calls.length, 1)
})

test('refresh takes the lease from whoever has it, and its value stays', async () => {
  const { one, other, reader } = twoProcesses()
  const read = one.cache.get('a')
  await settled()
  const refreshed = other.cache.refresh('a')
  await settled()
  assert.equal(reader.calls.length, 2)
  await reader.answer(1, { a: 'refreshed' })
  assert.deepEqual(Object.fromEntries(await refreshed), { a: 'refreshed' })
  await reader.answer(0, { a: 'older' })
  assert.equal(await read, 'older')
  await settled()
  assert.equal(await one.cache.get('a'), 'refreshed')
})

test('a load that failed gives its lease back, so that the next reader anywhere loads at once', async () => {
  const { one, other, reader, cluster } = twoProcesses()
  const failing = assert.rejects(one.cache.get('a'), StoreError)
  await settled()
  await reader.fail(0, 'connection refused')
  await failing
  assert.equal(cluster.entries.size, 0)
  const read = other.cache.get('a')
  await settled()
  await reader.answer(1, { a: 'A' })
  assert.equal(await read, 'A')
})

test('a load that was given up at its deadline gives its lease back', async () => {
  const { one, cluster, clock } = twoProcesses({ deadlines: { load: 500 } })
  const late = assert.rejects(one.cache.get('a'), DeadlineError)
  await clock.advance(500)
  await late
  await settled()
  assert.equal(cluster.entries.size, 0)
})

for (const soft of [0, 20]) {
  test(`a load of a stale value that failed is not tried again by each reader, but a second later, soft deadline ${soft}`, async () => {
    const { one, reader, clock } = await withStale({ deadlines: { soft } })
    const first = one.cache.get('a')
    await settled()
    await reader.fail(1, 'connection refused')
    assert.equal(await first, 'old')
    for (let at = 0; at < 490; at += 10) {
      assert.equal(await one.cache.get('a'), 'old')
      await clock.advance(10)
    }
    assert.equal(reader.calls.length, 2)
    await clock.advance(1_010)
    const again = one.cache.get('a')
    await settled()
    assert.equal(reader.calls.length, 3)
    await reader.answer(2, { a: 'new' })
    assert.equal(await again, soft === 0 ? 'old' : 'new')
  })
}

test('with all nodes away loads still work, one a key for those who came before it began', async () => {
  const { one, reader, cluster } = twoProcesses()
  cluster.reachable = false
  const reads = ['a', 'a', 'b', 'a'].map((key) => one.cache.get(key))
  await settled()
  assert.deepEqual(
    reader.calls.map(({ keys }) => keys),
    [['a', 'b']],
  )
  await reader.answer(0, { a: 'A', b: 'B' })
  assert.deepEqual(await Promise.all(reads), ['A', 'A', 'B', 'A'])
})

test('with all nodes away those who come while a load is under way share the next one', async () => {
  const { one, reader, cluster } = twoProcesses()
  cluster.reachable = false
  const first = one.cache.get('a')
  await settled()
  const late = [one.cache.get('a'), one.cache.get('a'), one.cache.get('a')]
  await settled()
  await reader.answer(0, { a: 'first' })
  assert.equal(await first, 'first')
  await settled()
  assert.equal(reader.calls.length, 2)
  await reader.answer(1, { a: 'second' })
  assert.deepEqual(new Set(await Promise.all(late)), new Set(['second']))
})

test('a store that does not answer is told of as a store that fails', async () => {
  const { one, clock } = twoProcesses({ deadlines: { load: 500 } })
  const late = assert.rejects(one.cache.get('a'), DeadlineError)
  await clock.advance(500)
  await late
  assert.deepEqual(
    one.told.map(({ name }) => name),
    ['store:failed'],
  )
})

test('a delete by a process whose clock lags by less than the nodes take to answer deletes all the same', async () => {
  const clock = new FakeClock()
  const cluster = new MapCluster(clock)
  const ahead = Object.assign(Object.create(clock), { now: () => clock.now() + 3, monotonic: () => clock.monotonic() })
  const [one, other] = [clock, ahead].map((own, nth) =>
    cacheOn<string>({ strategy: cacheAside(), ttl: '1m' }, cluster, own, 'things', nth + 1),
  )
  await other!.cache.set('a', 'A')
  const slow = Promise.withResolvers<void>()
  cluster.hold = slow.promise
  const deleted = one!.cache.delete('a')
  await clock.advance(5)
  slow.resolve()
  await deleted
  assert.equal(await other!.cache.get('a'), undefined)
})
