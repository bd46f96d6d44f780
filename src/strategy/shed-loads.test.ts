import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { MapCluster } from '../../tests/support/map-cluster.ts'
import { MemoryJournal } from '../../tests/support/memory-journal.ts'
import type { CacheOptions } from '../caches/cache-options.ts'
import { DeadlineError, OverloadError, StoreError } from '../errors.ts'
import { noEmit } from '../events.ts'
import { guardStore, type StoreGuardOptions } from '../resilience/guarded-store.ts'
import { memoryStore } from '../store/memory-store.ts'
import { shardedStore } from '../store/sharded-store.ts'
import type { Removal, Save, SaveStatus, Store, StoreCall } from '../store/store.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { writeBehind } from './write-behind.ts'
import { writeThrough } from './write-through.ts'

/** A database of numbers that is silent, or away, when the test says so. */
class Database implements Store<number> {
  readonly name = 'db'
  readonly versioned = true
  readonly remembersRemovals = true
  readonly rows = memoryStore<number>()
  loads = 0
  saves = 0
  away = false
  /** While it is set nothing is answered. */
  silence: Promise<void> | undefined

  async load(keys: readonly string[], call?: StoreCall) {
    this.loads++
    await this.silence
    if (this.away) throw new StoreError('connection refused')
    return this.rows.load(keys, { signal: call?.signal?.aborted === true ? undefined : call?.signal })
  }

  async save(saves: readonly Save<number>[]): Promise<SaveStatus[]> {
    this.saves++
    await this.silence
    if (this.away) return saves.map(() => ({ state: 'failed', error: new StoreError('connection refused') }))
    return this.rows.save(saves)
  }

  remove(removals: readonly Removal[]) {
    return this.rows.remove(removals)
  }

  stats() {
    return this.rows.stats()
  }
}

function world(guard: StoreGuardOptions = {}, options: Partial<CacheOptions<number>> = {}) {
  const clock = new FakeClock()
  const cluster = new MapCluster(clock)
  const database = new Database()
  const process = (seed: number) => {
    const store = guardStore(database, guard, { clock, random: seededRandom(seed), emit: noEmit })
    const { cache, told } = cacheOn<number>(
      { strategy: writeThrough(store), ttl: '10s', grace: '1m', jitter: 0, earlyRefresh: false, ...options },
      cluster,
      clock,
      'things',
      seed,
    )
    return { cache, store, told }
  }
  return { clock, cluster, database, process, ...process(1) }
}

const isShed = (reason: string) => (error: unknown) => error instanceof OverloadError && error.reason === reason

/** All places taken: what is loaded now waits, or is shed. */
async function fill({ database, store }: { database: Database; store: Store<number> }, places: number): Promise<() => void> {
  const silence = Promise.withResolvers<void>()
  database.silence = silence.promise
  for (let place = 0; place < places; place++) void store.load([`filler${place}`])
  await settled()
  return () => {
    database.silence = undefined
    silence.resolve()
  }
}

for (const soft of [0, 100]) {
  const held = soft === 0 ? '' : ', also where it is held back for a fresh one'
  test(`a stale value is served within grace while the store sheds${held}, and past that the error is typed`, async () => {
    const { clock, cache, ...rest } = world({ concurrency: 1, queue: 0 }, { deadlines: { soft } })
    await cache.set('a', 1)
    await clock.advance(11_000)
    const end = await fill(rest, 1)
    assert.equal(await cache.get('a'), 1)
    await clock.advance(60_000)
    await assert.rejects(cache.get('a'), isShed('full'))
    assert.equal(rest.database.loads, 1)
    end()
    await settled()
    assert.equal(await cache.get('a'), 1)
  })

  test(`a stale value is served within grace while the store's breaker is open${held}, and past that the error is typed`, async () => {
    const { clock, cache, database } = world({ breaker: { minimumCalls: 3 } }, { deadlines: { soft } })
    await cache.set('a', 1)
    await clock.advance(11_000)
    database.away = true
    for (let failure = 0; failure < 3; failure++) await assert.rejects(cache.get(`other${failure}`), StoreError)
    const { loads } = database
    assert.equal(await cache.get('a'), 1)
    await assert.rejects(cache.get('other'), isShed('open'))
    assert.equal(database.loads, loads)
    await clock.advance(60_000)
    for (let probe = 0; probe < 3; probe++) await cache.get('other').catch(() => {})
    await assert.rejects(cache.get('a'), isShed('open'))
    database.away = false
    await clock.advance(2_000)
    assert.equal(await cache.get('a'), 1)
  })
}

test('a load that was shed leaves its lease: another process loads at once', async () => {
  const { clock, cache, process, ...rest } = world({ concurrency: 1, queue: 1, wait: 300 })
  await rest.database.rows.save([{ key: 'a', value: 7, floor: 1n }])
  const other = process(2)
  const end = await fill(rest, 1)
  const late = cache.get('a')
  const shed = assert.rejects(late, isShed('late'))
  await clock.advance(300)
  await shed
  end()
  const before = clock.monotonic()
  assert.equal(await other.cache.get('a'), 7)
  assert.equal(clock.monotonic(), before)
})

test('a slow shard holds up no key of another that was asked for in the same moment', async () => {
  const clock = new FakeClock()
  const [slow, quick] = [new Database(), new Database()]
  const silence = Promise.withResolvers<void>()
  slow.silence = silence.promise
  await quick.rows.save([{ key: '1', value: 1, floor: 1n }])
  const store = shardedStore<number>([slow, quick], { shardOf: Number })
  const guarded = guardStore(store, {}, { clock, random: seededRandom(1), emit: noEmit })
  const { cache } = cacheOn<number>({ strategy: writeThrough(guarded), ttl: '10s' }, undefined, clock)
  const ofSlow = assert.rejects(cache.get('0'), { code: 'DEADLINE_EXCEEDED' })
  assert.equal(await cache.get('1'), 1)
  assert.equal(clock.monotonic(), 0)
  const many = assert.rejects(cache.getMany(['0', '1']), { code: 'DEADLINE_EXCEEDED' })
  const saves = ['0', '1'].map((key) => ({ key, value: 5 }))
  const saving = Promise.allSettled(saves.map(({ key, value }) => cache.set(key, value)))
  await clock.advance(1_000)
  await Promise.all([ofSlow, many])
  assert.deepEqual(
    (await saving).map(({ status }) => status),
    ['rejected', 'fulfilled'],
  )
  silence.resolve()
})

test('a batch of saves over several shards is known by shard at its deadline', async () => {
  const clock = new FakeClock()
  const [slow, quick] = [new Database(), new Database()]
  slow.silence = new Promise(() => {})
  const store = shardedStore<number>([slow, quick], { shardOf: Number })
  const guarded = guardStore(store, {}, { clock, random: seededRandom(1), emit: noEmit })
  const { cache, told } = cacheOn<number>({ strategy: writeThrough(guarded), ttl: '10s' }, undefined, clock)
  const saving = cache.setMany([
    ['0', 5],
    ['1', 6],
  ])
  await clock.advance(1_000)
  const results = await saving
  assert.equal(results.get('1')?.ok, true)
  const ofSlow = results.get('0')
  assert.ok(ofSlow?.ok === false && ofSlow.error instanceof DeadlineError)
  assert.equal(told.filter(({ name }) => name === 'store:failed').length, 1)
  assert.equal(await cache.get('1'), 6)
  assert.equal((await quick.rows.load(['1'])).rows.get('1')?.value, 6)
})

test('a write that is shed tells its caller so, and nothing of it was done', async () => {
  const { cache, ...rest } = world({ concurrency: 1, queue: 0 })
  await cache.set('a', 1)
  const end = await fill(rest, 1)
  await assert.rejects(cache.set('a', 2), isShed('full'))
  end()
  await settled()
  assert.equal(rest.database.saves, 1)
  assert.equal(await cache.get('a'), 1)
})

test('writes behind wait while the store sheds or is not asked: none is buried, all are saved in the end', async () => {
  const clock = new FakeClock()
  const database = new Database()
  const guard = { concurrency: 1, queue: 0, breaker: { minimumCalls: 3 } }
  const store = guardStore(database, guard, { clock, random: seededRandom(1), emit: noEmit })
  const strategy = writeBehind(store, { journal: new MemoryJournal(), flushAfter: 50 })
  const { cache, told } = cacheOn<number>({ strategy, ttl: '10s', jitter: 0 }, undefined, clock)
  const end = await fill({ database, store }, 1)
  await cache.set('a', 1)
  await clock.advance(5_000)
  assert.equal(database.saves, 0)
  assert.ok(told.filter(({ name }) => name === 'store:failed').length < 12, 'it backs off')
  end()
  await settled()
  database.away = true
  await cache.set('b', 2)
  await clock.advance(60_000)
  database.away = false
  await clock.advance(60_000)
  const { rows } = await database.rows.load(['a', 'b'])
  assert.deepEqual([rows.get('a')?.value, rows.get('b')?.value], [1, 2])
  assert.equal(told.filter(({ name }) => name === 'write:buried').length, 0)
  assert.equal(cache.metrics().store?.pending?.writes, 0)
})
