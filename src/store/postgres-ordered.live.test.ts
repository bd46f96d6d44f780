import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { systemClock } from '../clock.ts'
import { versionAt } from '../version-clock.ts'
import type { PostgresPool } from './postgres-query.ts'
import { postgresStore } from './postgres-store.ts'
import { postgresTable, postgresVersionTrigger } from './postgres-table.ts'
import type { SaveStatus } from './store.ts'

let server: RunningPostgres
let pool: pg.Pool

before(async () => {
  server = await startPostgres()
  pool = server.pool()
})
after(() => server?.stop())

const earlier = versionAt(systemClock.now() - 60_000)
let tables = 0

/** @param remembers whether the table has one of `removals` */
async function freshTable(remembers: boolean): Promise<{ table: string; removals: string | undefined }> {
  const table = `things_${++tables}`
  const options = { table, removals: remembers ? `${table}_removals` : undefined }
  await pool.query(postgresTable(options))
  return options
}

/** A pool that does something once, after its first statement. */
function withAfterFirst(work: () => Promise<unknown>): PostgresPool {
  let sent = 0
  return {
    async query(query) {
      const answer = await pool.query(query)
      if (++sent === 1) await work()
      return answer
    },
  }
}

const ordered = (key: string, floor: bigint) => ({ key, value: `${floor}`, floor, ifOlder: true })
const states = (statuses: readonly SaveStatus[]) => statuses.map(({ state }) => state)

for (const remembers of [false, true]) {
  describe(`ordered writes on a table ${remembers ? 'with' : 'without'} removals`, () => {
    test('of two processes keep their versions under the version trigger, so that the later one is not lost', async () => {
      const options = await freshTable(remembers)
      await pool.query(postgresVersionTrigger(options))
      const store = postgresStore<string>({ pool, ...options })
      for (const version of [earlier, earlier + 1n, earlier + 2n])
        assert.deepEqual(await store.save([ordered('a', version)]), [{ state: 'saved', version }])
      assert.deepEqual((await store.load(['a'])).rows.get('a'), { value: `${earlier + 2n}`, version: earlier + 2n })
    })

    test('take the place of rows from before there was a version', async () => {
      const options = await freshTable(remembers)
      await pool.query(
        `alter table ${options.table} alter version drop not null; insert into ${options.table} values ('a', '1', null), ('b', '1', 0)`,
      )
      const store = postgresStore<string>({ pool, ...options })
      assert.deepEqual(states(await store.save([ordered('a', earlier), ordered('b', earlier)])), ['saved', 'saved'])
      await pool.query(`update ${options.table} set version = null`)
      assert.deepEqual(states(await store.remove([ordered('a', earlier)])), ['saved'])
      assert.deepEqual([...(await store.load(['a', 'b'])).rows.keys()], ['b'])
    })

    test('that a trigger of the table keeps out are failed, to be tried again, and are no conflict', async () => {
      const options = await freshTable(remembers)
      const { table } = options
      const store = postgresStore<string>({ pool, ...options })
      await store.save([ordered('there', earlier)])
      await pool.query(`create function ${table}_keep() returns trigger language plpgsql as 'begin return null; end';
        create trigger keep before insert or update or delete on ${table} for each row execute function ${table}_keep()`)
      assert.deepEqual(states(await store.save([ordered('there', earlier + 1n), ordered('new', earlier)])), ['failed', 'failed'])
      const removals = await store.remove([ordered('there', earlier + 1n), ordered('absent', earlier)])
      assert.deepEqual(states(removals), ['failed', 'saved'])
      assert.ok(removals[0]?.state === 'failed' && removals[0].forGood === undefined)
    })

    test('that were kept out by a row which an older one has replaced since are failed, to be tried again', async () => {
      const options = await freshTable(remembers)
      const { table } = options
      await pool.query(`insert into ${table} values ('a', '"newer"', ${earlier + 9n})`)
      const replace = () => pool.query(`update ${table} set version = ${earlier - 9n}`)
      const replaced = postgresStore<string>({ pool: withAfterFirst(replace), ...options })
      assert.deepEqual(states(await replaced.save([ordered('a', earlier)])), ['failed'])
      assert.deepEqual(states(await replaced.save([ordered('a', earlier)])), ['saved'])
    })
  })
}

test('an update by other SQL that raises the version itself keeps it, and one that does not is raised to the clock', async () => {
  const options = await freshTable(false)
  const { table } = options
  await pool.query(postgresVersionTrigger(options))
  await pool.query(`insert into ${table} values ('a', '1', ${earlier}), ('b', '1', ${earlier}), ('c', '1', ${earlier})`)
  await pool.query(`update ${table} set version = ${earlier + 3n} where key = 'a'`)
  await pool.query(`update ${table} set value = '2' where key = 'b'`)
  await pool.query(`update ${table} set version = 7 where key = 'c'`)
  const { rows } = await postgresStore({ pool, table }).load(['a', 'b', 'c'])
  assert.equal(rows.get('a')!.version, earlier + 3n)
  const least = versionAt(systemClock.now() - 30_000)
  for (const key of ['b', 'c']) assert.ok(rows.get(key)!.version > least)
})
