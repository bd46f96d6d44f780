import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import type { Cache } from '../caches/cache.ts'
import { createTier } from '../create-tier.ts'
import { memoryNode } from '../node/memory-node.ts'
import { postgresStore } from '../store/postgres-store.ts'
import { postgresTable, postgresVersionTrigger } from '../store/postgres-table.ts'
import { cacheAside } from '../strategy/cache-aside.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { until } from '../testing/live-redis.ts'
import type { CapturedCache, CaptureOptions } from './capture.ts'
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

/** Reads until it is cached. */
async function cached(cache: Cache<Item>, key: string): Promise<Item | undefined> {
  await until(async () => ['hit', 'negative'].includes((await cache.getWithOutcome(key)).outcome))
  return cache.get(key)
}

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
  const capture = (more: Partial<CaptureOptions> = {}) =>
    tier.captureChanges({ database, mode: 'outbox', tables: [{ table: TABLE, cache }], every: 20, ...more })
  return { tier, cache, capture, hit: (key: string) => cached(cache, key), nodes }
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

test('what is owed to a node stays in the outbox, told once, until the node has it or another follows', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, hit } = await service(t, on)
  let isAway = true
  const told: string[] = []
  const missing: CapturedCache = {
    name: cache.name,
    async applyChanges(changes, options) {
      if (options?.writes !== 'all') told.push(...changes.map(({ key }) => key))
      else if (isAway) return new Map(changes.map(({ key }) => [key, { ok: false, error: new Error('2 of 3 owners') }]))
      return cache.applyChanges(changes, options)
    },
    deleteByTag: (tags) => cache.deleteByTag(tags),
    clear: () => cache.clear(),
  }
  const tables = [{ table: TABLE, cache: missing }]
  const first = await capture({ tables })
  await first.caughtUp()
  for (const key of ['k1', 'k2', 'k3']) await hit(key)
  await on.pool.query(`update items set value = '{"n": 1}' where key = 'k1'`)
  await until(() => first.stats().changes === 1)
  await on.pool.query(`update items set value = '{"n": 1}' where key = 'k2'`)
  await until(() => first.stats().changes === 2)
  assert.deepEqual([first.stats().owed, await waitingIn(on.pool), told], [2, 2, ['k1', 'k2']])
  await first.close()
  const second = await capture({ tables })
  await until(() => second.stats().changes === 2)
  await on.pool.query(`update items set value = '{"n": 1}' where key = 'k3'`)
  await until(() => second.stats().changes === 3)
  assert.equal(await waitingIn(on.pool), 3)
  isAway = false
  await second.caughtUp()
  await until(async () => (await waitingIn(on.pool)) === 0)
  assert.deepEqual([...(await cache.getMany(['k1', 'k2', 'k3'])).values()], Array(3).fill({ n: 1 }))
})

test('where more is owed than is kept of it one entry stays, by which whoever follows next empties the cache', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, hit } = await service(t, on)
  const many = 9_000
  await on.pool.query(`insert into items (key, value) select 'm' || i, '{"n": 0}' from generate_series(1, ${many}) i`)
  let isAway = false
  let cleared = 0
  const missing: CapturedCache = {
    name: cache.name,
    // The first copies are told, and those that missed it are away.
    applyChanges: async (changes, options) =>
      new Map(
        changes.map(({ key }) => [key, options?.writes === 'all' && isAway ? { ok: false, error: new Error('away') } : { ok: true }]),
      ),
    deleteByTag: (tags) => cache.deleteByTag(tags),
    clear: () => {
      cleared++
      return cache.clear()
    },
  }
  const tables = [{ table: TABLE, cache: missing }]
  const first = await capture({ tables })
  await first.caughtUp()
  await hit('m1')
  isAway = true
  const before = first.stats().changes
  await on.pool.query(`update items set value = '{"n": 1}' where key like 'm%'`)
  await until(() => first.stats().changes === before + many)
  await on.pool.query(`update items set value = '{"n": 2}' where key = 'm1'`)
  await until(() => first.stats().changes === before + many + 1)
  await until(async () => (await waitingIn(on.pool)) === 1)
  const clearedBefore = cleared
  await first.close()
  isAway = false
  const second = await capture({ tables })
  await second.caughtUp()
  await until(async () => (await waitingIn(on.pool)) === 0)
  assert.deepEqual([cleared, await cache.get('m1')], [clearedBefore + 1, { n: 2 }])
})

test('more changes than one reading takes are all told', LIVE, async (t) => {
  const on = await ground()
  const { capture } = await service(t, on)
  await on.pool.query(`insert into items (key, value) select 'm' || i, '{"n": 0}' from generate_series(1, 2000) i`)
  const capturing = await capture()
  await capturing.caughtUp()
  assert.deepEqual([capturing.stats().changes, await waitingIn(on.pool)], [2_000, 0])
})

test('captures of two slots each take the changes of their own tables, and leave those of others to them', LIVE, async (t) => {
  const on = await ground()
  await on.pool.query(`${postgresTable({ table: 'stock' })}; insert into stock (key, value) values ('s1', '{"n": 0}')`)
  await setUpCapture({ database: on.database, tables: ['stock'], outbox: true })
  const { capture, tier } = await service(t, on)
  const stock = tier.cache<Item>('stock', { strategy: writeThrough(postgresStore<Item>({ pool: on.pool, table: 'stock' })), ttl: '1h' })
  const items = await capture({ slot: 'items' })
  await items.caughtUp()
  await cached(stock, 's1')
  await on.pool.query(`update stock set value = '{"n": 1}', version = version + 1`)
  await items.caughtUp()
  assert.equal(await waitingIn(on.pool), 2, 'all of the table, of when its triggers were made, and the row')
  const stocks = await tier.captureChanges({
    database: on.database,
    mode: 'outbox',
    slot: 'stock',
    tables: [{ table: 'stock', cache: stock }],
    every: 20,
  })
  await stocks.caughtUp()
  assert.deepEqual([await stock.get('s1'), items.stats().state, stocks.stats().state], [{ n: 1 }, 'following', 'following'])
})

test('a table is not followed under two slots at once: the second says so, and goes on when the first has ended', LIVE, async (t) => {
  const on = await ground()
  const { capture, tier } = await service(t, on)
  const failed: string[] = []
  tier.on('capture:failed', ({ capture: name, reason }) => void failed.push(`${name}: ${reason}`))
  const first = await capture({ slot: 'one' })
  const second = await capture({ slot: 'two' })
  await until(() => failed.length > 0)
  assert.match(failed[0]!, /^two: .*table public\.items.*another slot/)
  await first.close()
  await second.caughtUp()
  assert.equal(second.stats().state, 'following')
})

test('rows of a partitioned table are told, whichever partition they lie in', LIVE, async (t) => {
  const on = await ground()
  await on.pool.query(`create table parts (key text primary key, value jsonb not null, version bigint not null default 1) partition by hash (key);
    create table parts_0 partition of parts for values with (modulus 2, remainder 0);
    create table parts_1 partition of parts for values with (modulus 2, remainder 1);
    insert into parts select 'p' || i, '{"n": 0}' from generate_series(1, 8) i; ${postgresVersionTrigger({ table: 'parts' })}`)
  await assert.rejects(setUpCapture({ database: on.database, tables: ['parts_0'], outbox: true }), /needs to be the partitioned table/)
  await setUpCapture({ database: on.database, tables: ['parts'], outbox: true })
  const { tier } = await service(t, on)
  const cache = tier.cache<Item>('parts', { strategy: writeThrough(postgresStore<Item>({ pool: on.pool, table: 'parts' })), ttl: '1h' })
  const capturing = await tier.captureChanges({ database: on.database, mode: 'outbox', tables: [{ table: 'parts', cache }], every: 20 })
  await capturing.caughtUp()
  const keys = Array.from({ length: 8 }, (_, at) => `p${at + 1}`)
  for (const key of keys) await cached(cache, key)
  await on.pool.query(`update parts set value = '{"n": 1}'`)
  await capturing.caughtUp()
  assert.deepEqual([...(await cache.getMany(keys)).values()], Array(8).fill({ n: 1 }))
})

test('a table without triggers, with others than the capture needs, or with a key of several columns is refused', LIVE, async (t) => {
  const on = await ground()
  const { capture, tier } = await service(t, on)
  const refused = (table: string, message: RegExp, more: object = {}) => {
    const cache = tier.cache<Item>(['of', table, ...Object.keys(more)].join('-'), { strategy: cacheAside(), ttl: '1h' })
    return assert.rejects(capture({ tables: [{ table, cache, ...more }] }), { code: 'CONFIGURATION', message })
  }
  await on.pool.query(`create table plain (key text primary key, value jsonb); create table wide (a text, b text, primary key (a, b));
    create table bysku (id bigint primary key, sku text unique not null, revision bigint, version bigint)`)
  await refused('plain', /'plain': needs triggers .* up --outbox/)
  await assert.rejects(setUpCapture({ database: on.database, tables: ['wide'], outbox: true }), /needs a key of one column.* a, b/)
  await setUpCapture({ database: on.database, tables: ['bysku'], outbox: true })
  await refused('bysku', /key column 'sku', but it tells 'id'/, { key: 'sku' })
  await refused('bysku', /version column 'revision', but it tells 'version'/, { key: 'id', version: 'revision' })
  await on.pool.query('alter table items disable trigger ringtail_outbox')
  await refused('items', /enabled always, but some are not/)
  await on.pool.query('alter table items enable trigger ringtail_outbox')
  await refused('items', /enabled always/, { version: false })
})

test('a session that only replicates has its changes told too', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, hit } = await service(t, on)
  const capturing = await capture()
  await capturing.caughtUp()
  await hit('k1')
  const replicating = await on.pool.connect()
  await replicating.query(`set session_replication_role = replica`)
  await replicating.query(`update items set value = '{"n": 1}', version = version + 1 where key = 'k1'`)
  replicating.release(true)
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
})

test('triggers that are switched off while followed empty the caches, and again when they are made anew', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, hit, tier } = await service(t, on)
  const lost: string[] = []
  tier.on('capture:lost', ({ reason }) => void lost.push(reason))
  const capturing = await capture()
  await capturing.caughtUp()
  await hit('k1')
  await on.pool.query(`begin; alter table items disable trigger all; update items set value = '{"n": 1}'; commit`)
  await until(() => capturing.stats().losses > 0)
  assert.deepEqual([await hit('k1'), capturing.stats().losses], [{ n: 1 }, 1])
  await on.pool.query(`update items set value = '{"n": 2}'`)
  assert.deepEqual(await cache.get('k1'), { n: 1 })
  await setUpCapture({ database: on.database, tables: [TABLE], outbox: true })
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 2 })
  // One loss, for which they were emptied twice.
  assert.equal(capturing.stats().losses, 1)
  assert.match(lost[0]!, /enabled always/)
})

test('triggers that were off for one transaction are noticed by their having been changed', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, hit } = await service(t, on)
  const capturing = await capture()
  await capturing.caughtUp()
  await hit('k1')
  await on.pool.query(`begin; alter table items disable trigger all; update items set value = '{"n": 1}';
    alter table items enable always trigger ringtail_outbox; alter table items enable always trigger ringtail_outbox_truncate; commit`)
  await capturing.caughtUp()
  assert.deepEqual([await cache.get('k1'), capturing.stats().losses], [{ n: 1 }, 1])
})

test('what changed between down and up is not believed to be known', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, hit } = await service(t, on)
  await hit('k1')
  await takeDownCapture({ database: on.database, outbox: true })
  await on.pool.query(`update items set value = '{"n": 1}' where key = 'k1'`)
  await setUpCapture({ database: on.database, tables: [TABLE], outbox: true })
  assert.deepEqual(await setUpCapture({ database: on.database, tables: [TABLE], outbox: true }), ['all was there'])
  const capturing = await capture()
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
})

test('a key of char(n) is told as the store spells it, without the blanks that fill it up', LIVE, async (t) => {
  const on = await ground()
  await on.pool.query(`create table padded (key char(8) primary key, value jsonb not null, version bigint not null default 1);
    insert into padded values ('k1', '{"n": 0}'); ${postgresVersionTrigger({ table: 'padded' })}`)
  await setUpCapture({ database: on.database, tables: ['padded'], outbox: true })
  const { tier } = await service(t, on)
  const cache = tier.cache<Item>('padded', { strategy: writeThrough(postgresStore<Item>({ pool: on.pool, table: 'padded' })), ttl: '1h' })
  const capturing = await tier.captureChanges({ database: on.database, mode: 'outbox', tables: [{ table: 'padded', cache }], every: 20 })
  await capturing.caughtUp()
  await cached(cache, 'k1')
  await on.pool.query(`update padded set value = '{"n": 1}'`)
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
})

test('without an outbox a capture is refused; taking it down leaves nothing', LIVE, async (t) => {
  const on = await ground()
  assert.deepEqual((await takeDownCapture({ database: on.database, outbox: true })).at(-1), 'table ringtail_outbox dropped')
  const left = await on.pool.query(`select tgname from pg_trigger where tgname like 'ringtail%'`)
  assert.equal(left.rowCount, 0)
  const { capture } = await service(t, on)
  await assert.rejects(capture(), { code: 'CONFIGURATION', message: /up --outbox/ })
})
