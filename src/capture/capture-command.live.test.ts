import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { captureCommand } from './capture-command.ts'

const LIVE = { timeout: 60_000 }
let postgres: RunningPostgres
let pool: pg.Pool

before(async () => {
  postgres = await startPostgres({ settings: { wal_level: 'logical' } })
  pool = postgres.pool()
  await pool.query('create table products (id bigint primary key, name text, version bigint not null default 1)')
  await pool.query('create table heap (name text)')
  await pool.query('create role reader login; grant select on products to reader; create role replicator login replication')
})
after(() => postgres.stop())

async function run(args: readonly string[], url = postgres.url()) {
  const said: string[] = []
  const complained: string[] = []
  const code = await captureCommand(
    args,
    { DATABASE_URL: url },
    { say: (line) => said.push(line), complain: (line) => complained.push(line) },
  )
  return { code, said: said.join('\n'), complained: complained.join('\n') }
}

const slots = async () => (await pool.query('select slot_name from pg_replication_slots')).rows.map((row) => row.slot_name as string)

test('up prepares, status tells, up again finds all there, down leaves nothing', LIVE, async () => {
  assert.equal((await run(['status'])).code, 1)
  const up = await run(['up', '--table', 'products', '--version-trigger', '--full-identity'])
  assert.equal(up.code, 0, up.complained)
  assert.match(up.said, /publication ringtail made: products/)
  assert.match(up.said, /slot ringtail_fresh made, which becomes ringtail/)
  assert.match(up.said, /max_slot_wal_keep_size/)
  assert.deepEqual(await slots(), ['ringtail_fresh'])
  const status = await run(['status', '--json'])
  assert.equal(status.code, 0)
  const { prepared, publication, slot, walLevel } = JSON.parse(status.said)
  assert.deepEqual([prepared, publication.tables, slot.active, walLevel], [true, ['public.products'], false, 'logical'])
  assert.match((await run(['status'])).said, /slot +ringtail_fresh: nobody follows/)
  assert.equal((await run(['up', '--table', 'products'])).code, 0)
  const down = await run(['down'])
  assert.deepEqual([down.code, down.said], [0, 'slot ringtail_fresh dropped\npublication ringtail dropped'])
  assert.deepEqual(await slots(), [])
  assert.equal((await run(['down'])).said, 'nothing was there')
})

test('what cannot work is said with what would, and nothing is half made', LIVE, async () => {
  const as = (user: string) => postgres.url().replace('postgres@', `${user}@`)
  const heap = await run(['up', '--table', 'heap'])
  assert.deepEqual([heap.code, /table 'heap': needs a primary key/.test(heap.complained)], [1, true])
  const nowhere = await run(['up', '--table', 'nowhere'])
  assert.match(nowhere.complained, /table 'nowhere': needs to be in the database/)
  const reader = await run(['up', '--table', 'products'], as('reader'))
  assert.match(reader.complained, /alter role reader replication/)
  const replicator = await run(['up', '--table', 'products'], as('replicator'))
  assert.match(replicator.complained, /needs a role that owns the tables/)
  const gone = await run(['up', '--table', 'products'], 'postgres://127.0.0.1:1/x')
  assert.match(gone.complained, /needs a database that can be reached/)
  assert.deepEqual(await slots(), [])
})

test('a server whose log is not logical is told how to make it so', LIVE, async (t) => {
  const other = await startPostgres({ settings: { wal_level: 'replica' } })
  t.after(() => other.stop())
  await other.pool().query('create table products (id bigint primary key)')
  const refused = await run(['up', '--table', 'products'], other.url())
  assert.deepEqual([refused.code, /needs wal_level = logical, but got: replica/.test(refused.complained)], [1, true])
  assert.match(refused.complained, /--outbox/)
  const outbox = await run(['up', '--table', 'products', '--outbox'], other.url())
  assert.equal(outbox.code, 0, outbox.complained)
  assert.match((await run(['status', '--outbox'], other.url())).said, /outbox +1 changes wait/)
})

test('a command called wrongly says how, with exit code 2', LIVE, async () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['sideways'], /needs one of up, down, status/],
    [['up'], /--table: needs at least one table/],
    [['up', '--tabel', 'x'], /Unknown option '--tabel'/],
    [['up', '--table', 'x', '--slot', 'No'], /slot: needs a name of lower-case letters/],
    [['up', '--table', 'x', '--database', 'mysql://root:secret@x'], /database: needs 'postgres:/],
  ]
  for (const [args, message] of wrong) {
    const { code, complained } = await run(args)
    assert.equal(code, 2, complained)
    assert.match(complained, message)
    assert.ok(!complained.includes('secret'))
  }
  assert.match((await run(['--help'])).said, /ringtail-capture up/)
})
