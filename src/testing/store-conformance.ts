/**
 * The contract of a store (`store/store.ts`) as tests: an implementation passes them or is not one.
 *
 * The suite runs under `node:test`, on a fresh store for each test. It keeps to what every database can hold: values are JSON, and whatever
 * a store cannot hold it refuses with a status of its own, without harm to the rest of the batch.
 *
 *     storeConformance({ name: 'my store', versioned: true, remembersRemovals: true, create: async () => ({ store, cleanup: async () => {} }) })
 */
import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { RingtailError } from '../errors.ts'
import { rememberedRemovals } from './store-removal-laws.ts'
import type { StoreConformance } from './store-subject.ts'
import { law, refused, saved } from './store-subject.ts'
import { expectations, ordered, removals, versions, withoutVersions } from './store-version-laws.ts'

export type { StoreConformance, StoreUnderTest } from './store-subject.ts'

export function storeConformance<V>(suite: StoreConformance<V>): void {
  describe(`${suite.name} keeps the contract of a store`, () => {
    batches(suite)
    keysAndValues(suite)
    ends(suite)
    if (suite.versioned) {
      versions(suite)
      expectations(suite)
      ordered(suite)
      removals(suite)
      if (suite.remembersRemovals === true) rememberedRemovals(suite)
    } else {
      withoutVersions(suite)
    }
  })
}

function batches<V>(suite: StoreConformance<V>): void {
  law(suite, 'what was saved is loaded, and a key without a row is absent', async (subject) => {
    const statuses = await subject.store.save(['a', 'b'].map((key) => ({ key, value: subject.wrap({ of: key }), floor: 1n })))
    for (const status of statuses) saved(status)
    const { rows } = await subject.store.load(['b', 'nobody', 'a'])
    assert.deepEqual([...rows.keys()].sort(), ['a', 'b'])
    assert.deepEqual(rows.get('a')?.value, subject.wrap({ of: 'a' }))
    assert.deepEqual(rows.get('b')?.value, subject.wrap({ of: 'b' }))
  })

  law(suite, 'a second save replaces the first', async (subject) => {
    saved(await subject.save('a', { count: 1, only: 'first' }))
    saved(await subject.save('a', { count: 2 }))
    await subject.holds('a', { count: 2 })
  })

  law(suite, 'a batch of 1,000 has one status a save, in order', async (subject) => {
    const keys = Array.from({ length: 1_000 }, (_, index) => `key-${(index * 7_919) % 1_000}`)
    const statuses = await subject.store.save(keys.map((key) => ({ key, value: subject.wrap({ key }), floor: 1n })))
    assert.equal(statuses.length, 1_000)
    const { rows } = await subject.store.load(keys)
    assert.equal(rows.size, 1_000)
    for (const [index, key] of keys.entries()) {
      assert.equal(rows.get(key)!.version, saved(statuses[index]))
      assert.deepEqual(rows.get(key)!.value, subject.wrap({ key }))
    }
    assert.equal((await subject.store.remove(keys.map((key) => ({ key, floor: 1n })))).length, 1_000)
    assert.equal((await subject.store.load(keys)).rows.size, 0)
  })

  law(suite, 'an empty batch is nothing', async (subject) => {
    assert.equal((await subject.store.load([])).rows.size, 0)
    assert.deepEqual(await subject.store.save([]), [])
    assert.deepEqual(await subject.store.remove([]), [])
  })

  law(suite, 'a key asked for twice is loaded', async (subject) => {
    saved(await subject.save('a', 1))
    assert.deepEqual([...(await subject.store.load(['a', 'a'])).rows.keys()], ['a'])
  })

  law(suite, 'statements and rows are counted by shard', async (subject) => {
    saved(await subject.save('a', 1))
    await subject.load('a')
    const total = subject.store.stats().reduce(
      (sum, shard) => ({
        queries: sum.queries + shard.queries,
        rowsLoaded: sum.rowsLoaded + shard.rowsLoaded,
        rowsSaved: sum.rowsSaved + shard.rowsSaved,
      }),
      { queries: 0, rowsLoaded: 0, rowsSaved: 0 },
    )
    assert.deepEqual(total, { queries: 2, rowsLoaded: 1, rowsSaved: 1 })
  })
}

const ODD_KEYS: readonly string[] = [
  '',
  ' ',
  "O'Brien",
  '"quoted"',
  '`',
  '\\',
  '$1',
  '%',
  '{a,b}',
  'a,b',
  'NULL',
  'null',
  'a\nb\tc',
  '__proto__',
  'constructor',
  'toString',
  '日本語',
  'Ä',
  'A\u0308',
  '👩‍👩‍👧',
  'z\u0000z',
  'lone \ud800',
  'lone \ud801',
  `long ${'x'.repeat(2_000)}`,
  `very long ${'x'.repeat(100_000)}`,
  `'; drop table things; --`,
  `"; drop table things; --`,
  `') or 1=1 --`,
]

function keysAndValues<V>(suite: StoreConformance<V>): void {
  law(suite, 'any key is held as it is spelt, or refused without harm to its batch', async (subject) => {
    const keys = [...ODD_KEYS, 'plain']
    const statuses = await subject.store.save(keys.map((key, index) => ({ key, value: subject.wrap(index), floor: 1n })))
    const { rows, failed } = await subject.store.load(keys)
    assert.equal(failed?.size ?? 0, 0)
    saved(statuses.at(-1))
    for (const [index, key] of keys.entries()) {
      if (statuses[index]!.state === 'saved') assert.deepEqual(rows.get(key)?.value, subject.wrap(index), JSON.stringify(key.slice(0, 40)))
      else refused(statuses[index]!, rows.has(key))
    }
    await subject.store.remove(keys.map((key) => ({ key, floor: 1n })))
    assert.equal((await subject.store.load(keys)).rows.size, 0)
  })

  const values: readonly (readonly [string, unknown])[] = [
    ['null', null],
    ['false', false],
    ['nothing', ''],
    ['numbers', [0, -1, 1.5, 1e21, 123_456_789_012_345]],
    ['nested', { a: { b: [{ c: null }, [], {}] } }],
    ['text', `"quotes" 'single' \\ 日本語 👩‍👩‍👧 \n\t`],
    ['SQL', `'; drop table things; --`],
    ['__proto__ as data', JSON.parse('{"__proto__":{"polluted":true},"constructor":1}')],
    ['a NUL within', 'a\u0000b'],
    ['a megabyte', 'x'.repeat(1_000_000)],
  ]
  law(suite, 'any JSON value comes back equal, or is refused without harm to its batch', async (subject) => {
    const statuses = await subject.store.save(values.map(([key, datum]) => ({ key, value: subject.wrap(datum), floor: 1n })))
    const { rows } = await subject.store.load(values.map(([key]) => key))
    for (const [index, [key, datum]] of values.entries()) {
      if (statuses[index]!.state === 'saved') assert.deepEqual(rows.get(key)?.value, subject.wrap(datum), key)
      else refused(statuses[index]!, rows.has(key))
    }
    assert.equal(({} as { polluted?: boolean }).polluted, undefined)
    assert.ok(statuses.filter(({ state }) => state === 'saved').length >= values.length - 1)
  })

  law(suite, 'a value that cannot be held fails alone', async (subject) => {
    const statuses = await subject.store.save([
      { key: 'a', value: subject.wrap(1), floor: 1n },
      { key: 'b', value: subject.wrap(undefined), floor: 1n },
      { key: 'c', value: (() => {}) as V, floor: 1n },
      { key: 'd', value: subject.wrap(4), floor: 1n },
    ])
    saved(statuses[0])
    saved(statuses[3])
    refused(statuses[2]!, (await subject.load('c')) !== undefined)
  })

  law(suite, 'a row does not change with the object that it was saved from or loaded into', async (subject) => {
    const value = subject.wrap({ list: [1] })
    await subject.store.save([{ key: 'a', value, floor: 1n }])
    const before = JSON.stringify(value)
    mutate(value)
    assert.equal(JSON.stringify((await subject.load('a'))?.value), before)
    mutate((await subject.load('a'))?.value)
    assert.equal(JSON.stringify((await subject.load('a'))?.value), before)
  })
}

/** Changes every array within. */
function mutate(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) value.push('changed')
  for (const inner of Object.values(value)) mutate(inner)
}

function ends<V>(suite: StoreConformance<V>): void {
  law(suite, 'a call given up beforehand asks nothing', async (subject) => {
    const reason = new Error('given up')
    const call = { signal: AbortSignal.abort(reason) }
    await assert.rejects(subject.store.load(['a'], call), reason)
    const [status] = await subject.store.save([{ key: 'a', value: subject.wrap(1), floor: 1n }], call)
    assert.ok(status?.state === 'failed' && status.error instanceof RingtailError)
    const [removal] = await subject.store.remove([{ key: 'a', floor: 1n }], call)
    assert.equal(removal!.state, 'failed')
    assert.equal(await subject.load('a'), undefined)
  })

  law(suite, 'a call given up under way says so, and what follows is well', async (subject) => {
    const giveUp = new AbortController()
    const pending = subject.store.save([{ key: 'a', value: subject.wrap(1), floor: 1n }], { signal: giveUp.signal })
    const loading = subject.store.load(['a'], { signal: giveUp.signal }).catch((error: unknown) => error)
    giveUp.abort(new Error('given up'))
    const [status] = await pending
    assert.ok(status !== undefined && ['saved', 'unknown', 'failed'].includes(status.state))
    const loaded = await loading
    assert.ok(loaded instanceof Error ? loaded.message === 'given up' : loaded !== undefined)
    saved(await subject.save('a', 2))
    saved(await subject.save('b', 3))
    await subject.holds('b', 3)
  })

  law(suite, 'a key twice in one call of changes is not saved twice', async (subject) => {
    const statuses = await subject.store.save([1, 2].map((datum) => ({ key: 'a', value: subject.wrap(datum), floor: 1n })))
    assert.deepEqual(
      statuses.map(({ state }) => state),
      ['saved', 'failed'],
    )
    await subject.holds('a', 1)
  })
}
