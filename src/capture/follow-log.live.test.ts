import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ground, hit, type Item, LIVE, service, untilRefreshed, withPostgres } from '../../tests/support/capture-ground.ts'
import { postgresStore } from '../store/postgres-store.ts'
import { readThrough } from '../strategy/read-through.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { until } from '../testing/live-redis.ts'

const { pool } = withPostgres()

test('a change made in SQL by another client is read once the capture has caught up', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture()
  assert.deepEqual(await hit(cache, 'k1'), { n: 0 })
  await on.sql(`update items set value = '{"n": 1}' where key = 'k1'`)
  const committedAt = performance.now()
  await until(() => performance.now() - capturing.stats().lagMs! > committedAt)
  assert.deepEqual(await cache.get('k1'), { n: 1 })
  const { state, changes, losses, lastLsn } = capturing.stats()
  assert.deepEqual([state, changes, losses], ['following', 1, 0])
  assert.match(lastLsn!, /^[0-9A-F]+\/[0-9A-F]+$/)
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

test('what nobody commits does not keep it from being known that all is told', LIVE, async (t) => {
  const on = await ground()
  const { capture } = await service(t, on)
  const capturing = await capture()
  await capturing.caughtUp()
  const { rows } = await on.sql(`select pid from pg_stat_activity where backend_type = 'walwriter'`)
  const { pid } = rows[0] as { pid: number }
  process.kill(pid, 'SIGSTOP')
  t.after(() => process.kill(pid, 'SIGCONT'))
  // As what a read leaves that tidies a page: it is in memory until somebody commits.
  await on.sql(`select pg_logical_emit_message(false, 'nobody', '')`)
  await capturing.caughtUp()
})

test('to refresh caches the row as it now is, and the store is not asked for it', LIVE, async (t) => {
  const on = await ground()
  const { cache, capture } = await service(t, on)
  const capturing = await capture({ apply: 'refresh' })
  await untilRefreshed(on, cache, capturing)
  await hit(cache, 'k1')
  await on.sql(`update items set value = '{"n": 1}' where key in ('k1', 'k2')`)
  await capturing.caughtUp()
  assert.deepEqual(await cache.getWithOutcome('k1').then(({ value, outcome }) => [value, outcome]), [{ n: 1 }, 'hit'])
  assert.deepEqual(await cache.getWithOutcome('k2').then(({ value, outcome }) => [value, outcome]), [{ n: 1 }, 'hit'])
})

test('how a role or a database spells dates does not change what a refresh caches', LIVE, async (t) => {
  const on = await ground()
  await on.sql(`alter table items add column day date; alter role postgres set datestyle = 'German'`)
  t.after(() => on.sql('alter role postgres reset datestyle'))
  const { tier, capture } = await service(t, on)
  const table = { table: on.table, columns: { n: { type: 'jsonb', column: 'value' }, day: { type: 'date' } } } as const
  const days = tier.cache<{ n: unknown; day: string | null }>('days', {
    strategy: writeThrough(postgresStore<{ n: unknown; day: string | null }>({ pool: pool(), ...table })),
    ttl: '1h',
  })
  const capturing = await capture({ ...table, cache: days, apply: 'refresh' })
  await until(async () => {
    await on.sql(`update items set day = '2026-11-24' where key = 'k1'`)
    await capturing.caughtUp()
    const { outcome, value } = await days.getWithOutcome('k1')
    assert.equal(value!.day, '2026-11-24')
    return outcome === 'hit'
  })
})

test('a large value that did not change is not in the log: what is cached of its row is removed', LIVE, async (t) => {
  const on = await ground()
  await on.sql(`alter table items alter column value set storage external`)
  const { cache, capture } = await service(t, on)
  const capturing = await capture({ apply: 'refresh' })
  await untilRefreshed(on, cache, capturing)
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
