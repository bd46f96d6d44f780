import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { type Clock, systemClock } from '../clock.ts'
import { StoreError } from '../errors.ts'
import { type PostgresStoreOptions, postgresStore } from './postgres-store.ts'
import { type PostgresTableOptions, postgresTable, postgresVersionTrigger } from './postgres-table.ts'
import type { SaveStatus, Store } from './store.ts'

let server: RunningPostgres
let pool: pg.Pool

before(async () => {
  server = await startPostgres({ settings: { deadlock_timeout: '50ms' } })
  pool = server.pool()
})
after(() => server?.stop())

let tables = 0

/** A store on a new table of its own. */
async function fresh<V>(options: Omit<Partial<PostgresStoreOptions>, 'pool'> = {}, on: pg.Pool = pool) {
  const { name: _, maxBatch: __, prepare: ___, clock: ____, ...rest } = options
  const table: PostgresTableOptions = { ...rest, table: `things_${++tables}` }
  await on.query(postgresTable(table))
  const store = postgresStore<V>({ ...options, ...table, pool: on })
  return { store, table: table.table, cleanup: async () => void (await on.query(`drop table ${table.table}`)) }
}

const COLUMNS = { name: 'text', priceCents: { column: 'price_cents', type: 'int' }, attributes: 'jsonb' } as const
interface Thing {
  name: string
  priceCents: number
  attributes: unknown
}
const thing = (datum: unknown): Thing => ({ name: 'thing', priceCents: 995, attributes: datum as never })

const states = (statuses: readonly SaveStatus[]) => statuses.map(({ state }) => state)
const save = <V>(store: Store<V>, rows: readonly (readonly [string, V])[]) =>
  store.save(rows.map(([key, value]) => ({ key, value, floor: 1n })))

describe('a batch is one statement', () => {
  test('to load, to save, to save conditionally and to remove', async () => {
    const { store } = await fresh<number>()
    const queries = () => store.stats()[0]!.queries
    const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`)
    await store.save(keys.map((key, value) => ({ key, value, floor: 1n })))
    assert.equal(queries(), 1)
    const { rows } = await store.load(keys)
    assert.equal(queries(), 2)
    await store.save(keys.map((key, value) => ({ key, value, floor: 1n, expected: value % 2 === 0 ? rows.get(key)!.version : 5n })))
    assert.equal(queries(), 3)
    await store.remove(keys.map((key) => ({ key, floor: 1n })))
    assert.equal(queries(), 4)
    assert.deepEqual(store.stats(), [{ id: store.name, queries: 4, rowsLoaded: 100, rowsSaved: 250 }])
  })

  test('of at most maxBatch rows', async () => {
    const { store } = await fresh<number>({ maxBatch: 10 })
    await save(
      store,
      Array.from({ length: 25 }, (_, index) => [`${index}`, index]),
    )
    assert.equal(store.stats()[0]!.queries, 3)
  })
})

describe('a key that the column cannot hold', () => {
  test('is not there on load and fails alone on save, on a bigint column', async () => {
    const { store } = await fresh<string>({ keyType: 'bigint' })
    const keys = ['7', 'abc', '007', '-3', '9223372036854775807', '9223372036854775808', '1.5', '', '-0', "1' or '1'='1"]
    const statuses = await save(
      store,
      keys.map((key) => [key, key]),
    )
    assert.deepEqual(states(statuses), ['saved', 'failed', 'failed', 'saved', 'saved', ...Array(5).fill('failed')])
    const { rows, failed } = await store.load(keys)
    assert.deepEqual([...rows].map(([key, { value }]) => [key, value]).sort(), [
      ['-3', '-3'],
      ['7', '7'],
      ['9223372036854775807', '9223372036854775807'],
    ])
    assert.equal(failed?.size, 0)
    assert.deepEqual(
      states(
        await store.remove([
          { key: 'abc', floor: 1n },
          { key: '7', floor: 1n },
        ]),
      ),
      ['failed', 'saved'],
    )
  })

  test('is one that is not spelt as PostgreSQL prints it, on a uuid column', async () => {
    const { store } = await fresh<number>({ keyType: 'uuid' })
    const uuid = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'
    assert.deepEqual(
      states(
        await save(store, [
          [uuid, 1],
          [uuid.toUpperCase(), 2],
          [`{${uuid}}`, 3],
        ]),
      ),
      ['saved', 'failed', 'failed'],
    )
    assert.deepEqual([...(await store.load([uuid, uuid.toUpperCase()])).rows.keys()], [uuid])
  })

  test('or any string at all, is held as it is spelt or refused', async () => {
    const { store } = await fresh<string>()
    const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code))
    const anyKeys = fc.uniqueArray(fc.oneof(fc.string({ unit }), fc.string({ unit: 'grapheme' }), fc.string()), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(anyKeys, async (keys) => {
        const statuses = await save(
          store,
          keys.map((key) => [key, [...key].map((each) => each.codePointAt(0)).join()]),
        )
        const { rows } = await store.load(keys)
        for (const [index, key] of keys.entries()) {
          const holds = key.isWellFormed() && !key.includes('\0')
          assert.equal(statuses[index]!.state, holds ? 'saved' : 'failed')
          assert.equal(rows.get(key)?.value, holds ? [...key].map((each) => each.codePointAt(0)).join() : undefined)
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('a row that the database refuses', () => {
  test('fails alone, with the database’s own error as the cause', async () => {
    const { store, table } = await fresh<Thing>({ columns: COLUMNS })
    await pool.query(`alter table ${table} add check (price_cents >= 0), alter name set not null`)
    const rows = Array.from({ length: 40 }, (_, index) => [`${index}`, thing(index)] as const)
    rows[3]![1].priceCents = -1
    rows[17]![1].priceCents = 2 ** 40
    rows[30]![1].name = null as unknown as string
    rows[31]![1].priceCents = 'many' as unknown as number
    const statuses = await save(store, rows)
    const bad = statuses.flatMap(({ state }, index) => (state === 'saved' ? [] : [index]))
    assert.deepEqual(bad, [3, 17, 30, 31])
    const codes = bad.map((index) => (statuses[index] as { error: StoreError }).error.cause as { code: string })
    assert.deepEqual(
      codes.map(({ code }) => code),
      ['23514', '22003', '23502', '22P02'],
    )
    assert.equal((await store.load(rows.map(([key]) => key))).rows.size, 36)
  })

  test('fails all, in one statement, where the fault is the table’s', async () => {
    const store = postgresStore<number>({ pool, table: 'nowhere' })
    const statuses = await save(store, [
      ['a', 1],
      ['b', 2],
    ])
    assert.deepEqual(states(statuses), ['failed', 'failed'])
    assert.equal(store.stats()[0]!.queries, 1)
    await assert.rejects(store.load(['a']), StoreError)
  })
})

describe('values in columns', () => {
  test('come back as they were saved, whatever their types', async () => {
    const columns = {
      sku: { column: 'key', type: 'text' },
      big: { type: 'bigint', as: 'text' },
      small: 'bigint',
      price: 'numeric(12,2)',
      at: 'timestamptz',
      tags: 'text[]',
      live: 'boolean',
      note: 'text',
    } as const
    const { store } = await fresh<Record<string, unknown>>({ columns })
    const value = {
      sku: 'B1',
      big: '9223372036854775807',
      small: 12,
      price: 12.5,
      at: '2026-01-02T03:04:05.678+00:00',
      tags: ['a"b', 'c,d'],
      live: true,
      note: null,
    }
    assert.deepEqual(states(await save(store, [['B1', value]])), ['saved'])
    assert.deepEqual((await store.load(['B1'])).rows.get('B1')?.value, value)
  })

  test('are refused with a property that has no column, or another key than their own', async () => {
    const { store } = await fresh<Record<string, unknown>>({ columns: { sku: { column: 'key', type: 'text' }, name: 'text' } })
    const statuses = await save(store, [
      ['a', { sku: 'a', name: 'x' }],
      ['b', { name: 'x' }],
      ['c', { sku: 'other', name: 'x' }],
      ['d', { name: 'x', colour: 'red' }],
      ['e', ['x'] as never],
    ])
    assert.deepEqual(states(statuses), ['saved', 'saved', 'failed', 'failed', 'failed'])
  })

  test('do not depend on the parsers of the caller’s pg', async () => {
    const types = { getTypeParser: () => () => 'parsed by somebody else' }
    const { store } = await fresh<unknown>({}, server.pool('postgres', { types } as pg.PoolConfig))
    const [status] = await save(store, [['a', { n: 1 }]])
    assert.deepEqual((await store.load(['a'])).rows.get('a'), { value: { n: 1 }, version: (status as { version: bigint }).version })
  })
})

describe('rows that others wrote', () => {
  test('before there was a version are of version 1, and can be saved over it', async () => {
    const { store, table } = await fresh<number>()
    await pool.query(`alter table ${table} alter version drop not null; insert into ${table} values ('a', '1', 0), ('b', '2', null)`)
    const { rows } = await store.load(['a', 'b'])
    assert.deepEqual([rows.get('a')?.version, rows.get('b')?.version], [1n, 1n])
    assert.equal((await store.save([{ key: 'a', value: 0, floor: 1n, expected: 0n }]))[0]!.state, 'conflict')
    const statuses = await store.save(['a', 'b'].map((key) => ({ key, value: 9, floor: 1n, expected: 1n })))
    assert.deepEqual(states(statuses), ['saved', 'saved'])
  })

  test('are versioned by the trigger, and the store’s own saves keep theirs', async () => {
    const { store, table } = await fresh<number>()
    await pool.query(postgresVersionTrigger({ table }))
    await pool.query(postgresVersionTrigger({ table }))
    const far = 2n ** 62n
    await pool.query(`insert into ${table} (key, value) values ('a', '1')`)
    const made = (await store.load(['a'])).rows.get('a')!.version
    assert.ok(made > 2n ** 58n)
    await pool.query(`update ${table} set value = '2' where key = 'a'`)
    assert.ok((await store.load(['a'])).rows.get('a')!.version > made)
    assert.deepEqual(await store.save([{ key: 'a', value: 3, floor: far }]), [{ state: 'saved', version: far }])
    await pool.query(`update ${table} set value = '4' where key = 'a'`)
    assert.equal((await store.load(['a'])).rows.get('a')!.version, far + 1n)
  })

  test('at the same moment are told apart from those that were expected', async () => {
    const { store, table } = await fresh<string>()
    const other = await pool.connect()
    try {
      await other.query('begin')
      await other.query(`insert into ${table} values ('a', '"theirs"', 42)`)
      const pending = store.save([
        { key: 'a', value: 'ours', floor: 1n, expected: 0n },
        { key: 'b', value: 'ours', floor: 1n, expected: 0n },
      ])
      await waiting(1)
      await other.query('commit')
      const statuses = await pending
      assert.deepEqual(statuses[0], { state: 'conflict', version: 42n })
      assert.equal(statuses[1]!.state, 'saved')
      assert.equal((await store.load(['a'])).rows.get('a')?.value, 'theirs')
    } finally {
      other.release()
    }
  })

  test('at the same moment raise the version of a save that waited for them', async () => {
    const { store, table } = await fresh<string>()
    const other = await pool.connect()
    try {
      await other.query('begin')
      await other.query(`insert into ${table} values ('a', '"theirs"', 4611686018427387904)`)
      const pending = save(store, [['a', 'ours']])
      await waiting(1)
      await other.query('commit')
      assert.deepEqual(await pending, [{ state: 'saved', version: 4611686018427387905n }])
    } finally {
      other.release()
    }
  })

  test('at the same moment raise the version of a removal that waited for them', async () => {
    const { store, table } = await fresh<string>()
    await save(store, [['a', 'ours']])
    const other = await pool.connect()
    try {
      await other.query('begin')
      await other.query(`update ${table} set version = 4611686018427387904 where key = 'a'`)
      const pending = store.remove([{ key: 'a', floor: 1n }])
      await waiting(1)
      await other.query('commit')
      assert.deepEqual(await pending, [{ state: 'saved', version: 4611686018427387905n }])
      assert.equal((await store.load(['a'])).rows.size, 0)
    } finally {
      other.release()
    }
  })

  test('as a removal under way, leave a save that waited for it above the removal', async () => {
    const { store, table } = await fresh<string>()
    const other = await pool.connect()
    try {
      await save(store, [['a', 'old']])
      await other.query('begin')
      await other.query(`select from ${table} where key = 'a' for update`)
      const saving = save(store, [['a', 'new']])
      await waiting(1)
      const theirs = await postgresStore<string>({ pool: other, table }).remove([{ key: 'a', floor: 1n }])
      await other.query('commit')
      const [ours] = await saving
      assert.ok(ours?.state === 'saved' && theirs[0]?.state === 'saved' && ours.version > theirs[0].version)
      assert.equal((await store.load(['a'])).rows.get('a')?.version, ours.version)
    } finally {
      other.release()
    }
  })

  test('in another order may deadlock with a save, which is sent again', async () => {
    const { promise: sacrificed, resolve } = Promise.withResolvers<() => void>()
    const clock: Clock = {
      ...systemClock,
      after(_, again) {
        resolve(again)
        return { cancel() {} }
      },
    }
    const { store, table } = await fresh<string>({ clock })
    await save(store, [
      ['a', 'old'],
      ['b', 'old'],
    ])
    const other = await pool.connect()
    try {
      // The other one is patient: it is the save that looks for a deadlock, and is sacrificed.
      await other.query(`set deadlock_timeout = '1min'`)
      await other.query('begin')
      await other.query(`update ${table} set value = '"theirs"' where key = 'b'`)
      const pending = save(store, [
        ['b', 'ours'],
        ['a', 'ours'],
      ])
      await waiting(1)
      await other.query(`update ${table} set value = '"theirs"' where key = 'a'`)
      await other.query('commit')
      const again = await sacrificed
      again()
      assert.deepEqual(states(await pending), ['saved', 'saved'])
      assert.equal(store.stats()[0]!.queries, 3)
    } finally {
      await other.query('set deadlock_timeout = default')
      other.release()
    }
  })
})

/** Resolves once so many sessions wait for a lock. */
async function waiting(sessions: number): Promise<void> {
  for (let asked = 0; asked < 5_000; asked++) {
    const { rows } = await pool.query(`select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'`)
    if (rows[0].waiting >= sessions) return
  }
  throw new Error(`nobody came to wait for a lock`)
}
