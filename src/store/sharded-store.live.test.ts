import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { storeConformance } from '../testing/store-conformance.ts'
import { postgresStore } from './postgres-store.ts'
import { postgresTable } from './postgres-table.ts'
import { shardedStore } from './sharded-store.ts'

const DATABASES = ['shard_a', 'shard_b', 'shard_c']
let server: RunningPostgres
let pools: pg.Pool[]

before(async () => {
  server = await startPostgres({ databases: DATABASES })
  pools = DATABASES.map((database) => server.pool(database))
})
after(() => server?.stop())

let tables = 0

/** One store over a new table in each database. */
async function fresh() {
  const table = `things_${++tables}`
  const removals = `${table}_removals`
  await Promise.all(pools.map((pool) => pool.query(postgresTable({ table, removals }))))
  return {
    store: shardedStore(pools.map((pool) => postgresStore<unknown>({ pool, table, removals }))),
    table,
    cleanup: async () => void (await Promise.all(pools.map((pool) => pool.query(`drop table ${table}, ${removals}`)))),
  }
}

storeConformance({ name: 'PostgreSQL in three shards', versioned: true, remembersRemovals: true, create: fresh })

test('rows lie over all three databases, and a database that stops fails its own keys alone', async () => {
  const { store, table } = await fresh()
  const keys = Array.from({ length: 300 }, (_, index) => `product:${index}`)
  await store.save(keys.map((key) => ({ key, value: key, floor: 1n })))
  const counts = await Promise.all(pools.map(async (pool) => (await pool.query(`select count(*)::int as n from ${table}`)).rows[0].n))
  assert.equal(
    counts.reduce((sum, count) => sum + count),
    300,
  )
  for (const count of counts) assert.ok(count > 60)
  await pools[1]!.query(`drop table ${table}`)
  const { rows, failed } = await store.load(keys)
  assert.equal(rows.size, 300 - counts[1])
  assert.equal(failed?.size, counts[1])
})
