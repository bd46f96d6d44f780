import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { startRedisServer } from 'ringtail/testing'
import { assertNothingLeft, assertWhole, run } from '../../tests/support/shop-run.ts'
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
    report.captures.map(({ mode, losses }) => [mode, losses]),
    [
      ['replication', 0],
      ['outbox', 0],
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
