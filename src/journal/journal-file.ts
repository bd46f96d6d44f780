/**
 * A journal on disk: one SQLite file, written in groups, each of which is on the disk as a whole before it is acknowledged, or not at all.
 *
 * SQLite's write-ahead log gives the atomic group and, with `synchronous = full`, the wait for the disk; a torn tail is left out when the
 * file is opened again, for its frames carry checksums. SQLite does not check what lies in its pages, so each record carries a checksum of
 * its own, and the whole one of all records: a record that was bent or is missing is found when the file is opened, and then nothing is read
 * from it. The file belongs to one process at a time, by its lock, which ends with the process.
 *
 * All of it blocks, so it runs in a worker (`journal-worker.ts`). At most `maxBytes` of records are kept; a group above that is refused.
 */
import { chmodSync, closeSync, existsSync, fchmodSync, mkdirSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { ConfigurationError, JournalError } from '../errors.ts'
import type { DeadLetter, JournalRecord, JournalStep } from './journal.ts'

/** Of the layout below. */
const FORMAT = 1
const DECIDED = 0
const INTENT = 1
const OP = { save: 1, remove: 2 } as const
/** What a record costs beside its cache, key and body. */
const RECORD_BYTES = 64
/** Pages of the log after which it is written back into the file: 16 MB. */
const CHECKPOINT_PAGES = 4_000

export const JOURNAL_FILE = 'writes.journal'

const TABLES = `
create table records (
  id integer primary key, cache text not null, key text not null, state integer not null, version integer not null,
  op integer not null, body blob not null, sum integer not null
) strict;
create table dead (
  id integer primary key autoincrement, cache text not null, key text not null, version integer not null, op integer not null,
  body blob not null, reason text not null, at integer not null, sum integer not null
) strict;
create table meta (
  id integer primary key check (id = 1), format integer not null, records integer not null, dead integer not null,
  digest integer not null, sum integer not null
) strict;`

/** What is known of a record without reading it. */
interface Held {
  /** Its row. Rows are found by it alone: an index by key would cost a page of the log for each write. */
  readonly id: bigint
  readonly version: bigint
  readonly sum: number
  readonly bytes: number
}

interface Row {
  readonly id: bigint
  readonly cache: string
  readonly key: string
  readonly state: number | bigint
  readonly version: bigint
  readonly op: number | bigint
  readonly body: Uint8Array
  readonly sum: number | bigint
}

export interface JournalRecovered {
  readonly records: readonly JournalRecord[]
  readonly intents: readonly JournalRecord[]
}

export class JournalFile {
  readonly path: string
  readonly maxBytes: number
  readonly #database: DatabaseSync
  readonly #sql: Statements
  #held = new Map<string, Held>()
  #bytes = 0
  #dead = 0
  #digest = 0

  private constructor(path: string, database: DatabaseSync, maxBytes: number) {
    this.path = path
    this.#database = database
    this.maxBytes = maxBytes
    this.#sql = prepare(database)
  }

  /**
   * Opens the journal in a directory, which is made if it is not there, and checks all of it.
   * @throws JournalError when it is another process's, is damaged, or cannot be opened; it says what to do
   */
  static open(directory: string, maxBytes: number): { readonly file: JournalFile; readonly recovered: JournalRecovered } {
    const path = prepareFiles(directory)
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
    let database: DatabaseSync | undefined
    try {
      database = new DatabaseSync(path, { timeout: 0 })
      database.exec(`pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full;
        pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}; pragma trusted_schema = off`)
      // The lock is taken by the first write, and then kept.
      database.exec('begin immediate; commit')
      check(database, path)
      const file = new JournalFile(path, database, maxBytes)
      return { file, recovered: file.#recover() }
    } catch (thrown) {
      database?.close()
      throw thrown instanceof JournalError ? thrown : explained(thrown as Error, path)
    }
  }

  get records(): number {
    return this.#held.size
  }

  get deadLetters(): number {
    return this.#dead
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * Carries out a group and waits for the disk.
   * @throws JournalError with `reason` 'full' when it or its disk has no room, and then nothing of the group happened; any other: 'broken'
   */
  commit(steps: readonly JournalStep[]): void {
    const before = { held: new Map<string, Held | undefined>(), bytes: this.#bytes, dead: this.#dead, digest: this.#digest }
    try {
      this.#database.exec('begin immediate')
      for (const step of steps) this.#step(step, before.held)
      if (this.#bytes > this.maxBytes && this.#bytes > before.bytes) {
        throw new JournalError(`journal ${this.path}: needs room for ${this.#bytes} bytes, but may hold ${this.maxBytes}`, 'full')
      }
      this.#writeMeta()
      this.#database.exec('commit')
    } catch (thrown) {
      if (this.#database.isTransaction) this.#database.exec('rollback')
      for (const [name, held] of before.held) {
        if (held === undefined) this.#held.delete(name)
        else this.#held.set(name, held)
      }
      this.#bytes = before.bytes
      this.#dead = before.dead
      this.#digest = before.digest
      throw thrown instanceof JournalError ? thrown : explained(thrown as Error, this.path)
    }
  }

  listDead(limit: number, after: number): DeadLetter[] {
    return (this.#sql.listDead.all(after, limit) as unknown as (Row & { reason: string; at: bigint })[]).map((row) => ({
      ...recordOf(row),
      id: Number(row.id),
      reason: row.reason,
      atMs: Number(row.at),
    }))
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  #step(step: JournalStep, before: Map<string, Held | undefined>): void {
    switch (step.do) {
      case 'write':
        this.#put(step.record, DECIDED, before)
        return
      case 'intent':
        this.#put(step.record, INTENT, before)
        return
      case 'confirm': {
        const row = this.#take(step.cache, step.key, INTENT, step.version, before)
        if (row !== undefined) this.#put(recordOf(row), DECIDED, before)
        return
      }
      case 'cancel':
        this.#take(step.cache, step.key, INTENT, step.version, before)
        return
      case 'forget':
        this.#take(step.cache, step.key, DECIDED, step.version, before)
        return
      case 'bury': {
        const row = this.#take(step.cache, step.key, DECIDED, step.version, before)
        if (row !== undefined) this.#bury(row, step.reason, step.atMs)
        return
      }
      case 'retry':
      case 'drop':
        this.#exhume(step.id, step.do === 'retry', before)
    }
  }

  #put(record: JournalRecord, state: number, before: Map<string, Held | undefined>): void {
    const { cache, key, version, body } = record
    const name = nameOf(cache, key, state)
    const held = this.#held.get(name)
    if (held !== undefined && held.version >= version) return
    const op = OP[record.op]
    const sum = sumOf(cache, key, state, version, op, body)
    if (held !== undefined) this.#sql.take.get(held.id)
    const id = BigInt(this.#sql.put.run(cache, key, state, version, op, body, sum).lastInsertRowid)
    const bytes = RECORD_BYTES + cache.length + key.length + body.length
    if (!before.has(name)) before.set(name, held)
    this.#held.set(name, { id, version, sum, bytes })
    this.#bytes += bytes - (held?.bytes ?? 0)
    this.#digest ^= sum ^ (held?.sum ?? 0)
  }

  /** Takes a record of just this version out. */
  #take(cache: string, key: string, state: number, version: bigint, before: Map<string, Held | undefined>): Row | undefined {
    const name = nameOf(cache, key, state)
    const held = this.#held.get(name)
    if (held === undefined || held.version !== version) return undefined
    const row = this.#sql.take.get(held.id) as unknown as Row
    if (!before.has(name)) before.set(name, held)
    this.#held.delete(name)
    this.#bytes -= held.bytes
    this.#digest ^= held.sum
    return row
  }

  #bury({ cache, key, version, op, body }: Row, reason: string, atMs: number): void {
    const sum = sumOf(cache, key, DECIDED, version, Number(op), body) ^ crc32(reason)
    this.#sql.bury.run(cache, key, version, op, body, reason, atMs, sum)
    this.#dead++
    this.#digest ^= sum
  }

  #exhume(id: number, again: boolean, before: Map<string, Held | undefined>): void {
    const row = this.#sql.exhume.get(id) as unknown as Row | undefined
    if (row === undefined) return
    this.#dead--
    this.#digest ^= Number(row.sum)
    if (again) this.#put(recordOf(row), DECIDED, before)
  }

  #writeMeta(): void {
    const [records, dead, digest] = [this.#held.size, this.#dead, this.#digest | 0]
    this.#sql.meta.run(FORMAT, records, dead, digest, metaSum(records, dead, digest))
  }

  /** Reads every record, and compares what there is with what there should be. */
  #recover(): JournalRecovered {
    const records: JournalRecord[] = []
    const intents: JournalRecord[] = []
    let digest = 0
    for (const row of this.#sql.all.iterate() as unknown as Iterable<Row>) {
      const sum = sumOf(row.cache, row.key, Number(row.state), row.version, Number(row.op), row.body)
      if (sum !== Number(row.sum)) throw damaged(this.path, `the record of ${JSON.stringify(row.key)} of cache '${row.cache}' is bent`)
      const bytes = RECORD_BYTES + row.cache.length + row.key.length + row.body.length
      const name = nameOf(row.cache, row.key, Number(row.state))
      if (this.#held.has(name)) throw damaged(this.path, `it holds ${JSON.stringify(row.key)} of cache '${row.cache}' twice`)
      this.#held.set(name, { id: row.id, version: row.version, sum, bytes })
      this.#bytes += bytes
      digest ^= sum
      ;(Number(row.state) === INTENT ? intents : records).push(recordOf(row))
    }
    for (const row of this.#sql.listDead.iterate(0, -1) as unknown as Iterable<Row & { reason: string }>) {
      const sum = sumOf(row.cache, row.key, DECIDED, row.version, Number(row.op), row.body) ^ crc32(row.reason)
      if (sum !== Number(row.sum)) throw damaged(this.path, `the dead letter of ${JSON.stringify(row.key)} of cache '${row.cache}' is bent`)
      this.#dead++
      digest ^= sum
    }
    this.#digest = digest
    const meta = this.#sql.readMeta.get() as unknown as Record<'records' | 'dead' | 'digest' | 'sum', bigint> | undefined
    const told = meta === undefined ? [0, 0, 0] : [Number(meta.records), Number(meta.dead), Number(meta.digest)]
    const isSo = meta === undefined || metaSum(told[0]!, told[1]!, told[2]!) === Number(meta.sum)
    if (!isSo || told[0] !== this.#held.size || told[1] !== this.#dead || told[2] !== (digest | 0)) {
      throw damaged(
        this.path,
        `it should hold ${told[0]} writes and ${told[1]} dead letters, and holds ${this.#held.size} and ${this.#dead}, or others`,
      )
    }
    return { records, intents }
  }
}

interface Statements {
  readonly put: StatementSync
  readonly take: StatementSync
  readonly bury: StatementSync
  readonly exhume: StatementSync
  readonly listDead: StatementSync
  readonly all: StatementSync
  readonly meta: StatementSync
  readonly readMeta: StatementSync
}

function prepare(database: DatabaseSync): Statements {
  const statement = (text: string): StatementSync => {
    const prepared = database.prepare(text)
    prepared.setReadBigInts(true)
    return prepared
  }
  return {
    put: statement('insert into records (cache, key, state, version, op, body, sum) values (?, ?, ?, ?, ?, ?, ?)'),
    take: statement('delete from records where id = ? returning id, cache, key, state, version, op, body, sum'),
    bury: statement('insert into dead (cache, key, version, op, body, reason, at, sum) values (?, ?, ?, ?, ?, ?, ?, ?)'),
    exhume: statement('delete from dead where id = ? returning id, cache, key, 0 as state, version, op, body, sum'),
    listDead: statement('select id, cache, key, 0 as state, version, op, body, reason, at, sum from dead where id > ? order by id limit ?'),
    all: statement('select id, cache, key, state, version, op, body, sum from records order by version'),
    meta: statement(`insert into meta (id, format, records, dead, digest, sum) values (1, ?, ?, ?, ?, ?)
      on conflict (id) do update set records = excluded.records, dead = excluded.dead, digest = excluded.digest, sum = excluded.sum`),
    readMeta: statement('select records, dead, digest, sum from meta'),
  }
}

/** The directory is its owner's alone, and so is the file, with those that SQLite lays beside it. */
function prepareFiles(directory: string): string {
  const path = join(directory, JOURNAL_FILE)
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    if (!statSync(directory).isDirectory()) throw ConfigurationError.of('journal: directory', 'a directory', directory)
    chmodSync(directory, 0o700)
    const descriptor = openSync(path, 'a', 0o600)
    fchmodSync(descriptor, 0o600)
    closeSync(descriptor)
    for (const beside of [`${path}-wal`, `${path}-shm`]) if (existsSync(beside)) chmodSync(beside, 0o600)
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause
    throw new JournalError(`journal ${path}: cannot be made or opened: ${(cause as Error).message}`, 'broken', { cause })
  }
  return path
}

function check(database: DatabaseSync, path: string): void {
  const complaints = database.prepare('pragma integrity_check(1)').all() as { integrity_check: string }[]
  if (complaints[0]?.integrity_check !== 'ok') throw damaged(path, `SQLite says: ${complaints[0]?.integrity_check}`)
  const tables = new Set(
    (database.prepare("select name from sqlite_schema where type = 'table'").all() as { name: string }[]).map(({ name }) => name),
  )
  if (!tables.has('meta')) {
    if (tables.size > 0) throw damaged(path, 'its tables are not those of a journal')
    database.exec(`begin immediate; ${TABLES} insert into meta values (1, ${FORMAT}, 0, 0, 0, ${metaSum(0, 0, 0)}); commit`)
    return
  }
  const format = (database.prepare('select format from meta').get() as { format: number } | undefined)?.format
  if (format !== FORMAT) throw damaged(path, `its format is ${format}, and this release reads ${FORMAT}`)
}

function recordOf({ cache, key, version, op, body }: Row): JournalRecord {
  return { cache, key, version, op: Number(op) === OP.remove ? 'remove' : 'save', body }
}

function nameOf(cache: string, key: string, state: number): string {
  return `${state}${cache}\0${key}`
}

function sumOf(cache: string, key: string, state: number, version: bigint, op: number, body: Uint8Array): number {
  return crc32(body, crc32(`${cache}\0${key}\0${state}\0${version}\0${op}\0`)) | 0
}

function metaSum(records: number, dead: number, digest: number): number {
  return crc32(`${records} ${dead} ${digest}`) | 0
}

function damaged(path: string, what: string): JournalError {
  return new JournalError(
    `journal ${path}: is damaged: ${what}. Nothing was read from it. Keep a copy of the directory, for it may hold writes that the store does not have; then move it away and start with an empty one, or put back the newest copy that opens`,
    'damaged',
  )
}

/** SQLite's result codes, of which the lowest byte is the kind. */
const SQLITE = { busy: 5, ioError: 10, corrupt: 11, full: 13, notADatabase: 26 } as const

function explained(thrown: Error & { errcode?: number }, path: string): JournalError {
  const kind = (thrown.errcode ?? 0) & 0xff
  if (kind === SQLITE.busy) {
    return new JournalError(`journal ${path}: is another process's: each process needs a directory of its own`, 'busy', { cause: thrown })
  }
  if (kind === SQLITE.full) return new JournalError(`journal ${path}: its disk is full`, 'full', { cause: thrown })
  if (kind === SQLITE.corrupt || kind === SQLITE.notADatabase) return damaged(path, `SQLite says: ${thrown.message}`)
  return new JournalError(`journal ${path}: ${thrown.message}`, 'broken', { cause: thrown })
}
