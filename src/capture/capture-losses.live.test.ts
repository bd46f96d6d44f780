import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { dropSlot, ground, hit, LIVE, LOGICAL, service, withPostgres } from '../../tests/support/capture-ground.ts'
import { startPostgres } from '../../tests/support/postgres.ts'
import { startRelay } from '../../tests/support/relay.ts'
import { systemClock } from '../clock.ts'
import { redisNode } from '../node/redis-node.ts'
import { postgresTable, postgresVersionTrigger } from '../store/postgres-table.ts'
import { until } from '../testing/live-redis.ts'
import { startRedisServer } from '../testing/redis-server.ts'
import { askRows, endClient, pgClient } from './pg-client.ts'
import { setUpCapture, takeDownCapture } from './prepare-database.ts'

const { postgres, pool } = withPostgres()

/** Two databases with the same table, of which the first has the longer log. */
async function twoDatabases(t: TestContext) {
  const other = await startPostgres({ settings: LOGICAL })
  t.after(() => other.stop())
  const on = await ground()
  for (let i = 0; i < 4; i++) await on.sql(`insert into items (key, value) values ('w${i}', '{"n": 0}'); select pg_switch_wal()`)
  const otherPool = other.pool()
  await otherPool.query(`${postgresTable({ table: on.table })}; ${postgresVersionTrigger({ table: on.table })}`)
  await otherPool.query(`insert into ${on.table} (key, value) select 'k' || i, '{"n": 0}' from generate_series(1, 10) i`)
  await setUpCapture({ ...on.names, database: other.url(), tables: [on.table] })
  const relay = await startRelay(postgres().port)
  t.after(() => relay.close())
  const database = other.url().replace(`:${other.port}`, `:${relay.port}`)
  const failOver = () => {
    relay.to = other.port
    relay.cut()
  }
  return { on, other, otherPool, database, failOver }
}

test('a slot that is dropped is made anew, and what was cached before is not trusted', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, told } = await service(t, on)
  const capturing = await capture()
  await hit(cache, 'k1')
  await dropSlot(on)
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  await until(() => capturing.stats().losses === 1)
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
  assert.match(told.find(({ name }) => name === 'capture:lost')!.reason!, /was not there/)
  await hit(cache, 'k2')
  await on.sql(`update items set value = '{"n": 2}' where key = 'k2'`)
  await capturing.caughtUp()
  assert.deepEqual(await cache.get('k2'), { n: 2 })
  const slots = await pool().query('select slot_name from pg_replication_slots where slot_name like $1', [`${on.table}%`])
  assert.deepEqual(slots.rows, [{ slot_name: on.table }])
})

test('cut off from its database a follower says by how much it may be behind, and that it lags', LIVE, async (t) => {
  const on = await ground()
  const relay = await startRelay(postgres().port)
  t.after(() => relay.close())
  const { capture, told } = await service(t, on)
  const database = on.names.database.replace(`:${postgres().port}`, `:${relay.port}`)
  const capturing = await capture({}, { database, laggingAfter: 400 })
  await capturing.caughtUp()
  relay.to = 1
  relay.cut()
  const cutAt = performance.now()
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  await until(() => {
    const nowMs = performance.now()
    assert.ok(nowMs - capturing.stats().lagMs! <= cutAt, 'what was committed since is not said to be told')
    return told.some(({ name }) => name === 'capture:lagging')
  })
  assert.equal(capturing.stats().state, 'connecting')
  relay.to = postgres().port
  await capturing.caughtUp()
  assert.ok(performance.now() - capturing.stats().lagMs! > cutAt)
  assert.equal(told.filter(({ name }) => name === 'capture:started').length, 2)
})

test('a database that says nothing any more keeps no question open, and no close', LIVE, async (t) => {
  const on = await ground()
  const relay = await startRelay(postgres().port)
  t.after(() => relay.close())
  const database = on.names.database.replace(`:${postgres().port}`, `:${relay.port}`)
  const { capture } = await service(t, on)
  const client = pgClient(database)
  await client.connect()
  const capturing = await capture({}, { database })
  await capturing.caughtUp()
  relay.silent = true
  await assert.rejects(askRows(client, 'select 1', [], 100), /timeout/)
  const begunAt = performance.now()
  await endClient(client, systemClock)
  await capturing.close()
  // Two seconds of patience, and one of a good-bye for each connection.
  assert.ok(performance.now() - begunAt < 12_000)
  assert.equal(capturing.stats().state, 'closed')
})

test(
  'a node that misses a change serves nothing old once the lag says that it is told, and the database keeps it until then',
  LIVE,
  async (t) => {
    const on = await ground()
    const servers = await Promise.all([startRedisServer(), startRedisServer(), startRedisServer()])
    t.after(() => Promise.all(servers.map((server) => server.stop())))
    const nodes = () => servers.map(({ url }, at) => redisNode(url, { id: `n${at}` }))
    const follower = await service(t, on, nodes())
    const reader = await service(t, on, nodes())
    const capturing = await follower.capture()
    await capturing.caughtUp()
    const keys = Array.from({ length: 10 }, (_, i) => `k${i + 1}`)
    for (const key of keys) await hit(reader.cache, key)
    servers[0]!.pause()
    await on.sql(`update items set value = '{"n": 1}'`)
    const committedAt = performance.now()
    await until(() => capturing.stats().owed > 0)
    await until(() => capturing.stats().changes === 10)
    const toldUpTo = performance.now() - capturing.stats().lagMs!
    assert.ok(toldUpTo < committedAt, 'told to a quorum is not told')
    servers[0]!.resume()
    await until(() => {
      const nowMs = performance.now()
      return nowMs - capturing.stats().lagMs! > committedAt
    })
    const served = await reader.cache.getMany(keys)
    assert.deepEqual(
      keys.filter((key) => served.get(key)?.n !== 1),
      [],
    )
    assert.equal(capturing.stats().owed, 0)
  },
)

test('what was cached before the first follower is not served, and is no loss', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture, told } = await service(t, on)
  await hit(cache, 'k1')
  // As if it had been changed before `up`.
  await on.sql(`alter publication items drop table items; update items set value = '{"n": 1}'; alter publication items add table items`)
  const capturing = await capture()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
  assert.deepEqual([capturing.stats().losses, told.map(({ name }) => name)], [0, ['capture:started']])
  assert.deepEqual((await pool().query('select slot_name from pg_replication_slots where slot_name like $1', [`${on.table}%`])).rowCount, 1)
})

test('a place that was taken down and prepared again is not taken for the old one', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  await (await capture()).close()
  await hit(cache, 'k1')
  await takeDownCapture(on.names)
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  await setUpCapture({ ...on.names, tables: [on.table] })
  const again = await capture()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
  await hit(cache, 'k2')
  // And so while one follows.
  await dropSlot(on)
  await on.sql(`update items set value = '{"n": 2}' where key = 'k2'`)
  await setUpCapture({ ...on.names, tables: [on.table] })
  await until(() => again.stats().losses === 1)
  await again.caughtUp()
  assert.deepEqual(await cache.get('k2'), { n: 2 })
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

test('a database that takes the place of another, with a lower log, is followed from its own place on', LIVE, async (t) => {
  const { on, other, otherPool, database, failOver } = await twoDatabases(t)
  const { cache, capture, told } = await service(t, on, undefined, otherPool)
  const capturing = await capture({}, { database })
  await capturing.caughtUp()
  failOver()
  await until(() => told.some(({ name }) => name === 'capture:lost'))
  assert.match(told.find(({ name }) => name === 'capture:lost')!.reason!, /another than before/)
  await until(() => capturing.stats().state === 'following')
  // What is acknowledged after the first of them is on its way before the second.
  for (let i = 0; i < 3; i++) await capturing.caughtUp({ deadline: '30s' })
  await hit(cache, 'k1')
  await capturing.close()
  await otherPool.query(`update ${on.table} set value = '{"n": 1}' where key = 'k1'`)
  const [place] = (await otherPool.query('select confirmed_flush_lsn <= pg_current_wal_lsn() as ok from pg_replication_slots')).rows
  assert.deepEqual(place, { ok: true })
  const again = await capture({}, { database: other.url() })
  await again.caughtUp()
  assert.deepEqual(await cache.get('k1'), { n: 1 })
})

test('who waits notices that the database is another, though who follows does not', LIVE, async (t) => {
  const { on, other, otherPool, database, failOver } = await twoDatabases(t)
  const before = await service(t, on, undefined, otherPool)
  const leading = await before.capture()
  const waiting = await before.capture({}, { database })
  await until(() => waiting.stats().state === 'waiting')
  await hit(before.cache, 'k1')
  const fresh = await service(t, on, before.nodes, otherPool)
  const following = await fresh.capture({}, { database: other.url() })
  await following.caughtUp()
  failOver()
  await until(() => waiting.stats().losses === 1)
  await until(() => waiting.stats().state === 'waiting')
  assert.equal(following.stats().losses, 0)
  await leading.close()
})
