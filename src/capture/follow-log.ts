/**
 * One stretch of following a database's log: from the connection to whatever ends it.
 *
 * Beside the stream there is a connection for questions: whether the slot is there and free, how far the log is, how much of it is kept for
 * this follower. Where too much is, the place is given up rather than the database's disk filled. (`max_slot_wal_keep_size` bounds it for
 * times at which nobody follows.)
 */
import { asError, DeadlineError } from '../errors.ts'
import type { CaptureRun } from './capture-run.ts'
import type { CapturedChange, RowMessage } from './captured-table.ts'
import { CapturedTables } from './captured-tables.ts'
import { ChangeApplier } from './change-applier.ts'
import { CommitVisibility } from './commit-visibility.ts'
import { checkFullIdentity } from './full-identity.ts'
import { endingAt, lsnOf } from './lsn.ts'
import { askRows, cutClient, endClient, type LogMessage, type PgClient, pgClient, runScript, sqlStateOf } from './pg-client.ts'
import { ReplicationStream } from './replication-stream.ts'
import { alone, databaseIdentity, IN_USE, isPrepared, remakeSlot, slotNow, slotState, tableLocks, untoldTables } from './slot.ts'
import { MISSED_SOON, StandBy } from './stand-by.ts'

/** Of a question to the database; making a slot waits for the transactions that are open. */
const ANSWER_WITHIN_MS = 30_000
/** A stream on which nothing comes, though the database is asked to say something, is cut off. */
const SILENT_MS = 15_000
/** A log that stands still before its end for so long is pushed, ms. */
const PUSH_AFTER_MS = 500

export async function followLog(run: CaptureRun): Promise<void> {
  const { database, tables, publication } = run.options
  const admin = pgClient(database)
  run.cut = () => cutClient(admin)
  let handsOver = false
  try {
    await admin.connect()
    await runScript(admin, `set statement_timeout = ${ANSWER_WITHIN_MS}; ${MISSED_SOON}`)
    const captured = await CapturedTables.find(admin, tables)
    await captured.checkPublication(admin, publication)
    await checkFullIdentity(admin, tables)
    await learnIdentity(run, admin)
    handsOver = await new LogFollower(run, admin, captured).follow()
  } finally {
    run.cut = undefined
    await endClient(admin, run.parts.clock)
  }
  if (handsOver) run.handedOver()
}

/**
 * Whether it is the database that it was. Looked at by those who wait as well: who follows now may have begun only after a fail-over, and
 * know of none. @throws when the caches could not be emptied: then it is looked at again
 */
async function learnIdentity(run: CaptureRun, admin: PgClient): Promise<void> {
  const identity = await databaseIdentity(admin)
  if (run.identity !== undefined && run.identity !== identity)
    await run.empty(`the database is another than before: system and timeline ${identity}, not ${run.identity}`)
  if (run.identity !== identity) run.looks.forget()
  run.identity = identity
}

class LogFollower {
  readonly #run: CaptureRun
  readonly #admin: PgClient
  readonly #tables: CapturedTables
  readonly #stream: ReplicationStream
  readonly #applier: ChangeApplier
  readonly #standBy: StandBy
  /** Who was seen to follow: the server's process. */
  #sender: string | null | undefined
  /** By which the database's clock is behind the one here, ms; by the quickest answer. */
  #behindMs = 0
  #answerMs = Number.POSITIVE_INFINITY
  /** Of the transaction that is being heard, by the database's clock. */
  #committedMs: number | undefined
  #commitPlace = 0n
  #xid = 0
  #heardMs: number
  /** The log's end when it was last asked, and since when neither it nor what is told has moved. */
  #end = 0n
  #standsSinceMs = 0
  #isHeld = false

  constructor(run: CaptureRun, admin: PgClient, tables: CapturedTables) {
    this.#run = run
    this.#admin = admin
    this.#tables = tables
    const { clock, random } = run.parts
    const { database, slot, publication, maxWaiting } = run.options
    this.#heardMs = clock.monotonic()
    this.#standBy = new StandBy({ client: admin, mode: 'replication', slot })
    this.#stream = new ReplicationStream({
      database,
      slot,
      publication,
      session: tableLocks(slot, tables.names),
      clock,
      hear: (message, bytes) => this.#hear(message, bytes),
      reached: (lsn) => this.#reached(lsn),
    })
    const visibility = new CommitVisibility({
      ask: async () => (await askRows(this.#admin, 'select pg_current_snapshot()::text', []))[0]![0]!,
      pause: (ms) => new Promise((resolve) => void clock.after(ms, resolve)),
    })
    this.#applier = new ChangeApplier({
      clock,
      random,
      maxWaiting,
      counts: run.counts,
      owed: run.owed,
      seen: (xids, over) => visibility.seen(xids, over),
      failed: (error) => run.failed(error),
      hold: (full) => this.#hold(full),
      told: (lsn) => {
        run.progress.reach(lsn)
        this.#stream.acknowledge(run.progress.place, false)
      },
    })
  }

  /** @returns whether the place was handed over @throws what ended it, but for that and the run's own end */
  async follow(): Promise<boolean> {
    const run = this.#run
    let handsOver = false
    try {
      const place = {
        standBy: (isFit: boolean) => this.#standBy.show(isFit),
        isFree: () => this.#isFree(),
        take: async () => (await alone(this.#admin, run.options.slot, () => this.#takeFreePlace())) === true,
      }
      if (await run.placeTaken(place)) handsOver = await this.#watch()
    } finally {
      run.applier = undefined
      await this.#stream.stop()
      const stopped = this.#applier.stop()
      // What is being told to nodes that do not answer is not waited for.
      if (handsOver) run.leave(stopped)
      else await stopped
    }
    return handsOver
  }

  async #isFree(): Promise<boolean> {
    const run = this.#run
    const { slot } = run.options
    const { state, sender } = await slotNow(this.#admin, slot)
    if (state === 'taken' && sender !== this.#sender) {
      // Who follows by it has judged it.
      run.distrusted = undefined
      for (const name of await untoldTables(this.#admin, slot, this.#tables.names)) run.untold.add(name)
    }
    this.#sender = sender
    return state !== 'taken'
  }

  /**
   * Resolves when the log comes by the slot, which is made anew where it cannot be trusted. To be called alone, and until then: a slot that was
   * made anew and is not yet followed by would look to another, who knows only that the one before it could not be trusted, like that one.
   * @returns false when another has the place
   */
  async #takeFreePlace(): Promise<boolean> {
    const run = this.#run
    const { slot } = run.options
    const state = await slotState(this.#admin, slot)
    if (state === 'taken') return false
    // What nobody here has followed yet is not lost; what the caches hold is of before all the same.
    const begins = state === 'missing' && !run.hasFollowed && run.distrusted === undefined && (await isPrepared(this.#admin, slot))
    if (state !== 'ready') run.distrusted ??= state === 'missing' ? `slot '${slot}' was not there` : `slot '${slot}' had lost its log`
    const reason = run.distrusted
    if (reason !== undefined) {
      const remade = await remakeSlot(this.#admin, slot, () => run.empty(begins ? undefined : reason))
      run.distrusted = undefined
      if (!remade) return false
    } else if (run.untold.size > 0) {
      const names = [...run.untold]
      await run.empty(
        `who followed before did not tell of ${names.join(', ')}`,
        names.flatMap((name) => this.#tables.named(name)),
      )
    }
    run.untold.clear()
    await this.#start()
    return true
  }

  async #start(): Promise<void> {
    const run = this.#run
    const { slot } = run.options
    run.progress.restart()
    run.applier = this.#applier
    // Before the stream brings anything that is to be dated.
    await this.#probe()
    const identity = await this.#stream.connect()
    if (identity !== run.identity)
      throw new Error(`two connections to the database reached two: system and timeline ${identity} and ${run.identity}`)
    const [row] = await askRows(this.#admin, 'select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1', [slot])
    const from = row?.[0] ?? undefined
    if (from !== undefined) run.progress.reach(lsnOf(from))
    try {
      await this.#stream.start(() => run.following(from))
    } catch (thrown) {
      if (sqlStateOf(thrown) !== IN_USE) this.#judge(thrown)
      throw thrown
    }
  }

  /** Looks how far the database is until the stream ends. @returns whether it is to be ended for another to follow @throws why it ended */
  async #watch(): Promise<boolean> {
    const run = this.#run
    let handsOver = false
    const followed = run.fitness.follow({
      isAwaited: () => this.#standBy.isAwaited(),
      handOver: () => {
        handsOver = true
        run.hurry()
      },
    })
    try {
      await this.#probeUntil(() => handsOver)
    } finally {
      followed()
    }
    return handsOver
  }

  async #probeUntil(over: () => boolean): Promise<void> {
    const run = this.#run
    let ended: Error | undefined
    void this.#stream.ended.then((error) => {
      ended = error
      run.hurry()
    })
    while (!run.closed && ended === undefined && !over()) {
      await this.#probe()
      this.#stream.acknowledge(run.progress.place, true)
      const { maxWalBytes } = run.options
      if (run.owed.size > 0 && run.walBytes !== undefined && run.walBytes > maxWalBytes / 2) await run.owed.clearAll()
      if (run.walBytes !== undefined && run.walBytes > maxWalBytes) {
        run.distrusted = `the database kept ${run.walBytes} bytes of its log for slot '${run.options.slot}', more than maxWalBytes (${maxWalBytes})`
        return
      }
      if (!this.#isHeld && run.parts.clock.monotonic() - this.#heardMs > SILENT_MS)
        throw new DeadlineError(`capture '${run.name}': nothing came from the database for ${SILENT_MS} ms`)
      await run.pause(run.options.everyMs)
    }
    if (run.closed || ended === undefined) return
    this.#judge(ended)
    throw ended
  }

  /** Whether what the database says means that the slot cannot go on. */
  #judge(thrown: unknown): void {
    const state = sqlStateOf(thrown)
    // 42704 no such slot, or no such publication at the time of the change; 55000 invalidated; 58P01 the log was removed.
    if (state === '42704' || state === '55000' || state === '58P01') this.#run.distrusted = asError(thrown).message
  }

  async #probe(): Promise<void> {
    const run = this.#run
    const { clock } = run.parts
    const [atMs, sentMs] = [clock.monotonic(), clock.now()]
    const [row] = await askRows(
      this.#admin,
      `select pg_current_wal_insert_lsn()::text, (extract(epoch from clock_timestamp()) * 1000)::text,
         (select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::text from pg_replication_slots where slot_name = $1)`,
      [run.options.slot],
    )
    const [place, theirMs, walBytes] = row!
    const tookMs = clock.monotonic() - atMs
    // Clocks drift: what was the quickest is forgotten little by little.
    this.#answerMs *= 1.02
    if (tookMs < this.#answerMs) {
      this.#answerMs = tookMs
      this.#behindMs = sentMs + tookMs / 2 - Number(theirMs)
    }
    run.walBytes = walBytes === null ? undefined : Number(walBytes)
    await this.#look(lsnOf(place!))
    run.progress.probe(endingAt(lsnOf(place!)), atMs)
    await this.#push(lsnOf(place!))
  }

  /**
   * What is written without a commit, as by reads that tidy a page, may lie in the server's memory until somebody commits, and is not told of before
   * that: of a database in which nothing happens nobody would know that all is told. So a log that stands still before its end is pushed by a
   * commit of nothing.
   */
  async #push(end: bigint): Promise<void> {
    const { progress, parts, applier } = this.#run
    const nowMs = parts.clock.monotonic()
    if (end !== this.#end || progress.place >= end || (applier?.waiting ?? 0) > 0) this.#standsSinceMs = nowMs
    this.#end = end
    if (nowMs - this.#standsSinceMs < PUSH_AFTER_MS) return
    this.#standsSinceMs = nowMs
    // Who may not do it has to wait for the next commit.
    await askRows(this.#admin, `select pg_logical_emit_message(true, 'ringtail', '')::text`, []).catch(() => {})
  }

  /** After the place is known and before it counts: what was altered before it does not pass unnoticed. @throws what was */
  async #look(place: bigint): Promise<void> {
    const { looks, options } = this.#run
    const changed = await looks.look(this.#admin, options.publication, options.tables, place)
    if (changed === undefined) return
    this.#run.distrusted = changed
    throw new Error(changed)
  }

  #hear(message: LogMessage, bytes: number): void {
    this.#heardMs = this.#run.parts.clock.monotonic()
    switch (message.tag) {
      case 'begin':
        this.#committedMs = Number(message.commitTime / 1_000n)
        this.#commitPlace = lsnOf(message.commitLsn)
        this.#xid = message.xid
        break
      case 'insert':
      case 'update':
      case 'delete':
        this.#hearRow(message, bytes)
        break
      case 'truncate':
        for (const relation of message.relations)
          if (relation !== undefined)
            for (const table of this.#tables.of(relation)) this.#applier.clear(table.cache, this.#here(), this.#xid)
        break
      case 'commit':
        this.#applier.mark(lsnOf(message.commitEndLsn), this.#here())
        this.#committedMs = undefined
        break
      default:
    }
  }

  #hearRow(message: RowMessage, bytes: number): void {
    const hereMs = this.#here()
    for (const table of this.#tables.of(message.relation)) {
      table.rising = this.#run.looks.isRising(table, this.#commitPlace)
      this.#applier.change(datedHere(table.changeOf(message, this.#committedMs!), hereMs), bytes, hereMs, this.#xid)
    }
  }

  /** When the transaction that is being heard was committed, by the clock here. */
  #here(): number {
    return (this.#committedMs ?? 0) + this.#behindMs
  }

  #reached(lsn: bigint): void {
    this.#heardMs = this.#run.parts.clock.monotonic()
    // Within a transaction it says nothing of it.
    if (this.#committedMs === undefined) this.#applier.mark(lsn, undefined)
  }

  #hold(full: boolean): void {
    this.#isHeld = full
    this.#heardMs = this.#run.parts.clock.monotonic()
    if (full) this.#stream.pause()
    else this.#stream.resume()
  }
}

/**
 * A value that is to be cached is judged by the clocks of the fleet: whether it comes late, and what was deleted since. Versions are of the
 * database's clock, and stay so.
 */
function datedHere(change: CapturedChange, hereMs: number): CapturedChange {
  if (!change.changes.some(({ row }) => row !== undefined)) return change
  return { ...change, changes: change.changes.map((each) => (each.row === undefined ? each : { ...each, committedMs: hereMs })) }
}
