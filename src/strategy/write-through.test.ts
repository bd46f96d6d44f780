import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { ConflictError, DeadlineError, OverloadError, StoreError, UnsupportedError } from '../errors.ts'
import { memoryStore } from '../store/memory-store.ts'
import type { Save, SaveStatus } from '../store/store.ts'
import { readThrough } from './read-through.ts'
import { writeAround } from './write-around.ts'
import { writeThrough } from './write-through.ts'

const times = { ttl: '10s', jitter: 0 } as const
const rowOf = async (store: ReturnType<typeof memoryStore<number>>, key: string) => (await store.load([key])).rows.get(key)

test('write-through: the store first, then the copies; the next read is a hit', async () => {
  const store = memoryStore<number>()
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  await cache.set('a', 1)
  assert.equal((await rowOf(store, 'a'))!.value, 1)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
})

test('write-through: a save that the store refuses rejects, and the cached copy stays as it was', async () => {
  const store = memoryStore<number>()
  const { cache, told } = cacheOn({ strategy: writeThrough(store), ...times })
  await cache.set('a', 1)
  store.save = async (saves: readonly Save<number>[]): Promise<SaveStatus[]> =>
    saves.map(() => ({ state: 'failed', error: new StoreError('disk full') }))
  await assert.rejects(cache.set('a', 2), StoreError)
  assert.equal(await cache.get('a'), 1)
  assert.deepEqual(told.at(-1), { name: 'store:failed', payload: { cache: 'things', operation: 'save', reason: 'disk full' } })
})

test('write-through: a save without an answer rejects as unknown; the old row is not cached again, the new one is if it comes', async () => {
  const store = memoryStore<number>()
  const { cache, clock } = cacheOn({ strategy: writeThrough(store), ...times })
  await cache.set('a', 1)
  const save = store.save.bind(store)
  const gate = Promise.withResolvers<void>()
  store.save = async (saves) => {
    await gate.promise
    return save(saves)
  }
  const late = assert.rejects(cache.set('a', 2), DeadlineError)
  await clock.advance(1_000)
  await late
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(await cache.getWithOutcome('a'), { value: 1, outcome: 'miss', node: 'n1' })
    await settled()
  }
  gate.resolve()
  await settled()
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 2, outcome: 'miss', node: 'n1' })
  await settled()
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 2, outcome: 'hit', node: 'n1' })
})

test('write-through: of so many keys as may be it is not known whether they are saved; more are shed until that is known', async () => {
  const store = memoryStore<number>()
  const { cache, clock } = cacheOn({ strategy: writeThrough(store), ...times })
  const save = store.save.bind(store)
  store.save = async (saves) => saves.map(() => ({ state: 'unknown', error: new StoreError('connection lost') }))
  const keys = Array.from({ length: 65_536 }, (_, nth): [string, number] => [`k${nth}`, 1])
  const { size } = [...(await cache.setMany(keys)).values()].reduce((codes, each) => codes.add(String(each.ok)), new Set<string>())
  assert.equal(size, 1)
  store.save = save
  const shed = /^OverloadError: cache 'things': needs at most 65536 keys that are being saved or may still be, but got: more$/
  await assert.rejects(cache.set('more', 1), shed)
  await assert.rejects(cache.delete('k1'), shed)
  assert.equal(await rowOf(store, 'more'), undefined)
  await clock.advance(2_000)
  await cache.set('more', 1)
  assert.equal((await rowOf(store, 'more'))!.value, 1)
})

test('write-through: a removal that is made sure of counts as under way until that is over', async () => {
  const store = memoryStore<number>()
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  const remove = store.remove.bind(store)
  const gate = Promise.withResolvers<void>()
  store.remove = async (removals, call) => {
    if (removals.some(({ again }) => again === true)) await gate.promise
    return (await remove(removals, call)).map((status) => (status.state === 'saved' ? { ...status, absent: true } : status))
  }
  const deleting = cache.delete('absent')
  await settled()
  store.save = async (saves) => saves.map(() => ({ state: 'unknown', error: new StoreError('connection lost') }))
  const outcomes = [...(await cache.setMany(Array.from({ length: 65_536 }, (_, nth): [string, number] => [`k${nth}`, 1]))).values()]
  assert.ok(outcomes.some((each) => !each.ok && each.error instanceof OverloadError))
  gate.resolve()
  await deleting
})

test('write-through: an absence that is loaded while a row is inserted does not hide the row', async () => {
  const store = memoryStore<number>()
  const { cache, clock } = cacheOn({ strategy: writeThrough(store), ...times })
  const load = store.load.bind(store)
  const gate = Promise.withResolvers<void>()
  const save = store.save.bind(store)
  store.save = async (saves) => {
    // The version was drawn before; the load begins later and still finds nothing.
    await gate.promise
    return save(saves)
  }
  const writing = cache.set('a', 1)
  await clock.advance(10)
  store.load = async (keys, call) => {
    const loaded = await load(keys, call)
    gate.resolve()
    return loaded
  }
  assert.equal(await cache.get('a'), undefined)
  await writing
  await settled()
  assert.equal(await cache.get('a'), 1)
})

test('write-through: a row deleted by other SQL is found out by the refresh of its stale copy', async () => {
  const store = memoryStore<number>({ rows: [['a', 1]] })
  const { cache, clock } = cacheOn({ strategy: writeThrough(store), grace: '1m', ...times })
  await cache.get('a')
  await settled()
  store.load = async () => ({ rows: new Map() })
  await clock.advance(10_000)
  assert.equal(await cache.get('a'), 1)
  await settled()
  assert.equal(await cache.get('a'), undefined)
})

test('write-through: a value that the cache could not hold is refused before it is saved, and the others of its call are not', async () => {
  const store = memoryStore<unknown>()
  const { cache } = cacheOn<unknown>({ strategy: writeThrough(store), ...times })
  const results = await cache.setMany([
    ['a', 1],
    ['b', { tags: new Set(['x']) }],
    ['x'.repeat(2_000), 2],
  ])
  assert.deepEqual(
    [...results.values()].map((result) => (result.ok ? 'ok' : (result.error as { code?: string }).code)),
    ['ok', 'ENCODE_FAILED', 'CONFIGURATION'],
  )
  assert.equal(store.size, 1)
  assert.equal(await cache.get('a'), 1)
})

test('write-through: what is cached is what was given, whatever its owner does with it meanwhile', async () => {
  const store = memoryStore<{ n: number }>()
  const { cache } = cacheOn<{ n: number }>({ strategy: writeThrough(store), ...times })
  const value = { n: 1 }
  const writing = cache.set('a', value)
  value.n = 99
  await writing
  assert.deepEqual(await cache.get('a'), { n: 1 })
  assert.deepEqual((await store.load(['a'])).rows.get('a')!.value, { n: 1 })
})

test('write-through: an update that returns nothing is refused and writes nothing', async () => {
  const store = memoryStore<number>({ rows: [['a', 1]] })
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  await assert.rejects(
    cache.update('a', () => undefined as never),
    { code: 'CONFIGURATION' },
  )
  assert.equal(await cache.get('a'), 1)
})

test('write-through: commits and puts that interleave leave the last committed row', async () => {
  const store = memoryStore<number>()
  const { cache, cluster } = cacheOn({ strategy: writeThrough(store), ...times })
  const held = Promise.withResolvers<void>()
  cluster.hold = held.promise
  const first = cache.set('a', 1)
  await settled()
  cluster.hold = undefined
  await cache.set('a', 2)
  held.resolve()
  await first
  assert.equal((await rowOf(store, 'a'))!.value, 2)
  assert.equal(await cache.get('a'), 2)
})

test('write-through: with every node down a set still reaches the store, and the tier is told', async () => {
  const store = memoryStore<number>()
  const { cache, cluster, told } = cacheOn({ strategy: writeThrough(store), ...times })
  cluster.reachable = false
  await cache.set('a', 1)
  await cache.delete('b')
  assert.equal((await rowOf(store, 'a'))!.value, 1)
  assert.deepEqual(
    told.map(({ name, payload }) => [name, 'operation' in payload && payload.operation]),
    [
      ['cache:bypassed', 'write'],
      ['cache:bypassed', 'delete'],
    ],
  )
})

test('write-through: delete removes the row and the copies', async () => {
  const store = memoryStore<number>({ rows: [['a', 1]] })
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  await cache.get('a')
  await settled()
  await cache.delete('a')
  assert.equal(await rowOf(store, 'a'), undefined)
  assert.equal(await cache.get('a'), undefined)
})

test('write-through: an insert clears a remembered absence', async () => {
  const { cache } = cacheOn({ strategy: writeThrough(memoryStore<number>()), ...times })
  await cache.get('a')
  await settled()
  assert.equal((await cache.getWithOutcome('a')).outcome, 'negative')
  await cache.set('a', 1)
  assert.equal(await cache.get('a'), 1)
})

test('write-through: a slow load of the old row does not overwrite a newer write', async () => {
  const store = memoryStore<number>({ rows: [['a', 1]] })
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  const load = store.load.bind(store)
  const gate = Promise.withResolvers<void>()
  store.load = async (keys, call) => {
    const loaded = await load(keys, call)
    await gate.promise
    return loaded
  }
  const slow = cache.get('a')
  await settled()
  await cache.set('a', 2)
  gate.resolve()
  assert.equal(await slow, 1)
  await settled()
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 2, outcome: 'hit', node: 'n1' })
})

test('write-through on a store without versions removes the copies instead of replacing them', async () => {
  const store = memoryStore<number>({ rows: [['a', 1]], versioned: false })
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  await cache.get('a')
  await settled()
  await cache.set('a', 2)
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 2, outcome: 'miss', node: 'n1' })
  await assert.rejects(
    cache.update('a', (n) => n! + 1),
    UnsupportedError,
  )
})

test('write-through: concurrent updates lose no increment', async () => {
  const store = memoryStore<number>({ rows: [['n', 0]] })
  const { cache, clock } = cacheOn({ strategy: writeThrough(store), ...times })
  let done = false
  const all = Promise.all(Array.from({ length: 8 }, () => cache.update('n', (n) => n! + 1))).finally(() => {
    done = true
  })
  while (!done) await clock.advance(50)
  await all
  assert.equal((await rowOf(store, 'n'))!.value, 8)
  assert.equal(await cache.get('n'), 8)
})

test('write-through: an undisturbed update of a cached row costs the store one call', async () => {
  const store = memoryStore<number>({ rows: [['n', 0]] })
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  await cache.get('n')
  await settled()
  const before = store.stats()[0]!.queries
  assert.equal(await cache.update('n', (n) => n! + 1), 1)
  assert.equal(store.stats()[0]!.queries - before, 1)
})

test('write-through: an update that always meets another change gives up with a ConflictError', async () => {
  const store = memoryStore<number>({ rows: [['n', 0]] })
  const { cache, clock } = cacheOn({ strategy: writeThrough(store), ...times })
  let done = false
  const update = cache
    .update('n', async (n) => {
      await cache.set('n', 50)
      return n! + 1
    })
    .finally(() => {
      done = true
    })
  const rejected = assert.rejects(update, ConflictError)
  while (!done) await clock.advance(50)
  await rejected
})

test('write-through: an update that its function gives up leaves everything as it was', async () => {
  const store = memoryStore<number>({ rows: [['n', 3]] })
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  await assert.rejects(
    cache.update('n', () => {
      throw new RangeError('sold out')
    }),
    RangeError,
  )
  assert.equal(await cache.get('n'), 3)
})

test('write-around: the store first, then no copy; the next read loads', async () => {
  const store = memoryStore<number>({ rows: [['a', 1]] })
  const { cache } = cacheOn({ strategy: writeAround(store), ...times })
  await cache.get('a')
  await settled()
  await cache.set('a', 2)
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 2, outcome: 'miss', node: 'n1' })
  await settled()
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 2, outcome: 'hit', node: 'n1' })
})

test('read-through: set and update are refused with what to use instead; delete forgets the copy alone', async () => {
  const store = memoryStore<number>({ rows: [['a', 1]] })
  const { cache } = cacheOn({ strategy: readThrough(store), ...times })
  await assert.rejects(cache.set('a', 2), /use writeThrough/)
  await assert.rejects(
    cache.update('a', () => 2),
    UnsupportedError,
  )
  await cache.get('a')
  await settled()
  await cache.delete('a')
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 1, outcome: 'miss', node: 'n1' })
})

test("a store's queries and the reads that it was spared are told", async () => {
  const store = memoryStore<number>({ rows: [['a', 1]] })
  const { cache } = cacheOn({ strategy: writeThrough(store), ...times })
  await cache.get('a')
  await settled()
  await cache.get('a')
  await cache.set('a', 2)
  const told = cache.metrics().store!
  assert.deepEqual([told.queries, told.keysLoaded, told.keysAvoided, told.shards[0]!.queries], [2, 1, 1, 2])
})

test('an absence is kept as long as it is remembered, and in a tombstone’s place as long as that would have been', async () => {
  const reading = cacheOn({ strategy: readThrough(memoryStore<number>()), negativeTtl: '2s', ...times })
  await reading.cache.get('a')
  await settled()
  assert.equal(reading.cluster.entries.get('rt:things:a')!.ttlMs, 2_000)
  const writing = cacheOn({ strategy: writeThrough(memoryStore<number>({ rows: [['a', 1]] })), negativeTtl: '2s', ...times })
  await writing.cache.delete('a')
  await writing.cache.get('a')
  await settled()
  assert.equal(writing.cluster.entries.get('rt:things:a')!.ttlMs, 300_000)
  assert.equal((await writing.cache.getWithOutcome('a')).outcome, 'negative')
})
