import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dropSlot, ground, hit, type Item, LIVE, service, withPostgres } from '../../tests/support/capture-ground.ts'
import { postgresStore } from '../store/postgres-store.ts'
import { postgresTable } from '../store/postgres-table.ts'
import { readThrough } from '../strategy/read-through.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { until } from '../testing/live-redis.ts'
import { setUpCapture } from './prepare-database.ts'

const { pool } = withPostgres()

test('a publication that is dropped while it is followed is noticed before anything counts as told', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, told } = await service(t, on)
  const capturing = await capture()
  await hit(cache, 'k1')
  await on.sql('drop publication items')
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  const changedAt = performance.now()
  await until(() => told.some(({ name, reason }) => name === 'capture:failed' && /was altered/.test(reason!)))
  const toldUpTo = performance.now() - capturing.stats().lagMs!
  assert.ok(toldUpTo < changedAt)
  await setUpCapture({ ...on.names, tables: [on.table] })
  await capturing.caughtUp({ deadline: '30s' })
  assert.deepEqual([await cache.get('k1'), capturing.stats().losses], [{ n: 1 }, 1])
})

test('a table that was left out of the publication for a moment makes what was cached untrusted', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  await hit(cache, 'k1')
  await on.sql(`alter publication items drop table items; update items set value = '{"n": 1}'; alter publication items add table items`)
  await until(() => capturing.stats().losses === 1)
  await capturing.caughtUp({ deadline: '30s' })
  assert.deepEqual(await cache.get('k1'), { n: 1 })
})

test('that another table is added to the publication is no loss', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  await on.sql('create table items_too (key text primary key); alter publication items add table items_too')
  await hit(cache, 'k1')
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  for (let i = 0; i < 3; i++) await capturing.caughtUp()
  assert.deepEqual([await cache.get('k1'), capturing.stats().losses], [{ n: 1 }, 0])
})

test('a change that waits for its standby is told once readers can see it, whether or not versions rise', LIVE, async (t) => {
  for (const trigger of [true, false]) {
    const on = await ground({ trigger, full: true })
    const { tier, cache, capture } = await service(t, on)
    const pages = tier.cache<Item>('pages', {
      strategy: readThrough(postgresStore<Item>({ pool: pool(), table: on.table })),
      ttl: '1h',
      tags: () => ['all'],
    })
    const tables = [
      { table: on.table, cache },
      { table: on.table, cache: pages, keys: () => [], tags: () => ['all'] },
    ]
    const capturing = await capture({}, { tables })
    await capturing.caughtUp()
    for (const key of ['k1', 'k2']) await hit(cache, key)
    await hit(pages, 'k1')
    await waitForStandby('nobody')
    const [before] = (await pool().query('select pg_current_wal_insert_lsn()::text as lsn')).rows
    const writer = await pool().connect()
    const committing = writer.query(
      `begin; update ${on.table} set value = '{"n": 1}' where key = 'k1'; delete from ${on.table} where key = 'k2'; commit`,
    )
    // Heard of, and waiting: a reader who asks now gets the row as it was, and caches it.
    await until(() => capturing.stats().waiting > 0)
    for (let i = 0; i < 5; i++) {
      assert.deepEqual([await hit(cache, 'k1'), await hit(cache, 'k2'), await hit(pages, 'k1')], [{ n: 0 }, { n: 0 }, { n: 0 }])
    }
    assert.ok(before !== undefined && capturing.stats().changes === 0)
    await waitForStandby('')
    await committing
    writer.release()
    await capturing.caughtUp({ deadline: '30s' })
    assert.deepEqual([await cache.get('k1'), await cache.get('k2'), await pages.get('k1')], [{ n: 1 }, undefined, { n: 1 }])
  }
})

test('a lost place empties the caches at once, also while its making waits for a transaction', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, told } = await service(t, on)
  const capturing = await capture()
  await hit(cache, 'k1')
  const writer = await pool().connect()
  await writer.query(`begin; insert into ${on.table} (key, value) values ('open', '{"n": 0}')`)
  await dropSlot(on)
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  await until(() => told.some(({ name }) => name === 'capture:lost'))
  await until(async () => (await cache.get('k1'))!.n === 1)
  assert.equal((await pool().query('select 1 from pg_replication_slots where slot_name = $1', [on.table])).rowCount, 0)
  await writer.query('rollback')
  writer.release()
  await capturing.caughtUp({ deadline: '30s' })
  assert.equal(capturing.stats().losses, 1)
})

test('a session that only replicates raises versions too, and a trigger that was disabled is not believed', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  await capturing.caughtUp()
  for (const key of ['k1', 'k2', 'k3']) await hit(cache, key)
  const replica = await pool().connect()
  await replica.query(`set session_replication_role = replica; update ${on.table} set value = '{"n": 1}' where key = 'k1'`)
  replica.release(true)
  await capturing.caughtUp()
  assert.deepEqual([await cache.get('k1'), capturing.stats().losses], [{ n: 1 }, 0])
  await on.sql('alter table items disable trigger user')
  await on.sql(`update items set value = '{"n": 2}' where key = 'k2'`)
  await until(() => capturing.stats().losses === 1)
  await capturing.caughtUp({ deadline: '30s' })
  assert.deepEqual(await cache.get('k2'), { n: 2 })
  await hit(cache, 'k3')
  await on.sql(`update items set value = '{"n": 3}' where key = 'k3'`)
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k3'), { n: 3 })
})

test('who takes over with a table more than the one before does not trust what was cached of it', LIVE, async (t) => {
  const on = await ground()
  const more = `${on.table}_more`
  await pool().query(`${postgresTable({ table: more })}; insert into ${more} (key, value) values ('k1', '{"n": 0}')`)
  await setUpCapture({ ...on.names, tables: [on.table, more] })
  const old = await service(t, on)
  const next = await service(t, on, old.nodes)
  const others = next.tier.cache<Item>('more', { strategy: writeThrough(postgresStore<Item>({ pool: pool(), table: more })), ttl: '1h' })
  const leading = await old.capture()
  const tables = [
    { table: on.table, cache: next.cache },
    { table: more, cache: others },
  ]
  const waiting = await next.capture({}, { tables })
  assert.equal(waiting.stats().state, 'waiting')
  await hit(next.cache, 'k1')
  await hit(others, 'k1')
  await pool().query(`update ${more} set value = '{"n": 1}'`)
  await leading.caughtUp()
  await leading.close()
  await waiting.caughtUp({ deadline: '30s' })
  assert.deepEqual([await others.get('k1'), (await next.cache.getWithOutcome('k1')).outcome], [{ n: 1 }, 'hit'])
  // And where both have the same tables, nothing is lost.
  const third = await service(t, on, old.nodes)
  const after = await third.capture()
  assert.equal(after.stats().state, 'waiting')
  await waiting.close()
  await after.caughtUp({ deadline: '30s' })
  assert.deepEqual([waiting.stats().losses, after.stats().losses], [1, 0])
})

async function waitForStandby(name: string): Promise<void> {
  await pool().query(`alter system set synchronous_standby_names = '${name}'`)
  await pool().query('select pg_reload_conf()')
  await until(async () => (await pool().query('show synchronous_standby_names')).rows[0].synchronous_standby_names === name)
}
