/**
 * Four processes read, with near caches, while another client changes all rows of two tables in SQL, one of which leaves versions as they are.
 * Once the lag that a follower reports says that all up to a commit is told, none of them serves an old row. On the way the follower is killed
 * and another takes its place, and the slot is dropped.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setUpCapture } from '../src/capture/preparation.ts'
import type { CaptureStats } from '../src/index.ts'
import { postgresTable, postgresVersionTrigger } from '../src/index.ts'
import { until } from '../src/testing/live-redis.ts'
import { startRedisServer } from '../src/testing/redis-server.ts'
import { type CaptureOrder, CAPTURED_TABLES as TABLES } from './support/capture-worker.ts'
import { ForkedWorker } from './support/forked-worker.ts'
import { startPostgres } from './support/postgres.ts'

/** Of each table. */
const ROWS = 5_000
const STEPS = 10
const READERS = 4
const WITHIN_MS = 40_000
const WORKER = new URL('./support/capture-worker.ts', import.meta.url)

test('after the reported lag no process serves an old row, with the follower killed and the slot dropped on the way', {
  timeout: 110_000,
}, async (t) => {
  const postgres = await startPostgres({ settings: { wal_level: 'logical', synchronous_commit: 'on' } })
  t.after(() => postgres.stop())
  const servers = await Promise.all([startRedisServer(), startRedisServer()])
  t.after(() => Promise.all(servers.map((server) => server.stop())))
  const pool = postgres.pool()
  for (const table of TABLES) {
    await pool.query(postgresTable({ table }))
    await pool.query(`insert into ${table} (key, value) select 'k' || i, '{"n": 0}' from generate_series(0, ${ROWS - 1}) i`)
  }
  await pool.query(postgresVersionTrigger({ table: TABLES[0] }))
  const database = postgres.url()
  await setUpCapture({ database, tables: TABLES })

  const workers: ForkedWorker<CaptureOrder>[] = []
  t.after(() => Promise.all(workers.map((worker) => worker.close())))
  const worker = async (): Promise<ForkedWorker<CaptureOrder>> => {
    const forked = new ForkedWorker<CaptureOrder>(WORKER)
    workers.push(forked)
    await forked.ask({ do: 'open', nodes: servers.map(({ url }) => url), database }, WITHIN_MS)
    return forked
  }
  const capture = (forked: ForkedWorker<CaptureOrder>) => forked.ask({ do: 'capture', database }, WITHIN_MS)
  const [first, ...readers] = await Promise.all(Array.from({ length: 1 + READERS }, worker))
  await capture(first!)
  // The first reads all, so that all is cached from the start.
  assert.equal(await readers[0]!.ask({ do: 'count old', from: 0, to: ROWS, n: 0 }, WITHIN_MS), 0)
  for (const reader of readers) await reader.ask({ do: 'churn', rows: ROWS }, WITHIN_MS)
  let followers = [first!, readers[0]!]
  await capture(readers[0]!)

  const perStep = ROWS / STEPS
  let old = 0
  for (let step = 0; step < STEPS; step++) {
    const [from, to] = [step * perStep, (step + 1) * perStep]
    // Right before, behind and amid what is committed.
    if (step === 3) void first!.kill()
    if (step === 4) {
      followers = [readers[0]!, readers[1]!]
      await capture(readers[1]!)
    }
    if (step === 6) await dropSlot(pool)
    const half = from + perStep / 2
    for (const [low, high] of [
      [from, half],
      [half, to],
    ])
      for (const table of TABLES)
        await pool.query(`update ${table} set value = '{"n": 1}' where substr(key, 2)::int >= $1 and substr(key, 2)::int < $2`, [low, high])
    const sinceMs = Date.now()
    await Promise.any(followers.map((each) => each.ask({ do: 'told since', sinceMs }, WITHIN_MS)))
    const counts = await Promise.all(readers.map((reader) => reader.ask<number>({ do: 'count old', from, to, n: 1 }, WITHIN_MS)))
    old += counts.reduce((sum, count) => sum + count, 0)
  }
  const stats = await Promise.all(followers.map((each) => each.ask<CaptureStats>({ do: 'stats' }, WITHIN_MS)))
  t.diagnostic(`${TABLES.length * ROWS} rows changed, ${READERS} processes: ${old} old rows served after the reported lag`)
  assert.equal(old, 0)
  const states = stats.map(({ state }) => state).sort()
  assert.deepEqual(states, ['following', 'waiting'])
  assert.equal(
    stats.reduce((sum, { losses }) => sum + losses, 0),
    1,
  )
  for (const reader of readers) assert.equal(await reader.ask({ do: 'count old', from: 0, to: ROWS, n: 1 }, WITHIN_MS), 0)
})

/** As an operator's mistake would, from under whoever follows. */
async function dropSlot(pool: { query(text: string): Promise<{ rowCount: number | null }> }): Promise<void> {
  await until(async () => {
    await pool.query(`select pg_terminate_backend(active_pid) from pg_replication_slots where active`)
    const dropped = await pool.query(`select pg_drop_replication_slot(slot_name) from pg_replication_slots`).catch(() => undefined)
    return (dropped?.rowCount ?? 0) > 0
  })
}
