import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import type { Cache } from '../caches/cache.ts'
import { createTier, type Tier } from '../create-tier.ts'
import type { EventName } from '../events.ts'
import { memoryNode } from '../node/memory-node.ts'
import { postgresStore } from '../store/postgres-store.ts'
import { postgresTable, postgresVersionTrigger } from '../store/postgres-table.ts'
import { readThrough } from '../strategy/read-through.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { until } from '../testing/live-redis.ts'
import type { CapturedTableOptions, CaptureOptions } from './capture.ts'
import { setUpCapture } from './prepare-database.ts'

interface Item {
  n: number
  group?: string
}

const LIVE = { timeout: 60_000 }
const LOGICAL = { wal_level: 'logical', synchronous_commit: 'on', max_wal_senders: '20', max_replication_slots: '20' } as const

let postgres: RunningPostgres
let pool: pg.Pool
let grounds = 0

before(async () => {
  postgres = await startPostgres({ settings: LOGICAL })
  pool = postgres.pool()
})
after(() => postgres.stop())

/** A table with ten rows, its slot and its publication, of one test. */
async function ground({ trigger = true, full = false } = {}) {
  const table = `items_${++grounds}`
  await pool.query(postgresTable({ table }))
  if (trigger) await pool.query(postgresVersionTrigger({ table }))
  await pool.query(`insert into ${table} (key, value) select 'k' || i, jsonb_build_object('n', 0) from generate_series(1, 10) i`)
  const names = { slot: table, publication: table, database: postgres.url() }
  await setUpCapture({ ...names, tables: [table], fullIdentity: full })
  return { table, names, sql: (text: string) => pool.query(text.replaceAll('items', table)) }
}

type Ground = Awaited<ReturnType<typeof ground>>

/** A process of its own, as far as a cache is. */
async function service(t: TestContext, { table, names }: Ground, nodes = ['a', 'b', 'c'].map((id) => memoryNode({ id }))) {
  const tier: Tier = await createTier({ nodes })
  t.after(() => tier.close())
  const store = postgresStore<Item>({ pool, table })
  const cache: Cache<Item> = tier.cache<Item>('items', {
    strategy: writeThrough(store),
    ttl: '1h',
    tags: ({ group }) => (group === undefined ? [] : [group]),
  })
  const told: { name: EventName; reason?: string }[] = []
  for (const name of ['capture:started', 'capture:waiting', 'capture:lost', 'capture:failed', 'capture:lagging'] as const)
    tier.on(name, (payload) => void told.push({ name, ...('reason' in payload ? { reason: payload.reason } : {}) }))
  const capture = (of: Partial<CapturedTableOptions> = {}, options: Partial<CaptureOptions> = {}) =>
    tier.captureChanges({ ...names, tables: [{ table, cache, ...of }], every: 50, ...options })
  return { tier, cache, capture, told, nodes }
}

async function hit(cache: Cache<Item>, key: string): Promise<Item | undefined> {
  await until(async () => ['hit', 'negative'].includes((await cache.getWithOutcome(key)).outcome))
  return cache.get(key)
}

test('a change made in SQL by another client is read once the capture has caught up', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  assert.deepEqual(await hit(cache, 'k1'), { n: 0 })
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
  const { state, changes, losses, lagMs, lastLsn } = capturing.stats()
  assert.deepEqual([state, changes, losses], ['following', 1, 0])
  assert.ok(lagMs! < 1_000 && /^[0-9A-F]+\/[0-9A-F]+$/.test(lastLsn!))
})

test('what the cache itself has written stays cached', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  await cache.set('k1', { n: 5 })
  await cache.set('new', { n: 6 })
  await capturing.caughtUp()
  assert.deepEqual([(await cache.getWithOutcome('k1')).outcome, (await cache.getWithOutcome('new')).outcome], ['hit', 'hit'])
})

test(
  'without the trigger a change that leaves the version alone, and a row made again below it, are read all the same',
  LIVE,
  async (t) => {
    const on = await ground({ trigger: false })
    const { cache, capture } = await service(t, on)
    const capturing = await capture()
    await hit(cache, 'k1')
    await cache.set('k2', { n: 7 })
    await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
    await on.sql(`delete from items where key = 'k2'`)
    await on.sql(`insert into items (key, value) values ('k2', '{"n": 8}')`)
    await capturing.caughtUp()
    assert.deepEqual([await cache.get('k1'), await cache.get('k2')], [{ n: 1 }, { n: 8 }])
  },
)

test('a row that is deleted is gone, and one that is made again is read, whatever absence was remembered', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  await hit(cache, 'k1')
  await on.sql(`delete from items where key = 'k1'`)
  await capturing.caughtUp()
  assert.equal(await hit(cache, 'k1'), undefined)
  await on.sql(`insert into items (key, value) values ('k1', '{"n": 2}')`)
  await capturing.caughtUp()
  assert.deepEqual(await hit(cache, 'k1'), { n: 2 })
})

test('a row that changes its key is gone under the old and read under the new', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  await hit(cache, 'k1')
  assert.equal(await hit(cache, 'moved'), undefined)
  await on.sql(`update items set key = 'moved' where key = 'k1'`)
  await capturing.caughtUp()
  assert.deepEqual([await cache.get('k1'), await cache.get('moved')], [undefined, { n: 0 }])
})

test('a table that is emptied by truncate empties its cache', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  await hit(cache, 'k1')
  await on.sql('truncate items')
  await capturing.caughtUp()
  assert.equal(await cache.get('k1'), undefined)
})

test('to refresh caches the row as it now is, and the store is not asked for it', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture({ apply: 'refresh' })
  await hit(cache, 'k1')
  await on.sql(`update items set value = '{"n": 1}' where key in ('k1', 'k2')`)
  await capturing.caughtUp()
  assert.deepEqual(await cache.getWithOutcome('k1').then(({ value, outcome }) => [value, outcome]), [{ n: 1 }, 'hit'])
  assert.deepEqual(await cache.getWithOutcome('k2').then(({ value, outcome }) => [value, outcome]), [{ n: 1 }, 'hit'])
})

test('a large value that did not change is not in the log: what is cached of its row is removed', LIVE, async (t) => {
  const on = await ground()
  await on.sql(`alter table items alter column value set storage external`)
  const { cache, capture } = await service(t, on)
  const capturing = await capture({ apply: 'refresh' })
  await on.sql(`update items set value = jsonb_build_object('n', 1, 'pad', repeat('x', 20000)) where key = 'k1'`)
  await capturing.caughtUp()
  assert.equal((await cache.getWithOutcome('k1')).outcome, 'hit')
  await on.sql(`update items set version = version + 1 where key = 'k1'`)
  await capturing.caughtUp()
  assert.equal((await cache.getWithOutcome('k1')).outcome, 'miss')
})

test('tags of the row as it was and as it is are deleted by', LIVE, async (t) => {
  const on = await ground({ full: true })
  const { tier, capture } = await service(t, on)
  const pages = tier.cache<string>('pages', {
    strategy: readThrough<string>({
      name: 'pages',
      load: async (keys) => ({ rows: new Map(keys.map((key) => [key, { value: key, version: 0n }])) }),
      stats: () => [],
    }),
    ttl: '1h',
    tags: (page) => [page],
  })
  const capturing = await capture({
    cache: pages,
    keys: () => [],
    tags: (row, old) => [row, old].flatMap((each) => (each === undefined ? [] : [String((each.value as Item).group)])),
  })
  await on.sql(`update items set value = '{"n": 1, "group": "red"}' where key = 'k1'`)
  await capturing.caughtUp()
  for (const page of ['red', 'blue', 'green']) await until(async () => (await pages.getWithOutcome(page)).outcome === 'hit')
  await on.sql(`update items set value = '{"n": 1, "group": "blue"}' where key = 'k1'`)
  await capturing.caughtUp()
  const outcomes = await Promise.all(['red', 'blue', 'green'].map(async (page) => (await pages.getWithOutcome(page)).outcome))
  assert.deepEqual(outcomes, ['miss', 'miss', 'hit'])
})

test('a capture that begins again goes on where it was let go of', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  await (await capture()).close()
  await hit(cache, 'k1')
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  const again = await capture()
  await again.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
  assert.equal(again.stats().losses, 0)
})

test('of two captures one follows; the other takes its place when it is gone', LIVE, async (t) => {
  const on = await ground()
  const first = await service(t, on)
  const second = await service(t, on, first.nodes)
  const leading = await first.capture()
  const waiting = await second.capture()
  assert.deepEqual([leading.stats().state, waiting.stats().state, waiting.stats().lagMs], ['following', 'waiting', undefined])
  await hit(second.cache, 'k1')
  await leading.close()
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  await waiting.caughtUp()
  assert.equal(waiting.stats().state, 'following')
  assert.deepEqual(await second.cache.get('k1'), { n: 1 })
})

test('a slot that is dropped is made anew, and what was cached before is not trusted', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, told } = await service(t, on)
  const capturing = await capture()
  await hit(cache, 'k1')
  await pool.query('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [on.table])
  await until(async () => {
    const dropped = await pool
      .query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active', [on.table])
      .catch(() => undefined)
    return dropped?.rowCount === 1
  })
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  await until(() => capturing.stats().losses === 1)
  assert.deepEqual(await cache.get('k1'), { n: 1 })
  assert.match(told.find(({ name }) => name === 'capture:lost')!.reason!, /was not there/)
  await hit(cache, 'k2')
  await on.sql(`update items set value = '{"n": 2}' where key = 'k2'`)
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k2'), { n: 2 })
  const slots = await pool.query('select slot_name from pg_replication_slots where slot_name like $1', [`${on.table}%`])
  assert.deepEqual(slots.rows, [{ slot_name: on.table }])
})

test('where the database keeps too much of its log for it, the place is given up and taken anew', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, told } = await service(t, on)
  let down = true
  const stuck = {
    name: cache.name,
    applyChanges: (changes: never) => (down ? Promise.reject(new Error('no node answers')) : cache.applyChanges(changes)),
    deleteByTag: (tags: readonly string[]) => cache.deleteByTag(tags),
    clear: () => cache.clear(),
  }
  const capturing = await capture({ cache: stuck }, { maxWalBytes: 3_000_000 })
  await hit(cache, 'k1')
  await on.sql(
    `update items set value = jsonb_build_object('n', 1, 'pad', (select string_agg(md5(i::text), '') from generate_series(1, 200) i))`,
  )
  await until(() => told.some(({ name }) => name === 'capture:failed'))
  for (let i = 0; i < 40; i++) await on.sql(`update items set value = value || '{"n": 2}'`)
  down = false
  await until(() => capturing.stats().losses === 1 && told.some(({ name }) => name === 'capture:lost'))
  assert.match(told.find(({ name }) => name === 'capture:lost')!.reason!, /more than maxWalBytes/)
  await capturing.caughtUp()
  assert.equal((await cache.get('k1'))!.n, 2)
  await until(() => capturing.stats().walBytes! < 3_000_000)
})

test('nothing is let go of in the database before the nodes have it', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, told } = await service(t, on)
  const stuck = {
    name: cache.name,
    applyChanges: () => Promise.reject(new Error('no node answers')),
    deleteByTag: async () => {},
    clear: async () => {},
  }
  const capturing = await capture({ cache: stuck })
  await hit(cache, 'k1')
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  await until(() => told.some(({ name }) => name === 'capture:failed'))
  assert.equal(capturing.stats().waiting, 1)
  await capturing.close()
  const again = await capture()
  await again.caughtUp()
  assert.deepEqual([await cache.get('k1'), again.stats().losses], [{ n: 1 }, 0])
})

test('a database that is not prepared is refused, with what to do', LIVE, async (t) => {
  const on = await ground()
  const { capture, cache } = await service(t, on)
  await assert.rejects(capture({}, { publication: 'other' }), {
    code: 'CONFIGURATION',
    message: /publication 'other'.*ringtail-capture up/,
  })
  await assert.rejects(capture({ table: 'nowhere' }), { code: 'CONFIGURATION', message: /table 'nowhere'.*in the database/ })
  await assert.rejects(capture({ cache, rising: 'yes' as never }), { code: 'CONFIGURATION', message: /rising: needs true or false/ })
})
