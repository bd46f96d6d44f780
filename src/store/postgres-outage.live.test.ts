import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { StoreError } from '../errors.ts'
import { postgresStore } from './postgres-store.ts'
import { postgresTable } from './postgres-table.ts'
import type { SaveStatus, Store } from './store.ts'

let server: RunningPostgres
let pool: pg.Pool

before(async () => {
  server = await startPostgres()
  pool = server.pool()
  await pool.query(postgresTable({ table: TABLE }))
})
after(() => server?.stop())

const TABLE = 'things'

const states = (statuses: readonly SaveStatus[]) => statuses.map(({ state }) => state)
const save = (store: Store<number>, rows: readonly (readonly [string, number])[]) =>
  store.save(rows.map(([key, value]) => ({ key, value, floor: 1n })))

describe('what was sent and not answered', () => {
  test('is unknown when the connection is lost, for loads an error', async () => {
    const store = postgresStore<number>({ pool, table: TABLE })
    const other = await pool.connect()
    try {
      await other.query('begin')
      await other.query(`lock table ${TABLE} in access exclusive mode`)
      const saving = save(store, [['a', 1]])
      const loading = assert.rejects(store.load(['a']), StoreError)
      await waiting(2)
      await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock'`)
      const [status] = await saving
      assert.ok(status?.state === 'unknown' && status.error instanceof StoreError)
      await loading
    } finally {
      await other.query('rollback')
      other.release()
    }
  })

  test('is unknown when the caller gives up, and may still happen', async () => {
    const store = postgresStore<number>({ pool, table: TABLE, maxBatch: 1 })
    const other = await pool.connect()
    const giveUp = new AbortController()
    try {
      await other.query('begin')
      await other.query(`lock table ${TABLE} in access exclusive mode`)
      const saves = ['a', 'b'].map((key) => ({ key, value: 1, floor: 1n }))
      const saving = store.save(saves, { signal: giveUp.signal })
      const loading = assert.rejects(store.load(['a'], { signal: giveUp.signal }), /enough/)
      await waiting(2)
      giveUp.abort(new Error('enough'))
      assert.deepEqual(states(await saving), ['unknown', 'failed'])
      await loading
      await other.query('commit')
    } finally {
      other.release()
    }
  })

  test('is failed, not unknown, where nothing listens', async () => {
    const gone = server.pool('postgres', { port: 1, host: '127.0.0.1', connectionString: undefined as never })
    const store = postgresStore<number>({ pool: gone, table: 'things' })
    assert.deepEqual(states(await save(store, [['a', 1]])), ['failed'])
    await assert.rejects(store.load(['a']), StoreError)
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
