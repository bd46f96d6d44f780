import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { startRedisServer } from 'ringtail/testing'
import { assertNothingLeft, assertWhole, MAIN, run } from '../../tests/support/shop-run.ts'
import { startPostgresServers } from './database/postgres-servers.ts'
import { connectShards, disconnectShards, SCHEMA } from './database/shards.ts'
import { UndoStack } from './lifecycle/undo.ts'
import type { Report } from './report/report.ts'

const LEFT = `select nspname::text as left from pg_namespace where nspname = $1 union all select slot_name from pg_replication_slots
  union all select pubname from pg_publication union all select relname from pg_class where relname like 'ringtail%'`

/** @returns the address of a database on the same server whose owner may not follow the log */
async function withoutReplication(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const plain = Object.assign(new URL(url), { username: 'plain', pathname: '/plain' })
  await client.query(`create role plain login password '${plain.password}'`)
  await client.query('create database plain owner plain')
  await client.end()
  return plain.href
}

test('the shop runs on its own, tells one JSON object on stdout, and leaves nothing behind', async (t) => {
  const shop = run(t, '--for', '3s', '--json')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  assertWhole(report)
  assert.equal(report.nodes.length, 5)
  assert.equal(report.shards.length, 3)
  assert.deepEqual(
    report.captures.map(({ mode, changes, losses }) => [mode, changes > 0, losses]),
    Array(3).fill(['replication', true, 0]),
  )
  assert.deepEqual(report.catalogue, { products: 5_000, rejected: 0, generated: 5_000 })
  assertNothingLeft(shop)
})

test('at a low rate it keeps to it, and does not wait for its shoppers to end', async (t) => {
  const shop = run(t, '--for', '4s', '--rate', '5', '--json')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  assert.ok(report.requests.total >= 10 && report.requests.total <= 22, `${report.requests.total}`)
  assert.ok(report.seconds < 8)
})

test('when nobody listens any more it ends without a word', async (t) => {
  const shop = run(t, '--rate', '50')
  shop.child.stdout?.destroy()
  const { code, stderr } = await shop.ended
  assert.equal(code, 141, stderr)
  assertNothingLeft(shop)
})

test('a wrong option or file ends it with 2 and one clear message, before or after things were started', async (t) => {
  const wrong: [args: string[], told: RegExp][] = [
    [['--rate', 'fast'], /^--rate: needs requests per second/],
    [['--catalogue', '/no/such/file'], /^--catalogue: needs a file that can be read, but got: \/no\/such\/file \(there is no such file\)/m],
    [['--reads', MAIN], /--reads .*: needs CSV with the header "type,id,idx" or "key"/],
    [['--database', 'postgres://127.0.0.1:1/none'], /--database: needs databases that answer/],
    [['--nodes', 'redis://127.0.0.1:1', '--replicas', '1'], /--nodes: needs nodes that answer/],
  ]
  for (const [args, told] of wrong) {
    const shop = run(t, ...args, '--json')
    const { code, stdout, stderr } = await shop.ended
    assert.equal(code, 2, stderr)
    assert.equal(stdout, '')
    assert.match(stderr, told)
    assert.doesNotMatch(stderr, / {4}at /)
    assertNothingLeft(shop)
  }
})

test('it runs on nodes and databases that are given, and leaves both as they were', async (t) => {
  const undo = new UndoStack()
  t.after(() => undo.run())
  const servers = await Promise.all([1, 2].map(() => startRedisServer({ maxMemory: 32 * 2 ** 20 })))
  t.after(() => Promise.all(servers.map((server) => server.stop())))
  const databases = await startPostgresServers(2, undo, new AbortController().signal)
  databases[1] = await withoutReplication(databases[1]!)
  const given = ['--nodes', servers.map(({ url }) => url).join(','), '--replicas', '2', '--database', databases.join(',')]
  const shop = run(t, ...given, '--for', '3s', '--json')
  const { code, stdout, stderr } = await shop.ended
  assert.equal(code, 0, stderr)
  const report = JSON.parse(stdout) as Report
  assertWhole(report)
  assert.deepEqual([report.nodes.length, report.shards.length], [2, 2])
  assert.match(stderr, /^shard-1: changes of stock come by an outbox, not by the log: .*needs a role that may replicate/m)
  assert.deepEqual(
    report.captures.map(({ mode, changes, losses }) => [mode, changes > 0, losses]),
    [
      ['replication', true, 0],
      ['outbox', true, 0],
    ],
  )
  assertNothingLeft(shop)

  const shards = connectShards(databases)
  undo.add({ what: 'connections', stop: () => disconnectShards(shards) })
  for (const { aside } of shards) {
    const { rows } = await aside.query(LEFT, [SCHEMA])
    assert.deepEqual(rows, [])
    await aside.query(`create schema ${SCHEMA}`)
  }
  const again = await run(t, ...given, '--for', '1s', '--json').ended
  assert.equal(again.code, 2)
  assert.match(again.stderr, /--database: needs a database without a schema ringtail_shop/)
  const { rows } = await shards[0]!.aside.query('select 1 from pg_namespace where nspname = $1', [SCHEMA])
  assert.equal(rows.length, 1)
})
