import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { HeldReader } from '../../tests/support/held-reader.ts'
import type { CacheOptions } from '../caches/cache-options.ts'
import { DeadlineError } from '../errors.ts'
import { memoryStore } from '../store/memory-store.ts'
import { cacheAside } from './cache-aside.ts'
import { readThrough } from './read-through.ts'
import { writeThrough } from './write-through.ts'

const times = { ttl: '10s', jitter: 0 } as const
const aside = { strategy: cacheAside<string>(), ...times } as const

/** A cache whose value under 'a' is stale since 1 s. */
async function withStale(options: Partial<CacheOptions<string>>) {
  const reader = new HeldReader()
  const bench = cacheOn<string>({ strategy: readThrough(reader), grace: '1m', ...times, ...options })
  const first = bench.cache.get('a')
  await settled()
  await reader.answer(0, { a: 'old' })
  await first
  await bench.clock.advance(11_000)
  return { ...bench, reader }
}

test('within the soft deadline the fresh value is served, as what a load brought', async () => {
  const { cache, clock, reader } = await withStale({ deadlines: { soft: 30 } })
  const read = cache.getWithOutcome('a')
  await clock.advance(29)
  await reader.answer(1, { a: 'new' })
  assert.deepEqual(await read, { value: 'new', outcome: 'miss', node: 'n1' })
  await settled()
  assert.equal(clock.pendingTimers, 0)
})

test('after the soft deadline the stale value is served, and the load goes on behind', async () => {
  const { cache, clock, reader } = await withStale({ deadlines: { soft: 30 } })
  const read = cache.getWithOutcome('a')
  await clock.advance(30)
  assert.deepEqual(await read, { value: 'old', outcome: 'stale', node: 'n1' })
  await reader.answer(1, { a: 'new' })
  assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
})

test('a load that fails within the soft deadline gives the stale value at once', async () => {
  const { cache, reader, clock } = await withStale({ deadlines: { soft: 30 } })
  const read = cache.getWithOutcome('a')
  await settled()
  await reader.fail(1, 'connection refused')
  assert.deepEqual(await read, { value: 'old', outcome: 'stale', node: 'n1' })
  assert.equal(clock.pendingTimers, 0)
})

test("a loader's signal is aborted at the hard deadline, and what it brings then is neither served nor kept", async () => {
  const { cache, clock } = cacheOn<string>({ ...aside, deadlines: { load: 500 } })
  const late = Promise.withResolvers<string>()
  let signal: AbortSignal | undefined
  const read = assert.rejects(
    cache.getOrSet('a', (context) => {
      signal = context.signal
      return late.promise
    }),
    DeadlineError,
  )
  await clock.advance(499)
  assert.equal(signal!.aborted, false)
  await clock.advance(1)
  await read
  assert.ok(signal!.reason instanceof DeadlineError)
  late.resolve('too late')
  await settled()
  assert.equal(await cache.get('a'), undefined)
})

test('a value is loaded early with the chance exp(-time left / load cost), and never while it is fresh for long', async () => {
  const costMs = 200
  const loads = async (leftMs: number): Promise<number> => {
    let loaded = 0
    const draws = 400
    for (let seed = 1; seed <= draws; seed++) {
      const { cache, clock } = cacheOn<string>(aside, undefined, undefined, 'things', seed)
      const load = async () => {
        await new Promise<void>((resolve) => void clock.after(costMs, resolve))
        return 'A'
      }
      const first = cache.getOrSet('a', load)
      await clock.advance(costMs)
      await first
      await clock.advance(10_000 - leftMs)
      const before = clock.pendingTimers
      await cache.getOrSet('a', load)
      await settled()
      if (clock.pendingTimers > before) loaded++
    }
    return loaded / draws
  }
  for (const leftMs of [100, 400]) {
    const expected = Math.exp(-leftMs / costMs)
    const share = await loads(leftMs)
    // Four standard deviations: the seeds are fixed, so it holds or it does not.
    assert.ok(Math.abs(share - expected) < 4 * Math.sqrt((expected * (1 - expected)) / 400), `${share} of reads loaded, not ${expected}`)
  }
  assert.equal(await loads(5_000), 0)
})

test('what cost nothing to load is never loaded early', async () => {
  const { cache, clock } = cacheOn<string>(aside)
  await cache.set('a', 'A')
  for (let at = 0; at < 10_000; at += 100) {
    await cache.getOrSet('a', () => assert.fail('loaded early'))
    await clock.advance(99)
  }
})

test('a value of which a fraction of the ttl is over is loaded behind its reader, once', async () => {
  const reader = new HeldReader()
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(reader), ...times, earlyRefresh: 0.8 })
  const first = cache.get('a')
  await settled()
  await reader.answer(0, { a: 'old' })
  await first
  await clock.advance(8_000)
  assert.equal(await cache.get('a'), 'old')
  await settled()
  assert.equal(reader.calls.length, 1)
  await clock.advance(1)
  assert.deepEqual(await Promise.all([cache.get('a'), cache.get('a')]), ['old', 'old'])
  await settled()
  assert.equal(reader.calls.length, 2)
  await reader.answer(1, { a: 'new' })
  assert.equal(await cache.get('a'), 'new')
  assert.equal(reader.calls.length, 2)
})

test('with earlyRefresh false nothing is loaded before it has to be', async () => {
  const reader = new HeldReader()
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(reader), ...times, earlyRefresh: false })
  const first = cache.get('a')
  await clock.advance(900)
  await reader.answer(0, { a: 'A' })
  await first
  await clock.advance(9_999)
  for (let read = 0; read < 100; read++) assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
  assert.equal(reader.calls.length, 1)
})

test('a sliding value that is read lives on; it is touched when half of its ttl is over, once at a time', async () => {
  const { cache, clock, cluster } = cacheOn<string>({ ...aside, sliding: true })
  await cache.set('a', 'A')
  await clock.advance(5_000)
  await cache.get('a')
  await settled()
  assert.equal(cluster.changes.length, 1)
  await clock.advance(1)
  const held = Promise.withResolvers<void>()
  cluster.hold = held.promise
  await Promise.all([cache.get('a'), cache.get('a'), cache.get('a')])
  held.resolve()
  cluster.hold = undefined
  await settled()
  assert.deepEqual(
    cluster.changes.map(({ op }) => op),
    ['put', 'touch'],
  )
  for (let times = 0; times < 10; times++) {
    await clock.advance(9_000)
    assert.equal(await cache.get('a'), 'A')
  }
  await clock.advance(10_000)
  assert.equal(await cache.get('a'), undefined)
})

test('touch makes a value fresh for its ttl, or for one given, from now; what there is not is not touched', async () => {
  const { cache, clock } = cacheOn<string>(aside)
  await cache.setMany([
    ['a', 'A'],
    ['b', 'B'],
  ])
  await clock.advance(9_000)
  assert.equal(await cache.touch('a'), true)
  assert.deepEqual(await cache.touchMany(['b', 'nothing'], { ttl: '2s' }), new Set(['b']))
  assert.equal(await cache.touch('nothing'), false)
  await clock.advance(1_999)
  assert.deepEqual(Object.fromEntries(await cache.getMany(['a', 'b'])), { a: 'A', b: 'B' })
  await clock.advance(1)
  assert.deepEqual(Object.fromEntries(await cache.getMany(['a', 'b'])), { a: 'A' })
  await clock.advance(8_000)
  assert.equal(await cache.get('a'), undefined)
})

test('touch never shortens, makes no negative entry last, and rejects where no owner answers', async () => {
  const { cache, clock, cluster } = cacheOn<string>({ strategy: writeThrough(memoryStore<string>()), ...times, negativeTtl: '2s' })
  await cache.set('a', 'A')
  assert.equal(await cache.touch('a', { ttl: '1s' }), true)
  await cache.get('none')
  await settled()
  assert.equal(await cache.touch('none', { ttl: '1h' }), false)
  await clock.advance(9_999)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
  assert.equal((await cache.getWithOutcome('none')).outcome, 'miss')
  cluster.reachable = false
  await assert.rejects(cache.touch('a'), { code: 'UNAVAILABLE' })
})

test('an insert clears what was remembered of a missing row, at once', async () => {
  const { cache } = cacheOn<string>({ strategy: writeThrough(memoryStore<string>()), ...times, negativeTtl: '10s' })
  await cache.get('a')
  await settled()
  assert.equal((await cache.getWithOutcome('a')).outcome, 'negative')
  await cache.set('a', 'A')
  assert.equal(await cache.get('a'), 'A')
})

test('an insert while the absence is being loaded is not hidden by it', async () => {
  const reader = new HeldReader()
  const store = memoryStore<string>()
  const held = Object.assign(Object.create(store), { load: reader.load.bind(reader), save: store.save.bind(store), stats: () => [] })
  for (const name of ['name', 'versioned']) Object.defineProperty(held, name, { value: store[name as 'name'] })
  const { cache } = cacheOn<string>({ strategy: writeThrough<string>(held), ...times })
  const read = cache.get('a')
  await settled()
  await cache.set('a', 'A')
  await reader.answer(0, {})
  assert.equal(await read, undefined)
  await settled()
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 'A', outcome: 'hit', node: 'n1' })
})

test("a caller's loader is asked although the store has no row, which counts as a miss, and its value is kept", async () => {
  const { cache, clock } = cacheOn<string>({ strategy: readThrough(memoryStore<string>()), ...times })
  await cache.get('a')
  await settled()
  await clock.advance(1)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'negative')
  assert.equal(await cache.getOrSet('a', () => 'A'), 'A')
  assert.equal(cache.metrics().misses, 2)
  await settled()
  assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
})
