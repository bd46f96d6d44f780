import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn } from '../../tests/support/cache-bench.ts'
import { MapCluster } from '../../tests/support/map-cluster.ts'
import type { Version } from '../entry.ts'
import { StoreError } from '../errors.ts'
import type { Removal, Row, Save, SaveStatus, Store } from '../store/store.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { writeAround } from './write-around.ts'
import { writeThrough } from './write-through.ts'

/** A database whose transactions read the clock in another order than that in which they commit: versions are as the test says, or follow. */
class UnorderedStore implements Store<string> {
  readonly name = 'unordered'
  readonly versioned = true
  remembersRemovals = false
  readonly rows = new Map<string, Row<string>>()
  /** Of the next save or removal, instead of what follows from the row and the floor. */
  next: Version | undefined
  saves = 0
  /** What became of removals that were sent again, if not what should. */
  again: SaveStatus | undefined

  async load(keys: readonly string[]) {
    return { rows: new Map(keys.flatMap((key) => (this.rows.has(key) ? [[key, this.rows.get(key)!] as const] : []))) }
  }

  async save(saves: readonly Save<string>[]): Promise<SaveStatus[]> {
    this.saves++
    return saves.map(({ key, value, floor, expected }) => {
      const held = this.rows.get(key)?.version ?? 0n
      if (expected !== undefined && expected !== held) return { state: 'conflict', version: held }
      const version = this.#version(floor, held)
      // Committed before the row that is there.
      if (version > held) this.rows.set(key, { value, version })
      return { state: 'saved', version }
    })
  }

  async remove(removals: readonly Removal[]): Promise<SaveStatus[]> {
    return removals.map(({ key, floor, again }) => {
      const held = this.rows.get(key)
      if (again === true && this.again !== undefined) return this.again
      if (again === true && held !== undefined && held.version > floor) return { state: 'conflict', version: held.version }
      if (again === true) this.next = floor
      const version = this.#version(floor, held?.version ?? 0n)
      this.rows.delete(key)
      return held === undefined ? { state: 'saved', version, absent: true } : { state: 'saved', version }
    })
  }

  stats() {
    return []
  }

  #version(floor: Version, held: Version): Version {
    const version = this.next ?? (held >= floor ? held + 1n : floor)
    this.next = undefined
    return version
  }
}

const times = { ttl: '10s', jitter: 0 } as const
/** Of any time well after the tests' own. */
const LATER = 1n << 62n

for (const strategyOf of [writeThrough<string>, writeAround<string>]) {
  const { name } = strategyOf(new UnorderedStore())

  test(`${name}: a row made again below the version of its removal is made newer, and is read from the cache`, async () => {
    const store = new UnorderedStore()
    const { cache } = cacheOn({ strategy: strategyOf(store), ...times })
    await cache.set('a', 'first')
    store.next = LATER
    await cache.delete('a')
    store.next = LATER - 21n
    await cache.set('a', 'again')
    assert.deepEqual([store.rows.get('a')!.value, store.rows.get('a')!.version > LATER], ['again', true])
    assert.equal(await cache.get('a'), 'again')
    assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
  })

  test(`${name}: an absence that was remembered above a row's version does not hide the row`, async () => {
    const store = new UnorderedStore()
    const { cache } = cacheOn({ strategy: strategyOf(store), ...times })
    store.next = LATER
    await cache.delete('a')
    assert.equal(await cache.get('a'), undefined)
    assert.equal((await cache.getWithOutcome('a')).outcome, 'negative')
    store.next = LATER - 21n
    await cache.set('a', 'made')
    assert.equal(await cache.get('a'), 'made')
  })

  test(`${name}: a removal that found no row, and was followed by one of a lower version, does not hide it`, async () => {
    const clock = new FakeClock()
    const cluster = new MapCluster(clock)
    const store = new UnorderedStore()
    const { cache } = cacheOn({ strategy: strategyOf(store), ...times }, cluster, clock)
    const other = cacheOn({ strategy: strategyOf(store), ...times }, cluster, clock)
    const remove = store.remove.bind(store)
    store.remove = async (removals) => {
      store.next = LATER
      const statuses = await remove(removals)
      // Another process makes the row and its copy, all before the removal's tombstone is put.
      store.next = LATER - 21n
      await other.cache.set('a', 'made')
      return statuses
    }
    await cache.delete('a')
    assert.equal(await cache.get('a'), 'made')
    assert.ok(store.rows.get('a')!.version > LATER)
  })

  test(`${name}: a write that a newer one overtook is left alone`, async () => {
    const store = new UnorderedStore()
    const { cache } = cacheOn({ strategy: strategyOf(store), ...times })
    store.next = LATER
    await cache.set('a', 'newer')
    const { saves } = store
    store.next = LATER - 21n
    await cache.set('a', 'older')
    assert.equal(store.saves, saves + 1)
  })

  /** Between the removal of 'a' and its tombstone another process makes a row and its copy, of `version` at least. */
  async function removedAmid(version: Version) {
    const clock = new FakeClock()
    const cluster = new MapCluster(clock)
    const store = new UnorderedStore()
    store.remembersRemovals = true
    const { cache, told } = cacheOn({ strategy: strategyOf(store), ...times }, cluster, clock)
    const other = cacheOn({ strategy: strategyOf(store), ...times }, cluster, clock)
    const remove = store.remove.bind(store)
    let removals = 0
    store.remove = async (asked) => {
      if (removals++ > 0) return remove(asked)
      store.next = LATER
      const statuses = await remove(asked)
      store.next = version
      await other.cache.set('a', 'made')
      return statuses
    }
    return { store, cache, other: other.cache, told, clock, removals: () => removals }
  }

  test(`${name}: a removal that found no row removes what came below it meanwhile, where the store remembers removals`, async () => {
    const { store, cache, other, removals } = await removedAmid(LATER - 21n)
    await cache.delete('a')
    assert.deepEqual([removals(), store.rows.has('a')], [2, false])
    assert.deepEqual([await cache.get('a'), await other.get('a')], [undefined, undefined])
  })

  test(`${name}: a removal that found no row leaves what came above it meanwhile, where the store remembers removals`, async () => {
    const { store, cache, other, removals } = await removedAmid(LATER + 21n)
    await cache.delete('a')
    assert.deepEqual([removals(), store.rows.get('a')?.value], [2, 'made'])
    assert.deepEqual([await cache.get('a'), await other.get('a')], ['made', 'made'])
  })

  test(`${name}: a removal whose second look fails is not acknowledged`, async () => {
    const { store, cache, told, clock } = await removedAmid(LATER - 21n)
    store.again = { state: 'unknown', error: new StoreError('no answer') }
    await assert.rejects(cache.delete('a'), { message: /no answer/ })
    assert.deepEqual(
      told.filter(({ name: event }) => event === 'store:failed').map(({ payload }) => payload),
      [{ cache: 'things', operation: 'remove', reason: 'no answer' }],
    )
    // What is there after all is served when the removal can no longer happen.
    await clock.advance(60_000)
    assert.equal(await cache.get('a'), 'made')
  })
}
