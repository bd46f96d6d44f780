/**
 * What the log tells of rows, where it is less or other than a store would: old rows, partitions, keys filled up with blanks.
 */
import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import type { Cache } from '../caches/cache.ts'
import { createTier } from '../create-tier.ts'
import { memoryNode } from '../node/memory-node.ts'
import { postgresStore } from '../store/postgres-store.ts'
import { postgresVersionTrigger } from '../store/postgres-table.ts'
import { cacheAside } from '../strategy/cache-aside.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { until } from '../testing/live-redis.ts'
import { setUpCapture } from './prepare-database.ts'

interface Item {
  n: number
}

const LIVE = { timeout: 60_000 }
let postgres: RunningPostgres

before(async () => {
  postgres = await startPostgres({ settings: { wal_level: 'logical', synchronous_commit: 'on' } })
})
after(() => postgres.stop())

/** @param ddl of a table of the same name @returns how to start a capture of it */
async function ground(t: TestContext, table: string, ddl: string) {
  const pool = postgres.pool()
  await pool.query(ddl)
  const tier = await createTier({ nodes: ['a', 'b', 'c'].map((id) => memoryNode({ id })) })
  t.after(() => tier.close())
  const names = { database: postgres.url(), slot: table, publication: table }
  return { pool, tier, names, table }
}

async function cached(cache: Cache<Item>, key: string): Promise<void> {
  await until(async () => ['hit', 'negative'].includes((await cache.getWithOutcome(key)).outcome))
}

test('keys and tags are refused until old rows are told whole; then both pages of a row that moves hear of it', LIVE, async (t) => {
  const { pool, tier, names, table } = await ground(
    t,
    'reviews',
    `create table reviews (id bigint primary key, product text, version bigint not null default 1); insert into reviews values (1, 'A', 1)`,
  )
  await setUpCapture({ ...names, tables: [table] })
  const pages = tier.cache<string>('pages', { strategy: cacheAside(), ttl: '1h' })
  const page = ({ product }: Readonly<Record<string, unknown>>) => [String(product)]
  const capture = (more: object) => tier.captureChanges({ ...names, tables: [{ table, key: 'id', cache: pages, ...more }], every: 50 })
  for (const [what, more] of Object.entries({ keys: { keys: page }, tags: { tags: page } }))
    await assert.rejects(capture(more), { code: 'CONFIGURATION', message: new RegExp(`replica identity full for ${what}`) })
  await setUpCapture({ ...names, tables: [table], fullIdentity: true })
  const capturing = await capture({ keys: page })
  await pages.setMany([
    ['A', 'one review'],
    ['B', 'none'],
  ])
  await pool.query(`update reviews set product = 'B' where id = 1`)
  await capturing.caughtUp()
  assert.deepEqual([await pages.get('A'), await pages.get('B')], [undefined, undefined])
})

test('rows of a partitioned table are told, whichever partition they lie in', LIVE, async (t) => {
  const { pool, tier, names, table } = await ground(
    t,
    'parts',
    `create table parts (key text primary key, value jsonb not null, version bigint not null default 1) partition by hash (key);
     create table parts_0 partition of parts for values with (modulus 2, remainder 0);
     create table parts_1 partition of parts for values with (modulus 2, remainder 1);
     insert into parts select 'p' || i, '{"n": 0}' from generate_series(1, 8) i; ${postgresVersionTrigger({ table: 'parts' })}`,
  )
  // As one that was made before.
  await pool.query('create publication parts for table parts')
  await setUpCapture({ ...names, tables: [table], fullIdentity: true })
  const cache = tier.cache<Item>(table, { strategy: writeThrough(postgresStore<Item>({ pool, table })), ttl: '1h' })
  const capturing = await tier.captureChanges({ ...names, tables: [{ table, cache, tags: () => [] }], every: 50 })
  const keys = Array.from({ length: 8 }, (_, at) => `p${at + 1}`)
  for (const key of keys) await cached(cache, key)
  await pool.query(`update parts set value = '{"n": 1}'; delete from parts where key = 'p8'`)
  await capturing.caughtUp()
  assert.deepEqual([...(await cache.getMany(keys)).values()], Array(7).fill({ n: 1 }))
})

test('the settings of a URL hold beside our own, and dates are read whatever style the database writes', LIVE, async (t) => {
  const { pool, tier, table } = await ground(
    t,
    'dated',
    `create schema apart; create table apart.dated (key text primary key, day date, version bigint not null default 1);
     insert into apart.dated values ('k1', '2026-01-02'); ${postgresVersionTrigger({ table: 'apart.dated', columns: { day: 'date' } })}`,
  )
  await pool.query(`alter database postgres set datestyle = 'German, DMY'`)
  t.after(() => pool.query('alter database postgres reset datestyle'))
  const settings = encodeURIComponent('-c search_path=apart -c datestyle=SQL')
  const names = { database: `${postgres.url()}?options=${settings}`, slot: table, publication: table }
  await setUpCapture({ ...names, tables: [table] })
  const columns = { day: 'date' } as const
  const store = postgresStore<{ day: string }>({ pool, table: 'apart.dated', columns })
  const cache = tier.cache<{ day: string }>(table, { strategy: writeThrough(store), ttl: '1h' })
  const capturing = await tier.captureChanges({ ...names, tables: [{ table, columns, rising: true, cache, apply: 'refresh' }], every: 50 })
  const told = async () => {
    await pool.query(`update apart.dated set day = '2026-03-04'`)
    await capturing.caughtUp()
    const { value, outcome } = await cache.getWithOutcome('k1')
    assert.deepEqual(value, { day: '2026-03-04' })
    return outcome === 'hit'
  }
  // At its beginning a capture empties its caches, as of a moment ahead: what is told before that is loaded.
  await until(told)
  assert.ok(await told())
})

test('a key of char(n) is told as the store spells it', LIVE, async (t) => {
  const { pool, tier, names, table } = await ground(
    t,
    'padded',
    `create table padded (key char(8) primary key, value jsonb not null, version bigint not null default 1);
     insert into padded values ('k1', '{"n": 0}'); ${postgresVersionTrigger({ table: 'padded' })}`,
  )
  await setUpCapture({ ...names, tables: [table] })
  const cache = tier.cache<Item>(table, { strategy: writeThrough(postgresStore<Item>({ pool, table })), ttl: '1h' })
  const capturing = await tier.captureChanges({ ...names, tables: [{ table, cache }], every: 50 })
  await cached(cache, 'k1')
  await pool.query(`update padded set value = '{"n": 1}'`)
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
})
