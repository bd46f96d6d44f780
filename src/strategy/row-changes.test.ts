import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { MapCluster } from '../../tests/support/map-cluster.ts'
import type { Version } from '../entry.ts'
import { type MemoryStore, memoryStore } from '../store/memory-store.ts'
import type { Row, Store } from '../store/store.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { versionAt } from '../version-clock.ts'
import { cacheAside } from './cache-aside.ts'
import { readThrough } from './read-through.ts'
import type { RowChange } from './strategy.ts'
import { writeThrough } from './write-through.ts'

const times = { ttl: '10s', jitter: 0 } as const

/** A table whose rows are changed by hand, of the versions that a test says. */
function table() {
  const rows = new Map<string, Row<number>>()
  const store: Store<number> = {
    name: 'table',
    versioned: true,
    load: async (keys) => ({ rows: new Map(keys.flatMap((key) => (rows.has(key) ? [[key, rows.get(key)!] as const] : []))) }),
    save: async (saves) =>
      saves.map(({ key, value, floor, expected }) => {
        const held = rows.get(key)?.version ?? 0n
        if (expected !== undefined && expected !== held) return { state: 'conflict', version: held }
        const version = held >= floor ? held + 1n : floor
        rows.set(key, { value, version })
        return { state: 'saved', version }
      }),
    remove: async (removals) =>
      removals.map(({ key, floor }) => {
        rows.delete(key)
        return { state: 'saved', version: floor }
      }),
    stats: () => [],
  }
  return { rows, store }
}

const change = (op: RowChange<number>['op'], version: Version | undefined, more: Partial<RowChange<number>> = {}): RowChange<number> => ({
  key: 'a',
  op,
  version,
  rising: true,
  committedMs: 0,
  ...more,
})

async function outcomeOf(cache: ReturnType<typeof cacheOn<number>>['cache']) {
  const { value, outcome } = await cache.getWithOutcome('a')
  await settled()
  return [value, outcome]
}

async function warmed(version: Version) {
  const { rows, store } = table()
  const bench = cacheOn<number>({ strategy: writeThrough(store), ...times })
  rows.set('a', { value: 1, version })
  await outcomeOf(bench.cache)
  assert.deepEqual(await outcomeOf(bench.cache), [1, 'hit'])
  return { rows, store, ...bench }
}

test('the row before a change is out, also where its version was the one just below; the row as it is comes in and stays', async () => {
  const { rows, cache } = await warmed(7n)
  rows.set('a', { value: 2, version: 8n })
  await cache.applyChanges([change('update', 8n)])
  assert.deepEqual(await outcomeOf(cache), [2, 'miss'])
  await cache.applyChanges([change('update', 8n)])
  assert.deepEqual(await outcomeOf(cache), [2, 'hit'], 'heard of again, it undoes nothing')
})

test('an entry that a process with a clock ahead has loaded is out all the same', async () => {
  const clock = new FakeClock()
  const cluster = new MapCluster(clock)
  const { rows, store } = table()
  const ahead = new FakeClock(clock.now() + 400)
  rows.set('a', { value: 1, version: 7n })
  const other = cacheOn<number>({ strategy: writeThrough(store), ...times }, cluster, ahead)
  await outcomeOf(other.cache)
  rows.set('a', { value: 2, version: 8n })
  const { cache } = cacheOn<number>({ strategy: writeThrough(store), ...times }, cluster, clock)
  await cache.applyChanges([change('update', 8n)])
  assert.deepEqual(await outcomeOf(cache), [2, 'miss'])
})

test('where versions are not known to rise, whatever lies there is out, and the row may be kept again', async () => {
  const { rows, cache } = await warmed(7n)
  rows.set('a', { value: 2, version: 7n })
  await cache.applyChanges([change('update', 7n, { rising: false })])
  assert.deepEqual(await outcomeOf(cache), [2, 'miss'])
  assert.deepEqual(await outcomeOf(cache), [2, 'hit'])
  rows.set('a', { value: 3, version: 1n })
  await cache.applyChanges([change('insert', 1n, { rising: false })])
  assert.deepEqual(await outcomeOf(cache), [3, 'miss'])
})

test('a deleted row is out whatever its version was, and an older put of it that comes late stays out', async () => {
  const version = versionAt(1_000) + 5n
  const { rows, cache, keyspace } = await warmed(version)
  rows.delete('a')
  await cache.applyChanges([change('delete', undefined, { committedMs: 1_000 })])
  const late = { key: 'a', value: 1, kind: 'value', version, begunMs: keyspace.nowMs() - 1, loadCostMs: 0 } as const
  assert.equal((await keyspace.putMany([late]))[0]!.state, 'refused')
  assert.deepEqual(await outcomeOf(cache), [undefined, 'miss'])
})

test('a put of a deleted row that comes late stays out, though nothing lay there', async () => {
  const { store } = table()
  const { cache, keyspace } = cacheOn<number>({ strategy: writeThrough(store), ...times })
  await cache.applyChanges([change('delete', undefined, { committedMs: 1_000 })])
  const late = { key: 'a', value: 1, kind: 'value', version: versionAt(1_000) + 5n, begunMs: keyspace.nowMs() - 1, loadCostMs: 0 } as const
  assert.equal((await keyspace.putMany([late]))[0]!.state, 'refused')
})

test('a row made again below an absence is read, and then from the cache', async () => {
  const { rows, cache } = await warmed(7n)
  rows.delete('a')
  const deletedMs = 5_000
  await cache.applyChanges([change('delete', undefined, { committedMs: deletedMs })])
  await outcomeOf(cache)
  assert.deepEqual(await outcomeOf(cache), [undefined, 'negative'])
  // Its transaction read the clock before that of the removal did.
  const version = versionAt(deletedMs - 10)
  rows.set('a', { value: 9, version })
  await cache.applyChanges([change('insert', version, { committedMs: deletedMs + 10 })])
  assert.equal(await cache.get('a'), 9)
  await settled()
  assert.deepEqual(await outcomeOf(cache), [9, 'hit'])
})

test('a refresh is cached unless it is late or something newer is, and one that does not fit removes what is older', async () => {
  const { rows, cache, store, clock } = await warmed(7n)
  const committedMs = clock.now()
  rows.set('a', { value: 2, version: 8n })
  const load = store.load
  store.load = () => Promise.reject(new Error('nobody asks'))
  await cache.applyChanges([change('update', 8n, { row: { value: 2 }, committedMs })])
  assert.deepEqual(await outcomeOf(cache), [2, 'hit'])
  await cache.applyChanges([change('update', 7n, { row: { value: 1 }, committedMs })])
  assert.deepEqual(await outcomeOf(cache), [2, 'hit'])
  store.load = load
  const unfit = (() => 0) as unknown as number
  rows.set('a', { value: 3, version: 9n })
  assert.deepEqual((await cache.applyChanges([change('update', 9n, { row: { value: unfit }, committedMs })])).get('a'), { ok: true })
  assert.deepEqual(await outcomeOf(cache), [3, 'miss'])
  await clock.advance(6_000)
  rows.set('a', { value: 5, version: 11n })
  await cache.applyChanges([change('update', 10n, { row: { value: 4 }, committedMs })])
  assert.deepEqual(await outcomeOf(cache), [5, 'miss'])
})

test('nodes that do not answer are an error, to be told again; what cannot be a key is none', async () => {
  const { cluster, cache } = await warmed(7n)
  cluster.reachable = false
  for (const rising of [true, false]) {
    const result = (await cache.applyChanges([change('update', 8n, { rising })])).get('a')!
    assert.equal(result.ok, false)
  }
  cluster.reachable = true
  const keyless = await cache.applyChanges([
    change('update', 8n, { key: 'x'.repeat(5_000) }),
    change('update', 8n, { key: 'x'.repeat(5_001), rising: false }),
  ])
  assert.ok([...keyless.values()].every(({ ok }) => ok))
})

const unordered: readonly (readonly [string, (store: MemoryStore<number>) => Parameters<typeof cacheOn<number>>[0]])[] = [
  ['read-through', (store) => ({ strategy: readThrough(store), ...times })],
  ['write-through without versions', (store) => ({ strategy: writeThrough(store), ...times })],
  ['plain values', (store) => ({ strategy: readThrough(store), keys: 'plain', ...times })],
]
for (const [name, optionsOf] of unordered) {
  test(`${name}: what is cached is forgotten, whatever its version`, async () => {
    const store = memoryStore<number>({ rows: [['a', 1]], versioned: false })
    const { cache } = cacheOn<number>(optionsOf(store))
    await outcomeOf(cache)
    assert.deepEqual(await outcomeOf(cache), [1, 'hit'])
    await store.save([{ key: 'a', value: 2, floor: 1n }])
    await cache.applyChanges([change('update', 5n)])
    assert.deepEqual(await outcomeOf(cache), [2, 'miss'])
  })
}

test('cache-aside: what is cached is forgotten', async () => {
  const { cache } = cacheOn<number>({ strategy: cacheAside(), ...times })
  await cache.set('a', 1)
  await cache.applyChanges([change('update', 5n)])
  assert.equal(await cache.get('a'), undefined)
})

test('however changes and loads interleave, and whatever is told twice, a row is never older than what was told', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('update' as const), by: fc.constantFrom(1n, 5n) }),
    fc.record({ do: fc.constantFrom('delete' as const, 'read' as const, 'tell' as const, 'replay' as const, 'tick' as const) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, refreshes) => {
      const { rows, store } = table()
      const clock = new FakeClock(1_700_000_000_000)
      const { cache } = cacheOn<number>({ strategy: writeThrough(store), ...times }, undefined, clock)
      let [version, n] = [versionAt(clock.now()), 0]
      const log: RowChange<number>[] = []
      let told = 0
      for (const each of steps) {
        if (each.do === 'update') {
          const op = rows.has('a') ? 'update' : 'insert'
          const held = rows.get('a')?.version ?? 0n
          version = [held, version, versionAt(clock.now())].reduce((a, b) => (a > b ? a : b)) + each.by
          rows.set('a', { value: ++n, version })
          log.push(change(op, version, { committedMs: clock.now(), row: refreshes ? { value: n } : undefined }))
        } else if (each.do === 'delete' && rows.delete('a')) log.push(change('delete', undefined, { committedMs: clock.now() }))
        else if (each.do === 'read') await outcomeOf(cache)
        else if (each.do === 'tick') await clock.advance(3)
        else if (each.do === 'replay') for (const old of log.slice(Math.max(0, told - 3), told)) await cache.applyChanges([old])
        else if (each.do === 'tell' && told < log.length) await cache.applyChanges([log[told++]!])
      }
      while (told < log.length) await cache.applyChanges([log[told++]!])
      assert.equal(await cache.get('a'), rows.get('a')?.value)
    }),
    { numRuns: 300, seed: 5 },
  )
})
