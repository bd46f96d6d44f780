/**
 * What lies in a journal's file, and by which statements.
 *
 * A record and a dead letter each carry a checksum of all that they say; `meta` has how many there are and the whole of their checksums.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import type { JournalRecord } from './journal.ts'

/** Of the layout below. */
export const FORMAT = 2
export const OP = { save: 1, remove: 2 } as const
/** What a record costs beside its cache, key and body, and a dead letter beside those and its reason. */
const RECORD_BYTES = 64

/** `meta` lies on page 2, for it is the first; it is of all groups. A key that is no text in UTF-8 lies as its UTF-16 units. */
export const TABLES = `
create table meta (
  id integer primary key check (id = 1), format integer not null, records integer not null, dead integer not null,
  digest integer not null, sum integer not null
) strict;
create table records (
  id integer primary key, cache text not null, key any not null, version integer not null,
  op integer not null, body blob not null, sum integer not null
) strict;
create table dead (
  id integer primary key autoincrement, cache text not null, key any not null, version integer not null, op integer not null,
  body blob not null, reason text not null, at integer not null, sum integer not null
) strict;`

export interface Row {
  readonly id: bigint
  readonly cache: string
  readonly key: string | Uint8Array
  readonly version: bigint
  readonly op: number | bigint
  readonly body: Uint8Array
  readonly sum: number | bigint
}

export interface DeadRow extends Row {
  readonly reason: string
  readonly at: bigint
}

export interface Statements {
  readonly put: StatementSync
  readonly take: StatementSync
  readonly bury: StatementSync
  readonly exhume: StatementSync
  readonly listDead: StatementSync
  readonly all: StatementSync
  readonly meta: StatementSync
  readonly readMeta: StatementSync
}

export function prepare(database: DatabaseSync): Statements {
  const statement = (text: string): StatementSync => {
    const prepared = database.prepare(text)
    prepared.setReadBigInts(true)
    return prepared
  }
  return {
    put: statement('insert into records (cache, key, version, op, body, sum) values (?, ?, ?, ?, ?, ?)'),
    take: statement('delete from records where id = ? returning id, cache, key, version, op, body, sum'),
    bury: statement('insert into dead (cache, key, version, op, body, reason, at, sum) values (?, ?, ?, ?, ?, ?, ?, ?)'),
    exhume: statement('delete from dead where id = ? returning id, cache, key, version, op, body, reason, at, sum'),
    listDead: statement('select id, cache, key, version, op, body, reason, at, sum from dead where id > ? order by id limit ?'),
    all: statement('select id, cache, key, version, op, body, sum from records order by version'),
    meta: statement(`insert into meta (id, format, records, dead, digest, sum) values (1, ?, ?, ?, ?, ?)
      on conflict (id) do update set records = excluded.records, dead = excluded.dead, digest = excluded.digest, sum = excluded.sum`),
    readMeta: statement('select records, dead, digest, sum from meta'),
  }
}

export function recordOf({ cache, key, version, op, body }: Row): JournalRecord {
  const text = typeof key === 'string' ? key : Buffer.from(key).toString('utf16le')
  return { cache, key: text, version, op: Number(op) === OP.remove ? 'remove' : 'save', body }
}

export function keyIn(key: string): string | Uint8Array {
  return key.isWellFormed() ? key : Buffer.from(key, 'utf16le')
}

export function bytesOf({ cache, key, body }: JournalRecord): number {
  return RECORD_BYTES + cache.length + key.length + body.length
}

export function nameOf(cache: string, key: string): string {
  return `${cache}\0${key}`
}

export function sumOf(cache: string, key: string, version: bigint, op: number, body: Uint8Array): number {
  return crc32(body, crc32(`${cache}\0${key}\0${version}\0${op}\0`)) | 0
}

export function deadSumOf({ cache, key, version, op, body }: JournalRecord, reason: string, at: bigint): number {
  return crc32(`${sumOf(cache, key, version, OP[op], body)} ${at} ${reason}`) | 0
}

export function metaSum(records: number, dead: number, digest: number): number {
  return crc32(`${records} ${dead} ${digest}`) | 0
}
