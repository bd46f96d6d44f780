/**
 * One stretch of following an outbox: entries are taken in a transaction, told, and gone when that is committed.
 *
 * A follower that dies in between leaves them where they were. One reads at a time, who has the database's advisory lock; it goes with its
 * connection, so another takes the place as soon as the database has noticed.
 */

import { ConfigurationError } from '../errors.ts'
import type { CaptureRun } from './capture-run.ts'
import { CapturedTables } from './captured-tables.ts'
import { ChangeApplier } from './change-applier.ts'
import { OUTBOX, TAKE_ENTRIES } from './outbox.ts'
import { askRows, type PgClient, pgClient } from './pg-client.ts'

const ENTRIES = 512
const WAIT_MS = 500
const ANSWER_WITHIN_MS = 30_000
/** 'ring', and of an outbox. */
const LOCK = [0x72696e67, 0x6f757462] as const

export async function followOutbox(run: CaptureRun): Promise<void> {
  const { database, tables } = run.options
  const client = pgClient(database, { options: `-c statement_timeout=${ANSWER_WITHIN_MS}` })
  try {
    await client.connect()
    const captured = await CapturedTables.find(client, tables)
    const [there] = await askRows(client, `select to_regclass($1)::text`, [OUTBOX])
    if (there![0] === null)
      throw new ConfigurationError(`capture: needs the table ${OUTBOX}, made by 'ringtail-capture up --outbox', but there is none`)
    if (await placeTaken(run, client)) await follow(run, client, captured)
  } finally {
    await client.end().catch(() => {})
  }
}

async function placeTaken(run: CaptureRun, client: PgClient): Promise<boolean> {
  while (!run.closed) {
    const [row] = await askRows(client, 'select pg_try_advisory_lock($1, $2)::text', LOCK)
    if (row![0] === 'true') return true
    run.waiting()
    await run.pause(run.jittered(WAIT_MS))
  }
  return false
}

async function follow(run: CaptureRun, client: PgClient, tables: CapturedTables): Promise<void> {
  const { clock } = run.parts
  run.progress.restart()
  run.following(undefined)
  try {
    for (let poll = run.progress.place + 1n; !run.closed; poll++) {
      // What was committed before it is asked for is among what comes until nothing more does.
      run.progress.probe(poll, clock.monotonic())
      for (let taken = ENTRIES; taken === ENTRIES && !run.closed; ) {
        taken = await tellSome(run, client, tables)
        run.checkLag()
      }
      if (run.closed) return
      run.progress.reach(poll)
      await run.pause(run.options.everyMs)
    }
  } finally {
    run.applier = undefined
  }
}

/** @returns how many entries were told */
async function tellSome(run: CaptureRun, client: PgClient, tables: CapturedTables): Promise<number> {
  const { clock, random } = run.parts
  await client.query('begin')
  const told = Promise.withResolvers<boolean>()
  const applier = new ChangeApplier({
    clock,
    random,
    maxWaiting: Number.POSITIVE_INFINITY,
    counts: run.counts,
    failed: (error) => {
      run.failed(error)
      // Not held for long: an open transaction keeps the database from cleaning up.
      told.resolve(false)
    },
    hold: () => {},
    told: () => told.resolve(true),
  })
  try {
    const rows = await askRows(client, TAKE_ENTRIES, [ENTRIES])
    if (rows.length > 0) {
      run.applier = applier
      for (const [place, key, version, op, at] of rows) {
        const atMs = Number(at)
        for (const table of tables.named(place!)) {
          if (key === null) applier.clear(table.cache, atMs)
          else applier.change(table.changeOfKey(key!, op as 'insert', version === null ? undefined : BigInt(version!), atMs), 0, atMs)
        }
      }
      applier.mark(1n, Number(rows[0]![4]))
      if (!(await told.promise)) throw new Error('the caches could not be told of what the outbox has')
    }
    await client.query('commit')
    return rows.length
  } catch (thrown) {
    await client.query('rollback').catch(() => {})
    throw thrown
  } finally {
    await applier.stop()
  }
}
