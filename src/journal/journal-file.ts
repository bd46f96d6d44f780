/**
 * A journal on disk: one SQLite file, written in groups, each of which is on the disk as a whole before it is acknowledged, or not at all.
 *
 * SQLite's write-ahead log gives the atomic group and, with `synchronous = full`, the wait for the disk; a torn tail is left out when the
 * file is opened again, for its frames carry checksums, and a log that was bent is told from a torn one before that (`journal-log.ts`). SQLite
 * does not check what lies in its pages, so each record carries a checksum of its own, and the whole one of all records: a record that was
 * bent or is missing is found when the file is opened, and then nothing is read from it.
 *
 * All of it blocks, so it runs in a worker (`journal-worker.ts`). Records and dead letters take at most `maxBytes`; a write above that is refused.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import type { Version } from '../entry.ts'
import { JournalError } from '../errors.ts'
import type { DeadLetter, JournalRecord, JournalStep } from './journal.ts'
import { takeDirectory } from './journal-directory.ts'
import { damageOfLog } from './journal-log.ts'
import {
  bytesOf,
  type DeadRow,
  deadSumOf,
  FORMAT,
  keyIn,
  metaSum,
  nameOf,
  OP,
  prepare,
  type Row,
  recordOf,
  type Statements,
  sumOf,
  TABLES,
} from './journal-tables.ts'

/** Of a dead letter's reason, UTF-16 units. */
const MAX_REASON = 500
/** Pages of the log after which it is written back into the file: 16 MB. */
const CHECKPOINT_PAGES = 4_000

/** What is known of a record without reading it. */
interface Held {
  /** Its row. Rows are found by it alone: an index by key would cost a page of the log for each write. */
  readonly id: bigint
  readonly version: bigint
  readonly sum: number
  readonly bytes: number
}

/** What a group that fails is undone to. */
interface Before {
  readonly held: Map<string, Held | undefined>
  readonly bytes: number
  readonly dead: number
  readonly digest: number
}

export interface JournalRecovered {
  readonly records: readonly JournalRecord[]
}

export class JournalFile {
  readonly path: string
  readonly maxBytes: number
  readonly #database: DatabaseSync
  readonly #lock: DatabaseSync
  readonly #sql: Statements
  #held = new Map<string, Held>()
  #bytes = 0
  #dead = 0
  #digest = 0
  /** Whether the log has this process's groups alone, of which none failed. */
  #logIsOurs = false

  private constructor(path: string, database: DatabaseSync, lock: DatabaseSync, maxBytes: number) {
    this.path = path
    this.#database = database
    this.#lock = lock
    this.maxBytes = maxBytes
    this.#sql = prepare(database)
  }

  /**
   * Opens the journal in a directory, which is made if it is not there, and checks all of it.
   * @param checkpointPages of the log, after which it is written back
   * @throws JournalError when it is another process's, is damaged, or cannot be opened; it says what to do
   */
  static open(
    directory: string,
    maxBytes: number,
    checkpointPages = CHECKPOINT_PAGES,
  ): { readonly file: JournalFile; readonly recovered: JournalRecovered } {
    const { path, lock } = takeDirectory(directory)
    const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
    let database: DatabaseSync | undefined
    try {
      checkLog(path)
      database = new DatabaseSync(path, { timeout: 0 })
      database.exec(`pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full; pragma cache_spill = off;
        pragma wal_autocheckpoint = ${checkpointPages}; pragma trusted_schema = off`)
      check(database, path)
      const file = new JournalFile(path, database, lock, maxBytes)
      return { file, recovered: file.#recover() }
    } catch (thrown) {
      database?.close()
      lock.close()
      throw thrown instanceof JournalError ? thrown : explained(thrown as Error, path)
    }
  }

  get records(): number {
    return this.#held.size
  }

  get deadLetters(): number {
    return this.#dead
  }

  /** Of records and dead letters. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Carries out a group and waits for the disk.
   * @throws JournalError with `reason` 'full' when it or its disk has no room, and then nothing of the group happened; any other: 'broken'
   */
  commit(steps: readonly JournalStep[]): void {
    const before: Before = { held: new Map(), bytes: this.#bytes, dead: this.#dead, digest: this.#digest }
    try {
      this.#beginLogAnew()
      this.#database.exec('begin immediate')
      for (const step of steps) this.#step(step, before.held)
      if (this.#bytes > this.maxBytes && this.#bytes > before.bytes) {
        throw new JournalError(`journal ${this.path}: needs room for ${this.#bytes} bytes, but may hold ${this.maxBytes}`, 'full')
      }
      if (before.held.size === 0 && before.dead === this.#dead) {
        // What is so already is on the disk; and each group that is written has a page of records or dead letters.
        this.#database.exec('rollback')
        return
      }
      this.#writeMeta()
      // Nothing is in the log before this; should it fail, something may be.
      this.#logIsOurs = false
      this.#database.exec('commit')
      this.#logIsOurs = true
    } catch (thrown) {
      this.#undo(before)
      throw thrown instanceof JournalError ? thrown : explained(thrown as Error, this.path)
    }
  }

  listDead(limit: number, after: number): DeadLetter[] {
    return (this.#sql.listDead.all(after, limit) as unknown as DeadRow[]).map((row) => ({
      ...recordOf(row),
      id: Number(row.id),
      reason: row.reason,
      atMs: Number(row.at),
    }))
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
    if (this.#lock.isOpen) this.#lock.close()
  }

  /** What an earlier process or a failed group has left in the log is not to be taken for groups of today; and where the disk is full it gives its room. */
  #beginLogAnew(): void {
    if (this.#logIsOurs) return
    const { busy } = this.#database.prepare('pragma wal_checkpoint(truncate)').get() as { busy: number }
    if (busy !== 0) throw new JournalError(`journal ${this.path}: its log cannot be written back`, 'full')
    this.#logIsOurs = true
  }

  #undo({ held, bytes, dead, digest }: Before): void {
    if (this.#database.isTransaction) this.#database.exec('rollback')
    for (const [name, each] of held) {
      if (each === undefined) this.#held.delete(name)
      else this.#held.set(name, each)
    }
    this.#bytes = bytes
    this.#dead = dead
    this.#digest = digest
  }

  #step(step: JournalStep, before: Map<string, Held | undefined>): void {
    switch (step.do) {
      case 'write':
        this.#put(step.record, before)
        return
      case 'forget':
        this.#take(step.cache, step.key, (version) => version <= step.version, before)
        return
      case 'bury': {
        const row = this.#take(step.cache, step.key, (version) => version === step.version, before)
        if (row !== undefined) this.#bury(row, step.reason, step.atMs)
        return
      }
      case 'retry':
      case 'drop':
        this.#exhume(step.id, step.do === 'retry', before)
    }
  }

  #put(record: JournalRecord, before: Map<string, Held | undefined>): void {
    const { cache, key, version, body } = record
    const name = nameOf(cache, key)
    const held = this.#held.get(name)
    if (held !== undefined && held.version >= version) return
    const op = OP[record.op]
    const sum = sumOf(cache, key, version, op, body)
    if (held !== undefined) this.#sql.take.get(held.id)
    const id = BigInt(this.#sql.put.run(cache, keyIn(key), version, op, body, sum).lastInsertRowid)
    const bytes = bytesOf(record)
    if (!before.has(name)) before.set(name, held)
    this.#held.set(name, { id, version, sum, bytes })
    this.#bytes += bytes - (held?.bytes ?? 0)
    this.#digest ^= sum ^ (held?.sum ?? 0)
  }

  /** Takes the key's record out, if it is meant. */
  #take(cache: string, key: string, isMeant: (version: Version) => boolean, before: Map<string, Held | undefined>): Row | undefined {
    const name = nameOf(cache, key)
    const held = this.#held.get(name)
    if (held === undefined || !isMeant(held.version)) return undefined
    const row = this.#sql.take.get(held.id) as unknown as Row
    if (!before.has(name)) before.set(name, held)
    this.#held.delete(name)
    this.#bytes -= held.bytes
    this.#digest ^= held.sum
    return row
  }

  /** Takes no more room than there is: a write that is refused for good is not lost for that, and its reason may be cut. */
  #bury(row: Row, said: string, atMs: number): void {
    const record = recordOf(row)
    const room = Math.max(0, this.maxBytes - this.#bytes - bytesOf(record))
    const reason = said.slice(0, Math.min(MAX_REASON, room)).toWellFormed()
    const sum = deadSumOf(record, reason, BigInt(atMs))
    this.#sql.bury.run(row.cache, row.key, row.version, row.op, row.body, reason, atMs, sum)
    this.#dead++
    this.#bytes += bytesOf(record) + reason.length
    this.#digest ^= sum
  }

  #exhume(id: number, again: boolean, before: Map<string, Held | undefined>): void {
    const row = this.#sql.exhume.get(id) as unknown as DeadRow | undefined
    if (row === undefined) return
    const record = recordOf(row)
    this.#dead--
    this.#bytes -= bytesOf(record) + row.reason.length
    this.#digest ^= Number(row.sum)
    if (again) this.#put(record, before)
  }

  #writeMeta(): void {
    const [records, dead, digest] = [this.#held.size, this.#dead, this.#digest | 0]
    this.#sql.meta.run(FORMAT, records, dead, digest, metaSum(records, dead, digest))
  }

  /** Reads every record, and compares what there is with what there should be. */
  #recover(): JournalRecovered {
    const records: JournalRecord[] = []
    let digest = 0
    for (const row of this.#sql.all.iterate() as unknown as Iterable<Row>) {
      const record = recordOf(row)
      const { cache, key, version, body } = record
      const sum = sumOf(cache, key, version, OP[record.op], body)
      if (sum !== Number(row.sum)) throw damaged(this.path, `the record of ${JSON.stringify(key)} of cache '${cache}' is bent`)
      const bytes = bytesOf(record)
      const name = nameOf(cache, key)
      if (this.#held.has(name)) throw damaged(this.path, `it holds ${JSON.stringify(key)} of cache '${cache}' twice`)
      this.#held.set(name, { id: row.id, version, sum, bytes })
      this.#bytes += bytes
      digest ^= sum
      records.push(record)
    }
    for (const row of this.#sql.listDead.iterate(0, -1) as unknown as Iterable<DeadRow>) {
      const record = recordOf(row)
      const sum = deadSumOf(record, row.reason, row.at)
      if (sum !== Number(row.sum))
        throw damaged(this.path, `the dead letter of ${JSON.stringify(record.key)} of cache '${record.cache}' is bent`)
      this.#dead++
      this.#bytes += bytesOf(record) + row.reason.length
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
    return { records }
  }
}

function checkLog(path: string): void {
  const log = `${path}-wal`
  if (!existsSync(log)) return
  const bytes = readFileSync(log)
  // The file has a page before there is a log. SQLite would take the log of an empty one away, and takes one of a single byte for empty.
  if (bytes.length > 0 && statSync(path).size <= 1) throw damaged(path, 'it is empty, and its log is not')
  const damage = damageOfLog(bytes)
  if (damage !== undefined) throw damaged(path, damage)
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
