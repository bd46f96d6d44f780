/**
 * One stretch of following an outbox: entries are taken in a transaction, told, and gone when that is committed.
 *
 * A follower that dies in between leaves them where they were. Of each slot's name one reads at a time, who has the database's advisory lock;
 * it goes with its connection, so another takes the place as soon as the database has noticed. It takes the entries of its own tables alone,
 * and each table is one follower's: two would take from each other what both have to tell. What writes the entries is looked at before they
 * are believed; where it was not as it should be, caches are emptied.
 */
import { ConfigurationError, StoreError } from '../errors.ts'
import type { CaptureRun } from './capture-run.ts'
import { CapturedTables } from './captured-tables.ts'
import { ChangeApplier } from './change-applier.ts'
import { OUTBOX, TAKE_ENTRIES } from './outbox.ts'
import { outboxWriting } from './outbox-writing.ts'
import { askRows, cutClient, endClient, type PgClient, pgClient } from './pg-client.ts'

const ENTRIES = 512
const WAIT_MS = 500
/** Of a statement, by the database. */
const STATEMENT_MS = 5_000
/** First of the two numbers of an advisory lock: 'outb' of a slot's name, 'outt' of a table's. The other is the name's. */
const SLOT_LOCK = 0x6f757462
const TABLE_LOCK = 0x6f757474

export async function followOutbox(run: CaptureRun): Promise<void> {
  const { database, tables } = run.options
  const client = pgClient(database, { options: `-c statement_timeout=${STATEMENT_MS}` })
  run.cut = () => cutClient(client)
  try {
    await client.connect()
    const captured = await CapturedTables.find(client, tables)
    const [there] = await askRows(client, `select to_regclass($1)::text`, [OUTBOX])
    if (there![0] === null)
      throw new ConfigurationError(`capture: needs the table ${OUTBOX}, made by 'ringtail-capture up --outbox', but there is none`)
    if (await placeTaken(run, client, captured)) await follow(run, client, captured)
  } finally {
    run.cut = undefined
    await endClient(client, run.parts.clock)
  }
}

async function placeTaken(run: CaptureRun, client: PgClient, tables: CapturedTables): Promise<boolean> {
  while (!run.closed) {
    await look(run, client)
    if (await locked(client, SLOT_LOCK, run.options.slot)) {
      for (const name of tables.names)
        if (!(await locked(client, TABLE_LOCK, name)))
          throw new StoreError(
            `capture '${run.name}': needs table ${name} for itself, but got: one that a capture with another slot's name follows; entries of the outbox are told once`,
          )
      return true
    }
    run.waiting()
    await run.pause(run.jittered(WAIT_MS))
  }
  return false
}

async function locked(client: PgClient, lock: number, name: string): Promise<boolean> {
  const [row] = await askRows(client, 'select pg_try_advisory_lock($1, hashtext($2))::text', [lock, name])
  return row![0] === 'true'
}

async function follow(run: CaptureRun, client: PgClient, tables: CapturedTables): Promise<void> {
  const { clock } = run.parts
  await regainTrust(run)
  run.progress.restart()
  run.following(undefined)
  try {
    for (let poll = run.progress.place + 1n; !run.closed; poll++) {
      // What was committed before it is asked for is among what comes until nothing more does.
      run.progress.probe(poll, clock.monotonic())
      await lookAgain(run, client)
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

/** Notes whether what writes to the outbox is what it was when this process last looked. @throws ConfigurationError when changes are not written */
async function look(run: CaptureRun, client: PgClient): Promise<void> {
  const writing = await outboxWriting(client, run.options.tables)
  if (run.identity !== undefined && run.identity !== writing)
    run.distrusted ??= 'what writes to the outbox was made anew, or switched off and on, or the database is another than before'
  run.identity = writing
}

/** Caches are emptied at once, and again when changes are written again. */
async function lookAgain(run: CaptureRun, client: PgClient): Promise<void> {
  try {
    await look(run, client)
  } catch (thrown) {
    if (!(thrown instanceof ConfigurationError)) throw thrown
    run.distrusted = thrown.message
    await run.empty(thrown.message)
    throw thrown
  }
  await regainTrust(run)
}

async function regainTrust(run: CaptureRun): Promise<void> {
  if (run.distrusted === undefined) return
  await run.empty(run.distrusted)
  run.distrusted = undefined
}

/** @returns how many entries were told */
async function tellSome(run: CaptureRun, client: PgClient, tables: CapturedTables): Promise<number> {
  const { clock, random } = run.parts
  await askRows(client, 'begin')
  const told = Promise.withResolvers<boolean>()
  const applier = new ChangeApplier({
    clock,
    random,
    maxWaiting: Number.POSITIVE_INFINITY,
    counts: run.counts,
    owed: run.owed,
    failed: (error) => {
      run.failed(error)
      // Not held for long: an open transaction keeps the database from cleaning up.
      told.resolve(false)
    },
    hold: () => {},
    told: () => told.resolve(true),
  })
  try {
    const rows = await askRows(client, TAKE_ENTRIES, [ENTRIES, tables.names])
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
    await askRows(client, 'commit')
    return rows.length
  } catch (thrown) {
    await askRows(client, 'rollback').catch(() => {})
    throw thrown
  } finally {
    await applier.stop()
  }
}
