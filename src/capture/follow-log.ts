/**
 * One stretch of following a database's log: from the connection to whatever ends it.
 *
 * Beside the stream there is a connection for questions: whether the slot is there and free, how far the log is, how much of it is kept for
 * this follower. Where too much is, the place is given up rather than the database's disk filled. (`max_slot_wal_keep_size` bounds it for
 * times at which nobody follows.)
 */
import { asError, DeadlineError } from '../errors.ts'
import type { CaptureRun } from './capture-run.ts'
import type { RowMessage } from './captured-table.ts'
import { CapturedTables } from './captured-tables.ts'
import { ChangeApplier } from './change-applier.ts'
import { endingAt, lsnOf } from './lsn.ts'
import { askRows, type LogMessage, type PgClient, pgClient, sqlStateOf } from './pg-client.ts'
import { ReplicationStream } from './replication-stream.ts'
import { alone, IN_USE, remakeSlot, slotState } from './slot.ts'

/** Of a question to the database; making a slot waits for the transactions that are open. */
const ANSWER_WITHIN_MS = 30_000
/** A stream on which nothing comes, though the database is asked to say something, is cut off. */
const SILENT_MS = 15_000
const WAIT_MS = 500

export async function followLog(run: CaptureRun): Promise<void> {
  const { database, tables, publication } = run.options
  const admin = pgClient(database, { options: `-c statement_timeout=${ANSWER_WITHIN_MS}` })
  try {
    await admin.connect()
    const captured = await CapturedTables.find(admin, tables)
    await captured.checkPublication(admin, publication)
    await new LogFollower(run, admin, captured).follow()
  } finally {
    await admin.end().catch(() => {})
  }
}

class LogFollower {
  readonly #run: CaptureRun
  readonly #admin: PgClient
  readonly #tables: CapturedTables
  readonly #stream: ReplicationStream
  readonly #applier: ChangeApplier
  /** By which the database's clock is behind the one here, ms; by the quickest answer. */
  #behindMs = 0
  #answerMs = Number.POSITIVE_INFINITY
  /** Of the transaction that is being heard, by the database's clock. */
  #committedMs: number | undefined
  #heardMs: number
  #isHeld = false

  constructor(run: CaptureRun, admin: PgClient, tables: CapturedTables) {
    this.#run = run
    this.#admin = admin
    this.#tables = tables
    const { clock, random } = run.parts
    const { database, slot, publication, maxWaiting } = run.options
    this.#heardMs = clock.monotonic()
    this.#stream = new ReplicationStream({
      database,
      slot,
      publication,
      clock,
      hear: (message, bytes) => this.#hear(message, bytes),
      reached: (lsn) => this.#reached(lsn),
    })
    this.#applier = new ChangeApplier({
      clock,
      random,
      maxWaiting,
      counts: run.counts,
      failed: (error) => run.failed(error),
      hold: (full) => this.#hold(full),
      told: (lsn) => {
        run.progress.reach(lsn)
        this.#stream.acknowledge(lsn, false)
      },
    })
  }

  /** @throws what ended it, but for the run's own end */
  async follow(): Promise<void> {
    try {
      if (await this.#takePlace()) await this.#watch()
    } finally {
      this.#run.applier = undefined
      await this.#stream.stop()
      await this.#applier.stop()
    }
  }

  /** Resolves when the log comes by the slot, which is made anew where it cannot be trusted. @returns false when the run is over */
  async #takePlace(): Promise<boolean> {
    const run = this.#run
    while (!run.closed) {
      if (await alone(this.#admin, run.options.slot, () => this.#takeFreePlace())) return true
      run.waiting()
      await run.pause(run.jittered(WAIT_MS))
    }
    return false
  }

  /**
   * To be called alone, and until the log comes: a slot that was made anew and is not yet followed by would look to another, who knows only
   * that the one before it could not be trusted, like that one. @returns false when another has the place
   */
  async #takeFreePlace(): Promise<boolean> {
    const run = this.#run
    const { slot } = run.options
    const state = await slotState(this.#admin, slot)
    if (state === 'taken') {
      // Who follows by it has judged it.
      run.distrusted = undefined
      return false
    }
    if (state !== 'ready') run.distrusted ??= state === 'missing' ? `slot '${slot}' was not there` : `slot '${slot}' had lost its log`
    const reason = run.distrusted
    if (reason !== undefined) {
      const remade = await remakeSlot(this.#admin, slot, () => run.empty(reason))
      run.distrusted = undefined
      if (!remade) return false
    }
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
    if (run.identity !== undefined && run.identity !== identity)
      await run.empty(`the database is another than before: system and timeline ${identity}, not ${run.identity}`)
    run.identity = identity
    const [row] = await this.#ask('select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1', [slot])
    try {
      await this.#stream.start(() => run.following(row?.[0] ?? undefined))
    } catch (thrown) {
      if (sqlStateOf(thrown) !== IN_USE) this.#judge(thrown)
      throw thrown
    }
  }

  /** Looks how far the database is until the stream ends. @throws why it ended */
  async #watch(): Promise<void> {
    const run = this.#run
    let ended: Error | undefined
    void this.#stream.ended.then((error) => {
      ended = error
      run.hurry()
    })
    while (!run.closed && ended === undefined) {
      await this.#probe()
      this.#stream.acknowledge(run.progress.place, true)
      run.checkLag()
      const { maxWalBytes } = run.options
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
    const [row] = await this.#ask(
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
    run.progress.probe(endingAt(lsnOf(place!)), atMs)
  }

  /** @throws DeadlineError when the database says nothing: then the stream is cut off as well */
  async #ask(text: string, values: readonly unknown[]) {
    const late = Promise.withResolvers<never>()
    const timer = this.#run.parts.clock.after(SILENT_MS, () =>
      late.reject(new DeadlineError(`capture '${this.#run.name}': the database did not answer within ${SILENT_MS} ms`)),
    )
    try {
      return await Promise.race([askRows(this.#admin, text, values), late.promise])
    } finally {
      timer.cancel()
    }
  }

  #hear(message: LogMessage, bytes: number): void {
    this.#heardMs = this.#run.parts.clock.monotonic()
    switch (message.tag) {
      case 'begin':
        this.#committedMs = Number(message.commitTime / 1_000n)
        break
      case 'insert':
      case 'update':
      case 'delete':
        this.#hearRow(message, bytes)
        break
      case 'truncate':
        for (const relation of message.relations)
          if (relation !== undefined) for (const table of this.#tables.of(relation)) this.#applier.clear(table.cache, this.#here())
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
    for (const table of this.#tables.of(message.relation)) this.#applier.change(table.changeOf(message, this.#committedMs!), bytes, hereMs)
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
