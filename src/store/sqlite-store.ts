/**
 * A store in a SQLite file, on the `node:sqlite` that Node brings: the embedded default, with nothing to install or run.
 *
 * One transaction a batch, `begin immediate`, so that a save reads and writes its row under the file's one write lock, also among several
 * processes. A row that is refused (a constraint) fails alone. Statements run on the event loop: a batch of 100 takes about a millisecond,
 * and a lock held by another process is waited for at most `busyTimeout`. The table is made if it is missing:
 *
 *     create table "products" (key text primary key not null, value text not null, version integer not null default 1) strict
 *     create table "products_removed" (id integer primary key check (id = 1), version integer not null, forgotten integer not null default 0) strict
 *     create table "products_removals" (key text primary key not null, version integer not null) strict
 *
 * The second holds one row: the highest version that a removal had. A row made later is above it, so that a removed key that comes back is
 * never below its removal. The third remembers each removal for a time, so that a save that was ordered before it stays out; `forgotten` is the
 * highest version that has gone from it. Values are JSON.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type Clock, systemClock } from '../clock.ts'
import type { Version } from '../entry.ts'
import { ConfigurationError, EncodeError, inspectBriefly, type RingtailError, StoreError } from '../errors.ts'
import { type Duration, durationMs, knownOptions } from '../options.ts'
import { versionAt } from '../version-clock.ts'
import { asJson, asStoreError, failed, forgotten, givenUp, keptMsOf, refusal, refusedForGood, Statuses } from './batch.ts'
import { textOr, withMethods } from './checked-options.ts'
import { quotedName } from './identifier.ts'
import type { Loaded, Removal, Row, Save, SaveStatus, ShardStats, Store, StoreCall } from './store.ts'

export interface SqliteStoreOptions {
  /** A path, or `:memory:` (the default). Opened in WAL mode with `synchronous = full`, and closed by `close()`. */
  readonly file?: string | undefined
  /** Instead of `file`: a database that is yours, with your own settings; `close()` leaves it open. */
  readonly database?: DatabaseSync | undefined
  readonly table: string
  /** For messages and metrics. Default: `sqlite:<table>`. */
  readonly name?: string | undefined
  /** The text column that holds the key. Default: `key`. */
  readonly key?: string | undefined
  /** The text column that holds the value as JSON. Default: `value`. */
  readonly value?: string | undefined
  /** The integer column that holds the version; false for a table without. Default: `version`. */
  readonly version?: string | false | undefined
  /** How long a batch waits, and the event loop with it, for another process's lock on `file`. Default: 100 ms. */
  readonly busyTimeout?: Duration | undefined
  /** For how long removals are remembered; the same in every process. At least a minute. Default: `7d`. */
  readonly removalsFor?: Duration | undefined
  /** Handed in by tests. */
  readonly clock?: Pick<Clock, 'now'> | undefined
}

export function sqliteStore<V>(options: SqliteStoreOptions): SqliteStore<V> {
  return new SqliteStore(options)
}

const OPTIONS = ['file', 'database', 'table', 'name', 'key', 'value', 'version', 'busyTimeout', 'removalsFor', 'clock']
/** Removals that are too old go so many at a time, with each that is made. */
const FORGOTTEN_AT_ONCE = 2n

export class SqliteStore<V> implements Store<V> {
  readonly name: string
  readonly versioned: boolean
  readonly remembersRemovals: boolean
  readonly #keptMs: number
  readonly #clock: Pick<Clock, 'now'>
  readonly #database: DatabaseSync
  readonly #isOurs: boolean
  readonly #statements: Statements
  #queries = 0
  #rowsLoaded = 0
  #rowsSaved = 0

  constructor(options: SqliteStoreOptions) {
    knownOptions(options, 'sqliteStore', OPTIONS)
    if (options.file !== undefined && options.database !== undefined)
      throw ConfigurationError.of('sqliteStore', 'either file or database', 'both')
    if (options.database !== undefined)
      withMethods(options.database, ['exec', 'prepare'], 'sqliteStore: database', "a DatabaseSync of 'node:sqlite'")
    const file = textOr(':memory:', options.file, 'sqliteStore: file')
    const busyTimeoutMs = durationMs(options.busyTimeout ?? 100, 'sqliteStore: busyTimeout')
    this.name = textOr(`sqlite:${options.table}`, options.name, 'sqliteStore: name')
    this.versioned = options.version !== false
    this.remembersRemovals = this.versioned
    this.#keptMs = keptMsOf(options.removalsFor, 'sqliteStore: removalsFor')
    this.#clock = options.clock ?? systemClock
    this.#isOurs = options.database === undefined
    const sql = new SqliteTable(options)
    this.#database = options.database ?? open(file, busyTimeoutMs)
    try {
      this.#database.exec(sql.create)
      if (sql.isCurrent !== undefined && this.#database.prepare(sql.isCurrent).get() === undefined) this.#database.exec(sql.bringUp)
      this.#statements = prepare(this.#database, sql)
    } catch (thrown) {
      this.close()
      throw asStoreError(thrown, this.name)
    }
  }

  async load(keys: readonly string[], call?: StoreCall): Promise<Loaded<V>> {
    call?.signal?.throwIfAborted()
    const rows = new Map<string, Row<V>>()
    const failed = new Map<string, RingtailError>()
    const askable = keys.filter(isText)
    if (askable.length === 0) return { rows, failed }
    try {
      this.#transaction('begin', () => {
        for (const key of askable) this.#loadOne(key, rows, failed)
      })
    } catch (thrown) {
      throw asStoreError(thrown, this.name)
    }
    this.#rowsLoaded += rows.size
    return { rows, failed }
  }

  async save(saves: readonly Save<V>[], call?: StoreCall): Promise<SaveStatus[]> {
    return this.#each(saves, call, (save) => this.#saveOne(save))
  }

  async remove(removals: readonly Removal[], call?: StoreCall): Promise<SaveStatus[]> {
    return this.#each(removals, call, (removal) => this.#removeOne(removal))
  }

  stats(): readonly ShardStats[] {
    return [{ id: this.name, queries: this.#queries, rowsLoaded: this.#rowsLoaded, rowsSaved: this.#rowsSaved }]
  }

  /** Closes the file that `file` opened; the store answers with errors from then on. Harmless when called twice. */
  close(): void {
    if (this.#isOurs && this.#database.isOpen) this.#database.close()
  }

  #loadOne(key: string, rows: Map<string, Row<V>>, failed: Map<string, RingtailError>): void {
    const row = this.#statements.select.get(key)
    if (row === undefined) return
    try {
      rows.set(key, { value: JSON.parse(row.value as string), version: row.version as Version })
    } catch (cause) {
      failed.set(key, new StoreError(`${this.name}: the value under ${inspectBriefly(key)} is not JSON`, { cause, ofRow: true }))
    }
  }

  #each<T extends Removal>(items: readonly T[], call: StoreCall | undefined, one: (item: T) => SaveStatus): SaveStatus[] {
    const stopped = givenUp(call)
    if (items.length === 0 || stopped !== undefined) return items.map(() => stopped!)
    const statuses = new Statuses(items)
    let rowsSaved = 0
    try {
      this.#transaction('begin immediate', () => {
        for (const [index, item] of items.entries()) {
          if (!statuses.isOpen(index)) continue
          const status = this.#attempt(item, one)
          statuses.set(item.key, status)
          if (status.state === 'saved') rowsSaved++
        }
      })
    } catch (thrown) {
      return items.map(() => failed(asStoreError(thrown, this.name)))
    }
    this.#rowsSaved += rowsSaved
    return statuses.all()
  }

  #attempt<T extends Removal>(item: T, one: (item: T) => SaveStatus): SaveStatus {
    const error = refusal(this, item)
    if (error !== undefined) return refusedForGood(error)
    if (!isText(item.key))
      return refusedForGood(new StoreError(`${this.name}: a key needs to be well-formed text, but got a lone surrogate`))
    try {
      return one(item)
    } catch (thrown) {
      const error = asStoreError(thrown, this.name)
      return thrown instanceof EncodeError || isConstraint(thrown) ? refusedForGood(error) : failed(error)
    }
  }

  #saveOne(save: Save<V>): SaveStatus {
    const { upsert, insert, update } = this.#statements
    const { key, floor, expected, ifOlder } = save
    const json = asJson(save)
    if (ifOlder === true) return this.#saveOlder(key, json, floor)
    const row =
      expected === undefined
        ? upsert.get({ key, json, floor })
        : expected === 0n
          ? insert.get({ key, json, floor })
          : update.get({ key, json, floor, expected })
    if (row !== undefined) return { state: 'saved', version: row.version as Version }
    if (expected === undefined) return { state: 'saved', version: 0n }
    return { state: 'conflict', version: this.#versionOf(key) }
  }

  /** @see `Save.ifOlder` */
  #saveOlder(key: string, json: string, floor: Version): SaveStatus {
    const { upsertOlder, memory } = this.#statements
    const version = this.#versionOf(key)
    if (version > floor) return { state: 'conflict', version }
    if (version === 0n && memory !== undefined) {
      const removed = memory.of.get({ key })!
      if ((removed.version as Version) > floor) return { state: 'conflict', version: removed.version as Version }
      if ((removed.forgotten as Version) > floor) return refusedForGood(forgotten(this.name, key, this.#keptMs))
    }
    if (upsertOlder.get({ key, json, floor }) !== undefined || (version === floor && version > 0n))
      return { state: 'saved', version: floor }
    return failed(new StoreError(`${this.name}: the row of key ${inspectBriefly(key)} was left as it is: a trigger of the table keeps it`))
  }

  /** 0n: there is no row. */
  #versionOf(key: string): Version {
    return (this.#statements.select.get(key)?.version as Version | undefined) ?? 0n
  }

  #removeOne({ key, floor, ifOlder }: Removal): SaveStatus {
    const { remove, memory } = this.#statements
    if (ifOlder === true && this.#versionOf(key) > floor) return { state: 'conflict', version: this.#versionOf(key) }
    const removed = remove.get(key)
    if (memory === undefined) return { state: 'saved', version: 0n }
    const least = removed === undefined ? floor : (removed.version as Version) + 1n
    const version = ifOlder === true || least < floor ? floor : least
    // An absent row may have been removed at any version up to the mark.
    const marked = memory.mark.get({ version })!.version as Version
    const made = ifOlder === true || removed !== undefined ? version : marked
    this.#remember(memory, key, made)
    return removed === undefined && ifOlder === true ? { state: 'saved', version, absent: true } : { state: 'saved', version: made }
  }

  #remember({ add, prune, forget }: Memory, key: string, version: Version): void {
    add.run({ key, version })
    const old = versionAt(this.#clock.now() - this.#keptMs)
    for (const gone of prune.all({ old, limit: FORGOTTEN_AT_ONCE })) forget.run({ version: gone.version as Version })
  }

  #transaction(begin: 'begin' | 'begin immediate', work: () => void): void {
    this.#queries++
    this.#database.exec(begin)
    try {
      work()
      this.#database.exec('commit')
    } catch (thrown) {
      // SQLite itself has rolled back after some errors, such as a full disk.
      if (this.#database.isTransaction) this.#database.exec('rollback')
      throw thrown
    }
  }
}

/** SQLite's result code, of which the lowest byte is the kind. */
function isConstraint(thrown: unknown): boolean {
  return ((thrown as { errcode?: number }).errcode ?? 0) % 256 === 19
}

/** UTF-16 with a lone surrogate has no UTF-8: two such keys would become one. */
function isText(key: string): boolean {
  return key.isWellFormed()
}

function open(file: string, busyTimeoutMs: number): DatabaseSync {
  // Not imported: loading SQLite costs every user of the library milliseconds, and Node 22 a warning.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  try {
    const database = new DatabaseSync(file, { timeout: busyTimeoutMs })
    database.exec('pragma journal_mode = wal; pragma synchronous = full')
    return database
  } catch (cause) {
    throw new StoreError(`sqliteStore: ${JSON.stringify(file)} cannot be opened: ${(cause as Error).message}`, { cause })
  }
}

interface Statements {
  readonly select: StatementSync
  readonly upsert: StatementSync
  readonly upsertOlder: StatementSync
  readonly insert: StatementSync
  readonly update: StatementSync
  readonly remove: StatementSync
  /** Undefined in a table without versions. */
  readonly memory: Memory | undefined
}

/** What is known of removals. */
interface Memory {
  readonly mark: StatementSync
  readonly of: StatementSync
  readonly add: StatementSync
  readonly prune: StatementSync
  readonly forget: StatementSync
}

function prepare(database: DatabaseSync, sql: SqliteTable): Statements {
  const statement = (text: string): StatementSync => {
    const prepared = database.prepare(text)
    prepared.setReadBigInts(true)
    // A table without versions binds fewer parameters than it is given.
    prepared.setAllowUnknownNamedParameters(true)
    return prepared
  }
  return {
    select: statement(sql.select),
    upsert: statement(sql.upsert),
    upsertOlder: statement(sql.upsertOlder),
    insert: statement(sql.insert),
    update: statement(sql.update),
    remove: statement(sql.remove),
    memory: sql.memory && {
      mark: statement(sql.memory.mark),
      of: statement(sql.memory.of),
      add: statement(sql.memory.add),
      prune: statement(sql.memory.prune),
      forget: statement(sql.memory.forget),
    },
  }
}

/** The table's statements as texts. */
class SqliteTable {
  readonly create: string
  readonly select: string
  readonly upsert: string
  readonly upsertOlder: string
  readonly insert: string
  readonly update: string
  readonly remove: string
  readonly memory: Readonly<Record<keyof Memory, string>> | undefined
  /** Finds nothing in a file from before removals were remembered one by one; `bringUp` changes it. */
  readonly isCurrent: string | undefined
  readonly bringUp: string = ''

  constructor(options: SqliteStoreOptions) {
    const table = quotedName(options.table, 'sqliteStore: table')
    const removed = quotedName(`${options.table}_removed`, 'sqliteStore: table (with _removed added)')
    const key = quotedName(options.key ?? 'key', 'sqliteStore: key')
    const value = quotedName(options.value ?? 'value', 'sqliteStore: value')
    const version = options.version === false ? undefined : quotedName(options.version ?? 'version', 'sqliteStore: version')
    const columns = `${key} text primary key not null, ${value} text not null`
    const read = version === undefined ? '0' : version
    const insert =
      version === undefined
        ? `insert into ${table} (${key}, ${value}) values ($key, $json)`
        : `insert into ${table} (${key}, ${value}, ${version}) values ($key, $json, max($floor, coalesce((select version from ${removed}), 0) + 1))`
    const set = version === undefined ? `${value} = $json` : `${value} = $json, ${version} = max(${table}.${version} + 1, $floor)`
    this.create = `create table if not exists ${table} (${columns}${version === undefined ? '' : `, ${version} integer not null default 1`}) strict`
    this.select = `select ${value} as value, ${read} as version from ${table} where ${key} = ?`
    this.upsert = `${insert} on conflict (${key}) do update set ${set} returning ${read} as version`
    // Without versions it is never asked.
    this.upsertOlder =
      version === undefined
        ? this.upsert
        : `insert into ${table} (${key}, ${value}, ${version}) values ($key, $json, $floor) on conflict (${key}) do update set ${value} = $json, ${version} = $floor where ${table}.${version} < $floor returning ${version} as version`
    this.insert = `${insert} on conflict (${key}) do nothing returning ${read} as version`
    this.update = `update ${table} set ${set} where ${key} = $key and ${read} = $expected returning ${read} as version`
    this.remove = `delete from ${table} where ${key} = ? returning ${read} as version`
    if (version === undefined) return
    const removals = quotedName(`${options.table}_removals`, 'sqliteStore: table (with _removals added)')
    const byVersion = quotedName(`${options.table}_removals_version`, 'sqliteStore: table (with _removals_version added)')
    this.create += `; create table if not exists ${removed} (id integer primary key check (id = 1), version integer not null, forgotten integer not null default 0) strict
; create table if not exists ${removals} (key text primary key not null, version integer not null) strict
; create index if not exists ${byVersion} on ${removals} (version)`
    this.isCurrent = `select 1 from pragma_table_info('${options.table}_removed') where name = 'forgotten'`
    this.bringUp = `alter table ${removed} add column forgotten integer not null default 0`
    this.memory = {
      mark: `insert into ${removed} (id, version) values (1, $version) on conflict (id) do update set version = max(version, excluded.version) returning version`,
      of: `select coalesce((select version from ${removals} where key = $key), 0) as version, coalesce((select forgotten from ${removed}), 0) as forgotten`,
      add: `insert into ${removals} (key, version) values ($key, $version) on conflict (key) do update set version = max(version, excluded.version)`,
      prune: `delete from ${removals} where key in (select key from ${removals} where version < $old order by version limit $limit) returning version`,
      forget: `update ${removed} set forgotten = max(forgotten, $version)`,
    }
  }
}
