/**
 * A store on a PostgreSQL table, through a `pg` pool of yours.
 *
 * A batch is one statement. Two things make it more: a batch above `maxBatch` rows goes in parts; and a batch that the server refuses for
 * the data of some row (a constraint, a NUL in a jsonb text) is halved until only that row fails. A conditional save that met a row made
 * at the same moment asks once more for that row's version. What was sent and not answered is `unknown`. Every statement is its own
 * transaction, its rows in key order; one that the server sacrificed to end a deadlock is sent again. With `removals` an ordered removal of what
 * is not there looks once more: `postgres-removals.ts` tells why.
 *
 * The table is not made by the store: `postgresTable(options)` tells how it should look. Timeouts are the pool's (`statement_timeout`).
 */

import { systemRandom } from '../clock.ts'
import type { Version } from '../entry.ts'
import { inspectBriefly, RingtailError, StoreError } from '../errors.ts'
import { type Duration, knownOptions, wholeNumber } from '../options.ts'
import { asStoreError, chunks, failed, forgotten, givenUp, keptMsOf, refusal, refusedForGood, Statuses } from './batch.ts'
import { booleanOr, textOr, withMethods } from './checked-options.ts'
import {
  type Chance,
  isDataError,
  isUnknown,
  type PostgresPool,
  PostgresStatements,
  type Statement,
  type TextRow,
} from './postgres-query.ts'
import { MarkPruning, PostgresRemovals } from './postgres-removals.ts'
import { POSTGRES_TABLE_OPTIONS, PostgresTable, type PostgresTableOptions } from './postgres-table.ts'
import type { Loaded, Removal, Row, Save, SaveStatus, ShardStats, Store, StoreCall } from './store.ts'

export interface PostgresStoreOptions extends PostgresTableOptions, Chance {
  readonly pool: PostgresPool
  /** For messages and metrics. Default: `postgres:<table>`. */
  readonly name?: string | undefined
  /** Rows in one statement. Default: 1,000. */
  readonly maxBatch?: number | undefined
  /**
   * For how long removals are relied upon to be remembered, with `removals`; the same in every process. At least a minute. A write that is older when
   * it comes, and finds no row, is refused for good. Default: `7d`.
   */
  readonly removalsFor?: Duration | undefined
  /** Prepares each statement once a connection. Switch it off behind a PgBouncer before 1.21. Default: true. */
  readonly prepare?: boolean | undefined
}

export function postgresStore<V>(options: PostgresStoreOptions): Store<V> {
  return new PostgresStore<V>(options)
}

/** A save with its value as JSON. */
interface EncodedSave extends Removal {
  readonly json: string
  readonly expected: Version | undefined
}

class PostgresStore<V> implements Store<V> {
  readonly name: string
  readonly versioned: boolean
  readonly remembersRemovals: boolean
  readonly #table: PostgresTable
  readonly #statements: PostgresStatements
  readonly #maxBatch: number
  readonly #sql: Record<'load' | 'save' | 'saveExpected' | 'saveOlder' | 'remove' | 'removeOlder' | 'explain', Statement>
  readonly #keptMs: number
  /** Undefined: removals are not remembered. */
  readonly #marks: MarkPruning | undefined
  #rowsLoaded = 0
  #rowsSaved = 0

  constructor(options: PostgresStoreOptions) {
    knownOptions(options, 'postgresStore', [
      ...POSTGRES_TABLE_OPTIONS,
      'pool',
      'name',
      'maxBatch',
      'removalsFor',
      'prepare',
      'clock',
      'random',
    ])
    withMethods(options.pool, ['query'], 'postgresStore: pool', "a pool of 'pg'")
    this.#table = new PostgresTable(options, 'postgresStore')
    this.name = textOr(`postgres:${options.table}`, options.name, 'postgresStore: name')
    this.versioned = this.#table.version !== undefined
    this.#maxBatch = wholeNumber(options.maxBatch ?? 1_000, 'postgresStore: maxBatch', 1, 10_000)
    this.#statements = new PostgresStatements(options.pool, this.name, options)
    this.#keptMs = keptMsOf(options.removalsFor, 'postgresStore: removalsFor')
    const table = this.#table
    const removals = table.removals === undefined ? undefined : new PostgresRemovals(table, table.removals, this.#keptMs)
    this.remembersRemovals = removals !== undefined
    const prepares = booleanOr(true, options.prepare, 'postgresStore: prepare')
    const sent = (statement: Statement): Statement => (prepares ? statement : { text: statement.text })
    const judged = removals ?? table
    this.#sql = {
      load: sent(table.load()),
      save: sent(table.save()),
      saveExpected: sent(table.saveExpected()),
      saveOlder: sent(judged.saveOlder()),
      remove: sent(judged.remove()),
      removeOlder: sent(judged.removeOlder()),
      explain: sent(judged.explain()),
    }
    if (removals !== undefined)
      this.#marks = new MarkPruning(this.#statements, sent(removals.prune()), table.keyType.lowest, options.random ?? systemRandom)
  }

  async load(keys: readonly string[], call?: StoreCall): Promise<Loaded<V>> {
    call?.signal?.throwIfAborted()
    const rows = new Map<string, Row<V>>()
    const failed = new Map<string, RingtailError>()
    const askable = [...new Set(keys)].filter(this.#table.keyType.canBe)
    let answered = false
    let failure: RingtailError | undefined
    for (const chunk of chunks(askable, this.#maxBatch)) {
      try {
        this.#gather(await this.#statements.rows(this.#sql.load, [chunk], call), rows, failed)
        answered = true
      } catch (thrown) {
        if (!(thrown instanceof RingtailError)) throw thrown
        failure = thrown
        for (const key of chunk) failed.set(key, thrown)
      }
    }
    if (failure !== undefined && !answered) throw failure
    this.#rowsLoaded += rows.size
    return { rows, failed }
  }

  save(saves: readonly Save<V>[], call?: StoreCall): Promise<SaveStatus[]> {
    const encode = (save: Save<V>): EncodedSave => ({
      key: save.key,
      floor: save.floor,
      expected: save.expected,
      ifOlder: save.ifOlder,
      json: this.#table.value.encode(save),
    })
    return this.#each(saves, encode, call, async (part, statuses) => {
      const [older, plain] = byIfOlder(part)
      if (plain.length > 0) await this.#savePart(plain, statuses, call)
      if (older.length > 0) await this.#saveOlder(older, statuses, call)
    })
  }

  remove(removals: readonly Removal[], call?: StoreCall): Promise<SaveStatus[]> {
    const asIs = (removal: Removal): Removal => removal
    return this.#each(removals, asIs, call, async (part, statuses) => {
      const [older, plain] = byIfOlder(part)
      if (plain.length > 0) await this.#removePart(plain, statuses, call)
      if (older.length > 0) await this.#removeOlder(older, statuses, call)
    })
  }

  stats(): readonly ShardStats[] {
    return [{ id: this.name, queries: this.#statements.sent, rowsLoaded: this.#rowsLoaded, rowsSaved: this.#rowsSaved }]
  }

  #gather(found: readonly TextRow[], rows: Map<string, Row<V>>, failed: Map<string, RingtailError>): void {
    for (const [key, version, json] of found as unknown as readonly (readonly [string, string, string | null])[]) {
      try {
        rows.set(key, { value: json === null ? null : JSON.parse(json), version: BigInt(version) })
      } catch (cause) {
        failed.set(key, new StoreError(`${this.name}: the row of key ${inspectBriefly(key)} cannot be read`, { cause, ofRow: true }))
      }
    }
  }

  /** Refuses what cannot be asked, encodes the rest, and has `run` say what became of it, part by part. */
  async #each<T extends Removal, E extends Removal>(
    items: readonly T[],
    encode: (item: T) => E,
    call: StoreCall | undefined,
    run: (part: readonly E[], statuses: Statuses) => Promise<void>,
  ): Promise<SaveStatus[]> {
    const statuses = new Statuses(items)
    const open: E[] = []
    for (const [index, item] of items.entries()) {
      if (!statuses.isOpen(index)) continue
      try {
        const error = refusal(this, item) ?? this.#table.keyType.refusal(item.key, this.name)
        if (error !== undefined) statuses.set(item.key, refusedForGood(error))
        else open.push(encode(item))
      } catch (thrown) {
        statuses.set(item.key, refusedForGood(asStoreError(thrown, this.name)))
      }
    }
    for (const chunk of chunks(open, this.#maxBatch)) await this.#halving(chunk, statuses, call, run)
    return statuses.all()
  }

  async #halving<E extends Removal>(
    part: readonly E[],
    statuses: Statuses,
    call: StoreCall | undefined,
    run: (part: readonly E[], statuses: Statuses) => Promise<void>,
  ): Promise<void> {
    const stopped = givenUp(call)
    try {
      if (stopped === undefined) await run(part, statuses)
      else for (const { key } of part) statuses.set(key, stopped)
    } catch (thrown) {
      if (part.length > 1 && isDataError(thrown)) {
        const middle = part.length >> 1
        await this.#halving(part.slice(0, middle), statuses, call, run)
        await this.#halving(part.slice(middle), statuses, call, run)
        return
      }
      const error = asStoreError(thrown, this.name)
      const status: SaveStatus = isDataError(thrown) ? refusedForGood(error) : { state: isUnknown(thrown) ? 'unknown' : 'failed', error }
      for (const { key } of part) statuses.set(key, status)
    }
  }

  async #savePart(part: readonly EncodedSave[], statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    const values = [part.map(({ key }) => key), part.map(({ json }) => json), part.map(({ floor }) => floor)]
    if (part.some(({ expected }) => expected !== undefined)) return this.#saveExpected(part, values, statuses, call)
    for (const [key, version] of await this.#statements.rows(this.#sql.save, values, call)) this.#saved(statuses, key!, version!)
  }

  async #saveExpected(
    part: readonly EncodedSave[],
    values: readonly unknown[],
    statuses: Statuses,
    call: StoreCall | undefined,
  ): Promise<void> {
    const expected = part.map((save) => save.expected ?? null)
    const onlyNew = part.filter((save) => save.expected === 0n).map(({ key }) => key)
    const found = await this.#statements.rows(this.#sql.saveExpected, [...values, expected, onlyNew], call)
    const expectations = new Map(part.map((save) => [save.key, save.expected]))
    const raced: string[] = []
    for (const [key, version, current] of found as unknown as readonly (readonly [string, string | null, string | null])[]) {
      if (version !== null) this.#saved(statuses, key, version)
      else if (current === null && expectations.get(key) === 0n) raced.push(key)
      else if (expectations.get(key) !== undefined) statuses.set(key, { state: 'conflict', version: BigInt(current ?? 0) })
    }
    if (raced.length > 0) await this.#lostRace(raced, statuses, call)
  }

  /** Rows that another transaction made while the statement ran: of which version are they? */
  async #lostRace(keys: readonly string[], statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    for (const key of keys) statuses.set(key, { state: 'conflict', version: 0n })
    try {
      for (const [key, version] of await this.#statements.rows(this.#sql.load, [keys], call))
        statuses.set(key!, { state: 'conflict', version: BigInt(version!) })
    } catch (thrown) {
      // They were not saved, that much is certain.
      for (const key of keys) statuses.set(key, failed(asStoreError(thrown, this.name)))
    }
  }

  async #removePart(part: readonly Removal[], statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    const values = [part.map(({ key }) => key), part.map(({ floor }) => floor)]
    for (const [key, version, wasThere] of await this.#statements.rows(this.#sql.remove, values, call)) {
      const saved = { state: 'saved', version: BigInt(version!) } as const
      if (wasThere === 'true') this.#rowsSaved++
      statuses.set(key!, wasThere === 'true' || !this.versioned ? saved : { ...saved, absent: true })
    }
    this.#marks?.made(values[0] as string[], call)
  }

  async #saveOlder(part: readonly EncodedSave[], statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    const values = [part.map(({ key }) => key), part.map(({ json }) => json), part.map(({ floor }) => floor)]
    const left = new Map(part.map((save) => [save.key, save.floor]))
    for (const [key, version] of await this.#statements.rows(this.#sql.saveOlder, values, call)) {
      this.#saved(statuses, key!, version!)
      left.delete(key!)
    }
    if (left.size > 0) await this.#explainLeft(left, statuses, call)
    this.#marks?.made(values[0] as string[], call)
  }

  /** Saves that left things as they were: because of what? Only what is known to be newer overtakes; anything else may be different the next time. */
  async #explainLeft(left: ReadonlyMap<string, Version>, statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    const found = await this.#statements.rows(this.#sql.explain, [[...left.keys()], [...left.values()]], call)
    for (const [key, row, mark, tooOld] of found) {
      const floor = left.get(key!)!
      const [version, removal] = [BigInt(row ?? 0), BigInt(mark ?? 0)]
      const newest = version > removal ? version : removal
      if (newest > floor) statuses.set(key!, { state: 'conflict', version: newest })
      else if (row !== null && version === floor) statuses.set(key!, { state: 'saved', version })
      else if (row === null && tooOld === 'true') statuses.set(key!, refusedForGood(forgotten(this.name, key!, this.#keptMs)))
      else statuses.set(key!, failed(this.#untouched(key!)))
    }
  }

  async #removeOlder(part: readonly Removal[], statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    const floors = new Map(part.map(({ key, floor }) => [key, floor]))
    const seesAll = this.#marks === undefined || part.every(({ again }) => again === true)
    const doubtful = await this.#removeOnce(floors, seesAll, statuses, call)
    const left = await this.#removeOnce(doubtful, true, statuses, call)
    if (left.size > 0) await this.#explainKept(left, statuses, call)
    this.#marks?.made([...floors.keys()], call)
  }

  /** Rows that were not above the removal when it came, and are not removed: each has been raised meanwhile, or a trigger keeps it. */
  async #explainKept(left: ReadonlyMap<string, Version>, statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    for (const [key, row] of await this.#statements.rows(this.#sql.explain, [[...left.keys()], [...left.values()]], call)) {
      const floor = left.get(key!)!
      if (row === null) statuses.set(key!, { state: 'saved', version: floor, absent: true })
      else if (BigInt(row!) > floor) statuses.set(key!, { state: 'conflict', version: BigInt(row!) })
      else statuses.set(key!, failed(this.#untouched(key!)))
    }
  }

  /** @param seesAll whether a row that is not seen is not there @returns those of which it is not known yet */
  async #removeOnce(
    floors: ReadonlyMap<string, Version>,
    seesAll: boolean,
    statuses: Statuses,
    call: StoreCall | undefined,
  ): Promise<ReadonlyMap<string, Version>> {
    const doubtful = new Map<string, Version>()
    if (floors.size === 0) return doubtful
    const found = await this.#statements.rows(this.#sql.removeOlder, [[...floors.keys()], [...floors.values()]], call)
    for (const [key, removed, seen] of found as unknown as readonly (readonly [string, string, string | null])[]) {
      const floor = floors.get(key)!
      if (removed === 'true') {
        this.#rowsSaved++
        statuses.set(key, { state: 'saved', version: floor })
      } else if (seen !== null && BigInt(seen) > floor) statuses.set(key, { state: 'conflict', version: BigInt(seen) })
      else if (seen === null && seesAll) statuses.set(key, { state: 'saved', version: floor, absent: true })
      else doubtful.set(key, floor)
    }
    return doubtful
  }

  #untouched(key: string): StoreError {
    return new StoreError(`${this.name}: the row of key ${inspectBriefly(key)} changed meanwhile, or a trigger of the table keeps it`)
  }

  #saved(statuses: Statuses, key: string, version: string): void {
    statuses.set(key, { state: 'saved', version: this.versioned ? BigInt(version) : 0n })
    this.#rowsSaved++
  }
}

/** Those that only take the place of something older, and the others. */
function byIfOlder<T extends Removal>(part: readonly T[]): [older: T[], plain: T[]] {
  return [part.filter(({ ifOlder }) => ifOlder === true), part.filter(({ ifOlder }) => ifOlder !== true)]
}
