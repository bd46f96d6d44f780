import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { systemClock } from '../clock.ts'
import { versionAt } from '../version-clock.ts'
import { type PostgresStoreOptions, postgresStore } from './postgres-store.ts'
import { postgresTable, postgresVersionTrigger } from './postgres-table.ts'
import type { Removal, SaveStatus, Store } from './store.ts'

let server: RunningPostgres
let pool: pg.Pool

before(async () => {
  server = await startPostgres({ settings: { deadlock_timeout: '50ms' } })
  pool = server.pool()
})
after(() => server?.stop())

const MINUTE_MS = 60_000
const now = versionAt(systemClock.now())
let tables = 0

interface Ground {
  readonly store: Store<string>
  readonly table: string
  /** A store whose statements are in a transaction that is still open. */
  readonly inside: Store<string>
  readonly other: pg.PoolClient
  rows(): Promise<Record<string, unknown>>
  marks(): Promise<Record<string, string>>
}

/** Everything on a new table of its own, with a transaction open beside. */
async function ground(check: (ground: Ground) => Promise<void>, options: Partial<PostgresStoreOptions> & { trigger?: boolean } = {}) {
  const { trigger, ...rest } = options
  const table = `things_${++tables}`
  const whole = { table, removals: `${table}_removals`, ...rest }
  const { removals } = whole
  await pool.query(postgresTable({ table, removals }))
  if (trigger === true) await pool.query(postgresVersionTrigger({ table, removals }))
  const other = await pool.connect()
  try {
    await other.query('begin')
    await check({
      store: postgresStore({ pool, ...whole }),
      inside: postgresStore({ pool: other, ...whole }),
      table,
      other,
      rows: async () =>
        Object.fromEntries((await pool.query(`select key, value from ${table}`)).rows.map(({ key, value }) => [key, value])),
      marks: async () =>
        Object.fromEntries((await pool.query(`select key, version from ${removals}`)).rows.map(({ key, version }) => [key, version])),
    })
  } finally {
    await other.query('rollback')
    other.release()
    await pool.query(`drop table ${table}, ${removals}`)
  }
}

const save = (store: Store<string>, version: bigint, key = 'a') => store.save([{ key, value: `${version}`, floor: version, ifOlder: true }])
const remove = (store: Store<string>, version: bigint, key = 'a') => store.remove([{ key, floor: version, ifOlder: true }])
const states = (statuses: readonly SaveStatus[]) => statuses.map(({ state }) => state)

/** Resolves once so many sessions wait for a lock. */
async function waiting(sessions: number): Promise<void> {
  for (let asked = 0; asked < 5_000; asked++) {
    const { rows } = await pool.query(`select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'`)
    if (rows[0].waiting >= sessions) return
  }
  throw new Error('nobody came to wait for a lock')
}

describe('of a save and a removal of one key, the higher version decides', () => {
  for (const isThere of [true, false]) {
    const what = isThere ? 'of a row that is there' : 'of a row that is not there'

    test(`where the save waits for the removal, ${what}`, () =>
      ground(async ({ store, inside, other, rows }) => {
        if (isThere) await save(store, now)
        await remove(inside, now + 10n)
        const late = save(store, now + 9n)
        await waiting(1)
        await other.query('commit')
        assert.deepEqual(await late, [{ state: 'conflict', version: now + 10n }])
        assert.deepEqual(await rows(), {})
      }))

    test(`where a newer save waits for the removal, ${what}`, () =>
      ground(async ({ store, inside, other, rows }) => {
        if (isThere) await save(store, now)
        await remove(inside, now + 10n)
        const newer = save(store, now + 11n)
        await waiting(1)
        await other.query('commit')
        assert.deepEqual(await newer, [{ state: 'saved', version: now + 11n }])
        assert.deepEqual(await rows(), { a: `${now + 11n}` })
      }))

    test(`where the removal waits for the save, ${what}`, () =>
      ground(async ({ store, inside, other, rows, marks }) => {
        if (isThere) await save(store, now)
        await save(inside, now + 9n)
        const removal = remove(store, now + 10n)
        await waiting(1)
        await other.query('commit')
        assert.deepEqual(await removal, [{ state: 'saved', version: now + 10n }])
        assert.deepEqual([await rows(), await marks()], [{}, { a: `${now + 10n}` }])
      }))

    test(`where an older removal waits for the save, ${what}`, () =>
      ground(async ({ store, inside, other, rows }) => {
        if (isThere) await save(store, now)
        await save(inside, now + 11n)
        const removal = remove(store, now + 10n)
        await waiting(1)
        await other.query('commit')
        assert.deepEqual(await removal, [{ state: 'conflict', version: now + 11n }])
        assert.deepEqual(await rows(), { a: `${now + 11n}` })
      }))
  }

  test('where a plain removal waits for the save of a row that was not there, and is sent again', () =>
    ground(async ({ store, inside, other, rows, marks }) => {
      await save(inside, now)
      const removal = store.remove([{ key: 'a', floor: 1n }])
      await waiting(1)
      await other.query('commit')
      const [status] = await removal
      assert.ok(status?.state === 'saved' && status.version > now && status.absent === true)
      const { version } = status
      assert.deepEqual(await store.remove([{ key: 'a', floor: version, ifOlder: true, again: true }]), [{ state: 'saved', version }])
      assert.deepEqual([await rows(), await marks()], [{}, { a: `${version}` }])
    }))

  test('where a plain removal of what is not there is sent again, and a newer row has come', () =>
    ground(async ({ store, rows }) => {
      const [status] = await store.remove([{ key: 'a', floor: 1n }])
      assert.ok(status?.state === 'saved' && status.absent === true)
      const newer = status.version + 1n
      await save(store, newer)
      const again = await store.remove([{ key: 'a', floor: status.version, ifOlder: true, again: true }])
      assert.deepEqual([again, await rows()], [[{ state: 'conflict', version: newer }], { a: `${newer}` }])
    }))

  test('where the save of a row that it saw waits for a delete and another save meanwhile', () =>
    ground(async ({ store, inside, other, rows }) => {
      await save(store, now)
      await remove(inside, now + 10n)
      const late = save(store, now + 5n)
      const newer = save(store, now + 20n)
      await waiting(2)
      await other.query('commit')
      assert.equal((await newer)[0]?.state, 'saved')
      assert.equal((await late)[0]?.state, 'conflict')
      assert.deepEqual(await rows(), { a: `${now + 20n}` })
    }))
})

describe('a delete by other SQL, with the trigger', () => {
  test('keeps out what was written before it, also where that waits for it', () =>
    ground(
      async ({ store, other, table, rows }) => {
        await save(store, now)
        await other.query(`delete from ${table} where key = 'a'`)
        const late = save(store, versionAt(systemClock.now() - 10))
        await waiting(1)
        await other.query('commit')
        const [status] = await late
        assert.ok(status?.state === 'conflict' && status.version >= now)
        assert.deepEqual(await rows(), {})
        const after = versionAt(systemClock.now() + MINUTE_MS)
        assert.deepEqual(await save(store, after), [{ state: 'saved', version: after }])
      },
      { trigger: true },
    ))

  test('is remembered under what is above its row, also in a transaction that deletes the key twice', () =>
    ground(
      async ({ other, table, marks }) => {
        const far = versionAt(systemClock.now() + MINUTE_MS)
        await other.query(`insert into ${table} values ('a', '1', 2), ('b', '1', ${far})`)
        await other.query(`delete from ${table}`)
        await other.query(`insert into ${table} values ('a', '1', ${far + 7n})`)
        await other.query(`delete from ${table}`)
        await other.query('commit')
        assert.deepEqual(await marks(), { a: `${far + 8n}`, b: `${far + 1n}` })
      },
      { trigger: true },
    ))

  test('is told from the store’s own removals, which are remembered as they were ordered', () =>
    ground(
      async ({ store, other, inside, table, rows, marks }) => {
        const at = versionAt(systemClock.now() - MINUTE_MS)
        await save(store, at)
        await remove(store, at + 10n)
        assert.deepEqual(await marks(), { a: `${at + 10n}` })
        assert.deepEqual(states(await save(store, at + 11n)), ['saved'])
        // A row below what is remembered, as one that was made without the store may be.
        await pool.query(
          `update ${table} set version = 0; alter table ${table} disable trigger ${table}_version; update ${table} set version = 5`,
        )
        await remove(store, at + 8n)
        assert.deepEqual(await marks(), { a: `${at + 11n}` })
        // And of a row that the removal did not see at first.
        await save(inside, at + 20n)
        const removal = remove(store, at + 30n)
        await waiting(1)
        await other.query('commit')
        assert.deepEqual(states(await removal), ['saved'])
        assert.deepEqual([await rows(), await marks()], [{}, { a: `${at + 30n}` }])
      },
      { trigger: true },
    ))
})

/** Resolves when what the store left running is over as well. */
async function removeWhole(store: Store<string>, removals: readonly Removal[]): Promise<void> {
  const left: Promise<unknown>[] = []
  await store.remove(removals, { leftRunning: (work) => void left.push(work) })
  await Promise.all(left)
}

describe('what is remembered', () => {
  const DAY_MS = 86_400_000
  const old = versionAt(systemClock.now() - 8 * DAY_MS)

  test('does not reach back further than removalsFor: an older write that finds no row is refused for good, and says why', () =>
    ground(async ({ store, rows }) => {
      const [status] = await save(store, old)
      assert.ok(status?.state === 'failed' && status.forGood === true)
      assert.match(status.error.message, /key "a" is not there, and may have been removed.*older than the 168 h/)
      assert.deepEqual(await rows(), {})
    }))

  test('is of no concern to an old write over a row that is there, or under a longer removalsFor', () =>
    ground(
      async ({ store, table }) => {
        assert.deepEqual(states(await save(store, old)), ['saved'])
        const week = postgresStore<string>({ pool, table, removals: `${table}_removals` })
        assert.deepEqual(await save(week, old + 1n), [{ state: 'saved', version: old + 1n }])
        assert.deepEqual(await save(week, old), [{ state: 'conflict', version: old + 1n }])
      },
      { removalsFor: '9d' },
    ))

  test('is forgotten a few at a time by statements that make marks, the old ones alone', () =>
    ground(
      async ({ store, marks }) => {
        const removals = (name: string, count: number, floor: bigint) =>
          removeWhole(
            store,
            Array.from({ length: count }, (_, nth) => ({ key: `${name}${nth}`, floor, ifOlder: true })),
          )
        await removals('old', 400, old)
        assert.equal(Object.keys(await marks()).length, 400)
        await removals('new', 99, now)
        assert.equal(Object.keys(await marks()).length, 499)
        await removals('a', 1, now)
        assert.deepEqual(new Set(Object.values(await marks())), new Set([`${now}`]))
        assert.equal(Object.keys(await marks()).length, 100)
        assert.equal((await remove(store, now, 'new5'))[0]?.state, 'saved')
      },
      { random: () => 0.999 },
    ))

  test('is looked through to its end, and then from its beginning', () =>
    ground(
      async ({ store, table, marks }) => {
        await pool.query(`insert into ${table}_removals select to_char(n, 'FM00000'), ${old} from generate_series(1, 5000) as n`)
        const passes: number[] = []
        for (let pass = 0; pass < 4; pass++) {
          await removeWhole(
            store,
            Array.from({ length: 500 }, (_, nth) => ({ key: `02500-${nth}`, floor: now, ifOlder: true })),
          )
          passes.push(Object.keys(await marks()).length - 500)
        }
        assert.deepEqual([passes.at(-1), passes.every((left, nth) => nth === 0 || left <= passes[nth - 1]!)], [0, true])
      },
      { random: () => 0 },
    ))
})

test('a saved row whose key is new leaves its own version, a row that is saved again leaves nothing more', () =>
  ground(async ({ store, marks }) => {
    await save(store, now)
    assert.deepEqual(await marks(), { a: `${now}` })
    await save(store, now + 5n)
    assert.deepEqual(await marks(), { a: `${now}` })
  }))
