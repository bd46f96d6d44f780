import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { createTier } from '../create-tier.ts'
import { memoryNode } from '../node/memory-node.ts'
import { postgresStore } from '../store/postgres-store.ts'
import { postgresTable, postgresVersionTrigger } from '../store/postgres-table.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { until } from '../testing/live-redis.ts'
import { setUpCapture, takeDownCapture } from './prepare-database.ts'

interface Item {
  n: number
}

const LIVE = { timeout: 60_000 }
const TABLE = 'items'

let postgres: RunningPostgres
let grounds = 0

before(async () => {
  // No logical replication: as where an outbox is for.
  postgres = await startPostgres({ settings: { wal_level: 'replica' } })
})
after(() => postgres.stop())

async function ground(): Promise<{ database: string; pool: pg.Pool }> {
  const name = `outbox_${++grounds}`
  await postgres.pool().query(`create database ${name}`)
  const pool = postgres.pool(name)
  await pool.query(`${postgresTable({ table: TABLE })}; ${postgresVersionTrigger({ table: TABLE })}`)
  await pool.query(`insert into items (key, value) select 'k' || i, '{"n": 0}' from generate_series(1, 10) i`)
  await setUpCapture({ database: postgres.url(name), tables: [TABLE], outbox: true })
  return { database: postgres.url(name), pool }
}

async function service(
  t: TestContext,
  { database, pool }: Awaited<ReturnType<typeof ground>>,
  nodes = ['a', 'b', 'c'].map((id) => memoryNode({ id })),
) {
  const tier = await createTier({ nodes })
  t.after(() => tier.close())
  const cache = tier.cache<Item>('items', { strategy: writeThrough(postgresStore<Item>({ pool, table: TABLE })), ttl: '1h' })
  const capture = () => tier.captureChanges({ database, mode: 'outbox', tables: [{ table: TABLE, cache }], every: 20 })
  const hit = async (key: string) => {
    await until(async () => ['hit', 'negative'].includes((await cache.getWithOutcome(key)).outcome))
    return cache.get(key)
  }
  return { cache, capture, hit, nodes }
}

const waitingIn = async (pool: pg.Pool) => Number((await pool.query('select count(*) from ringtail_outbox')).rows[0].count)

test('what triggers wrote down is told and then gone: updates, deletes, rows made, moved and emptied', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, hit } = await service(t, on)
  const capturing = await capture()
  for (const key of ['k1', 'k2', 'k3', 'k4', 'new', 'moved']) await hit(key)
  await on.pool.query(`update items set value = '{"n": 1}' where key = 'k1'`)
  await on.pool.query(`delete from items where key = 'k2'`)
  await on.pool.query(`insert into items (key, value) values ('new', '{"n": 2}')`)
  await on.pool.query(`update items set key = 'moved' where key = 'k3'`)
  await capturing.caughtUp()
  const values = await Promise.all(['k1', 'k2', 'new', 'k3', 'moved'].map((key) => cache.get(key)))
  assert.deepEqual(values, [{ n: 1 }, undefined, { n: 2 }, undefined, { n: 0 }])
  assert.equal(await waitingIn(on.pool), 0)
  assert.equal(capturing.stats().state, 'following')
  await on.pool.query('truncate items')
  await capturing.caughtUp()
  assert.equal(await cache.get('k4'), undefined)
})

test('a change with an earlier id that is committed later is not passed over', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, hit } = await service(t, on)
  const capturing = await capture()
  await hit('k1')
  await hit('k2')
  const slow = await on.pool.connect()
  await slow.query('begin')
  await slow.query(`update items set value = '{"n": 1}' where key = 'k1'`)
  await on.pool.query(`update items set value = '{"n": 1}' where key = 'k2'`)
  await capturing.caughtUp()
  assert.deepEqual([await cache.get('k1'), await cache.get('k2')], [{ n: 0 }, { n: 1 }])
  await slow.query('commit')
  slow.release()
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
})

test('what could not be told stays in the outbox, for whoever follows next', LIVE, async (t) => {
  const on = await ground()
  const first = await service(t, on)
  await first.hit('k1')
  const capturing = await first.capture()
  const second = await service(t, on, first.nodes)
  const waiting = await second.capture()
  assert.deepEqual([capturing.stats().state, waiting.stats().state], ['following', 'waiting'])
  await capturing.close()
  await on.pool.query(`update items set value = '{"n": 1}' where key = 'k1'`)
  await waiting.caughtUp()
  assert.deepEqual(await second.cache.get('k1'), { n: 1 })
})

test('more changes than one reading takes are all told', LIVE, async (t) => {
  const on = await ground()
  const { capture } = await service(t, on)
  await on.pool.query(`insert into items (key, value) select 'm' || i, '{"n": 0}' from generate_series(1, 2000) i`)
  const capturing = await capture()
  await capturing.caughtUp()
  assert.deepEqual([capturing.stats().changes, await waitingIn(on.pool)], [2_000, 0])
})

test('without an outbox a capture is refused; taking it down leaves nothing', LIVE, async (t) => {
  const on = await ground()
  assert.deepEqual((await takeDownCapture({ database: on.database, outbox: true })).at(-1), 'table ringtail_outbox dropped')
  const left = await on.pool.query(`select tgname from pg_trigger where tgname like 'ringtail%'`)
  assert.equal(left.rowCount, 0)
  const { capture } = await service(t, on)
  await assert.rejects(capture(), { code: 'CONFIGURATION', message: /up --outbox/ })
})
