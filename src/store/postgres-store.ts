/**
 * A store on a PostgreSQL table, through a `pg` pool of yours.
 *
 * A batch is one statement. Two things make it more: a batch above `maxBatch` rows goes in parts; and a batch that the server refuses for
 * the data of some row (a constraint, a NUL in a jsonb text) is halved until only that row fails. A conditional save that met a row made
 * at the same moment asks once more for that row's version. What was sent and not answered is `unknown`. Every statement is its own
 * transaction, its rows in key order; one that the server sacrificed to end a deadlock is sent again.
 *
 * The table is not made by the store: `postgresTable(options)` tells how it should look. Timeouts are the pool's (`statement_timeout`).
 */
import type { Version } from '../entry.ts'
import { inspectBriefly, RingtailError, StoreError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { asStoreError, chunks, failed, givenUp, refusal, refusedForGood, Statuses } from './batch.ts'
import { booleanOr, textOr, withMethods } from './checked-options.ts'
import { type Chance, isDataError, isUnknown, type PostgresPool, PostgresStatements, type TextRow } from './postgres-query.ts'
import { POSTGRES_TABLE_OPTIONS, PostgresTable, type PostgresTableOptions } from './postgres-table.ts'
import type { Loaded, Removal, Row, Save, SaveStatus, ShardStats, Store, StoreCall } from './store.ts'

export interface PostgresStoreOptions extends PostgresTableOptions, Chance {
  readonly pool: PostgresPool
  /** For messages and metrics. Default: `postgres:<table>`. */
  readonly name?: string | undefined
  /** Rows in one statement. Default: 1,000. */
  readonly maxBatch?: number | undefined
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
  readonly #table: PostgresTable
  readonly #statements: PostgresStatements
  readonly #maxBatch: number
  readonly #sql: Record<
    'load' | 'save' | 'saveExpected' | 'saveOlder' | 'remove' | 'removeOlder',
    { readonly text: string; readonly name?: string }
  >
  #rowsLoaded = 0
  #rowsSaved = 0

  constructor(options: PostgresStoreOptions) {
    knownOptions(options, 'postgresStore', [...POSTGRES_TABLE_OPTIONS, 'pool', 'name', 'maxBatch', 'prepare', 'clock', 'random'])
    withMethods(options.pool, ['query'], 'postgresStore: pool', "a pool of 'pg'")
    this.#table = new PostgresTable(options, 'postgresStore')
    this.name = textOr(`postgres:${options.table}`, options.name, 'postgresStore: name')
    this.versioned = this.#table.version !== undefined
    this.#maxBatch = wholeNumber(options.maxBatch ?? 1_000, 'postgresStore: maxBatch', 1, 10_000)
    this.#statements = new PostgresStatements(options.pool, this.name, options)
    const table = this.#table
    this.#sql = {
      load: table.load(),
      save: table.save(),
      saveExpected: table.saveExpected(),
      saveOlder: table.saveOlder(),
      remove: table.remove(),
      removeOlder: table.removeOlder(),
    }
    if (!booleanOr(true, options.prepare, 'postgresStore: prepare'))
      for (const name of objectKeys(this.#sql)) this.#sql[name] = { text: this.#sql[name].text }
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
        failed.set(key, new StoreError(`${this.name}: the row of key ${inspectBriefly(key)} cannot be read`, { cause }))
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
      if (wasThere === 'true') this.#rowsSaved++
      const saved = { state: 'saved', version: BigInt(version!) } as const
      statuses.set(key!, wasThere === 'true' || !this.versioned ? saved : { ...saved, absent: true })
    }
  }

  async #saveOlder(part: readonly EncodedSave[], statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    const values = [part.map(({ key }) => key), part.map(({ json }) => json), part.map(({ floor }) => floor)]
    const left = new Map(part.map((save) => [save.key, save.floor]))
    for (const [key, version] of await this.#statements.rows(this.#sql.saveOlder, values, call)) {
      this.#saved(statuses, key!, version!)
      left.delete(key!)
    }
    await this.#explainLeft(left, statuses, call, (version, floor) => ({ state: version === floor ? 'saved' : 'conflict', version }))
  }

  async #removeOlder(part: readonly Removal[], statuses: Statuses, call: StoreCall | undefined): Promise<void> {
    const left = new Map(part.map(({ key, floor }) => [key, floor]))
    for (const [key] of await this.#statements.rows(this.#sql.removeOlder, [[...left.keys()], [...left.values()]], call)) {
      this.#rowsSaved++
      statuses.set(key!, { state: 'saved', version: left.get(key!)! })
      left.delete(key!)
    }
    await this.#explainLeft(left, statuses, call, (version, floor) =>
      version === 0n ? { state: 'saved', version: floor, absent: true } : { state: 'conflict', version },
    )
  }

  /** Rows that a conditional statement left as they were: of which version are they? @param statusOf 0n: there is none */
  async #explainLeft(
    left: ReadonlyMap<string, Version>,
    statuses: Statuses,
    call: StoreCall | undefined,
    statusOf: (version: Version, floor: Version) => SaveStatus,
  ): Promise<void> {
    if (left.size === 0) return
    const found = new Map<string, Version>()
    for (const [key, version] of await this.#statements.rows(this.#sql.load, [[...left.keys()]], call)) found.set(key!, BigInt(version!))
    for (const [key, floor] of left) statuses.set(key, statusOf(found.get(key) ?? 0n, floor))
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

function objectKeys<K extends string>(object: Record<K, unknown>): K[] {
  return Object.keys(object) as K[]
}
