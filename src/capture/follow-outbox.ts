/**
 * One stretch of following an outbox: entries are taken in a transaction, told, and gone when that is committed.
 *
 * A follower that dies in between leaves them where they were. Those of which some node has missed something are left there too, told as they
 * are, until it has it. Of each slot's name one reads at a time, who has the database's advisory lock; it goes with its connection, so another
 * takes the place as soon as the database has noticed. It takes the entries of its own tables alone, and each table is one follower's: two
 * would take from each other what both have to tell. What writes the entries is looked at before they are believed; where it was not as it
 * should be, caches are emptied.
 */
import { ConfigurationError, StoreError } from '../errors.ts'
import type { TextRow } from '../store/postgres-query.ts'
import type { CaptureRun } from './capture-run.ts'
import { CapturedTables } from './captured-tables.ts'
import { ChangeApplier } from './change-applier.ts'
import { DROP_ENTRIES, OUTBOX, TAKE_ENTRIES, WIDEN_ENTRIES } from './outbox.ts'
import { outboxWriting } from './outbox-writing.ts'
import { askRows, cutClient, endClient, type PgClient, pgClient, runScript } from './pg-client.ts'
import { isLocked, MISSED_SOON, StandBy } from './stand-by.ts'

const ENTRIES = 512
/** Before entries that the caches could not be told of are told again. */
const AGAIN_MS = 250
/** Entries that are told and not let go of; where more is owed, one of each table tells all of it instead. */
const MAX_KEPT = 8_192
/** Of a statement, by the database. */
const STATEMENT_MS = 5_000
/** First of the two numbers of an advisory lock: 'outb' of a slot's name, 'outt' of a table's. The other is the name's. */
const SLOT_LOCK = 0x6f757462
const TABLE_LOCK = 0x6f757474

export async function followOutbox(run: CaptureRun): Promise<void> {
  const { database, tables } = run.options
  const client = pgClient(database, { options: `-c statement_timeout=${STATEMENT_MS}` })
  run.cut = () => cutClient(client)
  let handsOver = false
  try {
    await client.connect()
    await runScript(client, MISSED_SOON)
    const captured = await CapturedTables.find(client, tables)
    const [there] = await askRows(client, `select to_regclass($1)::text`, [OUTBOX])
    if (there![0] === null)
      throw new ConfigurationError(`capture: needs the table ${OUTBOX}, made by 'ringtail-capture up --outbox', but there is none`)
    handsOver = await new OutboxFollower(run, client, captured).follow()
  } finally {
    run.cut = undefined
    await endClient(client, run.parts.clock)
  }
  if (handsOver) run.handedOver()
}

class OutboxFollower {
  readonly #run: CaptureRun
  readonly #client: PgClient
  readonly #tables: CapturedTables
  readonly #standBy: StandBy
  /** Ids of entries that are told but for what is owed. */
  readonly #kept = new Set<string>()
  /** Tables of which such an entry tells all. */
  readonly #widened = new Set<string>()
  #handsOver = false
  /** Ends the wait for what is being told. */
  #interrupt: (() => void) | undefined

  constructor(run: CaptureRun, client: PgClient, tables: CapturedTables) {
    this.#run = run
    this.#client = client
    this.#tables = tables
    this.#standBy = new StandBy({ client, mode: 'outbox', slot: run.options.slot })
  }

  /** @returns whether the place was handed over @throws what ended it, but for that and the run's own end */
  async follow(): Promise<boolean> {
    const run = this.#run
    const { slot } = run.options
    await this.#look()
    const place = {
      standBy: (isFit: boolean) => this.#standBy.show(isFit),
      isFree: async () => !(await isLocked(this.#client, SLOT_LOCK, slot)),
      take: () => this.#takePlace(),
    }
    if (!(await run.placeTaken(place))) return false
    await this.#look()
    await this.#regainTrust()
    run.progress.restart()
    run.following(undefined)
    const followed = run.fitness.follow({
      isAwaited: () => this.#standBy.isAwaited(),
      handOver: () => {
        this.#handsOver = true
        this.#interrupt?.()
        run.hurry()
      },
    })
    try {
      await this.#readOn()
    } finally {
      followed()
      run.applier = undefined
    }
    return this.#handsOver
  }

  /** @throws StoreError when a table is another's */
  async #takePlace(): Promise<boolean> {
    const { name, options } = this.#run
    if (!(await this.#locked(SLOT_LOCK, options.slot))) return false
    for (const table of this.#tables.names)
      if (!(await this.#locked(TABLE_LOCK, table)))
        throw new StoreError(
          `capture '${name}': needs table ${table} for itself, but got: one that a capture with another slot's name follows; entries of the outbox are told once`,
        )
    return true
  }

  async #locked(lock: number, name: string): Promise<boolean> {
    const [row] = await askRows(this.#client, 'select pg_try_advisory_lock($1, hashtext($2))::text', [lock, name])
    return row![0] === 'true'
  }

  async #readOn(): Promise<void> {
    const run = this.#run
    const isOver = (): boolean => run.closed || this.#handsOver
    for (let poll = run.progress.place + 1n; !isOver(); poll++) {
      // What was committed before it is asked for is among what comes until nothing more does.
      run.progress.probe(poll, run.parts.clock.monotonic())
      await this.#lookAgain()
      await this.#letGo()
      let taken: number | undefined = ENTRIES
      while (taken === ENTRIES && !isOver()) {
        taken = await this.#tellSome()
        run.checkLag()
      }
      if (isOver()) return
      if (taken !== undefined) run.progress.reach(poll)
      await run.pause(taken === undefined ? run.jittered(AGAIN_MS) : run.options.everyMs)
    }
  }

  /** Notes whether what writes to the outbox is what it was when this process last looked. @throws ConfigurationError when changes are not written */
  async #look(): Promise<void> {
    const run = this.#run
    const writing = await outboxWriting(this.#client, run.options.tables)
    if (run.identity !== undefined && run.identity !== writing)
      run.distrusted ??= 'what writes to the outbox was made anew, or switched off and on, or the database is another than before'
    run.identity = writing
  }

  /** Caches are emptied at once, and again when changes are written again. */
  async #lookAgain(): Promise<void> {
    const run = this.#run
    try {
      await this.#look()
    } catch (thrown) {
      if (!(thrown instanceof ConfigurationError)) throw thrown
      run.distrusted = thrown.message
      await run.empty(thrown.message)
      throw thrown
    }
    await this.#regainTrust()
  }

  async #regainTrust(): Promise<void> {
    const run = this.#run
    if (run.distrusted === undefined) return
    await run.empty(run.distrusted)
    run.distrusted = undefined
  }

  /** Of what was kept for nodes that had missed it, once they have it. */
  async #letGo(): Promise<void> {
    if (this.#kept.size === 0 || this.#run.owed.size > 0) return
    await askRows(this.#client, DROP_ENTRIES, [[...this.#kept]])
    this.#kept.clear()
    this.#widened.clear()
  }

  /** Told entries stay for as long as some node is owed what they tell. @param entries in the transaction's view no more @returns whether they stay */
  #keeps(entries: readonly TextRow[]): boolean {
    if (this.#run.owed.size === 0 || entries.every(([, table]) => this.#widened.has(table!))) return false
    for (const [id] of entries) this.#kept.add(id!)
    return true
  }

  /** So that what is kept is bounded: whoever follows next empties the caches instead. */
  async #widen(): Promise<void> {
    if (this.#kept.size <= MAX_KEPT) return
    const left = await askRows(this.#client, WIDEN_ENTRIES, [[...this.#kept]])
    this.#kept.clear()
    for (const [id, table] of left) {
      this.#kept.add(id!)
      this.#widened.add(table!)
    }
  }

  /** @returns how many entries were told; undefined when they could not be */
  async #tellSome(): Promise<number | undefined> {
    const run = this.#run
    const client = this.#client
    await askRows(client, 'begin')
    const told = Promise.withResolvers<boolean>()
    const applier = this.#newApplier(told.resolve)
    this.#interrupt = () => told.resolve(false)
    try {
      const rows = await askRows(client, TAKE_ENTRIES, [ENTRIES, this.#tables.names, [...this.#kept]])
      if (rows.length > 0) {
        run.applier = applier
        for (const [, place, key, version, op, at] of rows) {
          const atMs = Number(at)
          for (const table of this.#tables.named(place!)) {
            if (key === null) applier.clear(table.cache, atMs)
            else applier.change(table.changeOfKey(key!, op as 'insert', version === null ? undefined : BigInt(version!), atMs), 0, atMs)
          }
        }
        applier.mark(1n, Number(rows[0]![5]))
      }
      const isTold = rows.length === 0 || (!this.#handsOver && (await told.promise))
      await askRows(client, isTold && !this.#keeps(rows) ? 'commit' : 'rollback')
      await this.#widen()
      return isTold ? rows.length : undefined
    } catch (thrown) {
      await askRows(client, 'rollback').catch(() => {})
      throw thrown
    } finally {
      this.#interrupt = undefined
      const stopped = applier.stop()
      // What is being told to nodes that do not answer is not waited for.
      if (this.#handsOver) run.leave(stopped)
      else await stopped
    }
  }

  #newApplier(told: (isTold: boolean) => void): ChangeApplier {
    const run = this.#run
    const { clock, random } = run.parts
    return new ChangeApplier({
      clock,
      random,
      maxWaiting: Number.POSITIVE_INFINITY,
      counts: run.counts,
      owed: run.owed,
      failed: (error) => {
        run.failed(error)
        // Not held for long: an open transaction keeps the database from cleaning up.
        told(false)
      },
      hold: () => {},
      told: () => told(true),
    })
  }
}
