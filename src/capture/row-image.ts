/**
 * A row as the log has it, in the database's text, as the values that a store would load.
 *
 * A store has the database make JSON of a row; here that is done by hand, for the types of which it is certain to come out the same. Of any
 * other (a time that depends on the session's zone, an array, a type of your own) nothing is made: then what is cached is removed and not
 * replaced, which is always right.
 */
import type { PostgresTableOptions } from '../store/postgres-table.ts'
import type { CapturedRow } from './capture.ts'
import type { ColumnTexts, ReplicatedColumn, ReplicatedRelation } from './pg-client.ts'

/** What cannot be made. */
const UNSURE = Symbol('unsure')

type Reader = (text: string) => unknown

const asText: Reader = (text) => text
const asNumber: Reader = (text) => {
  const number = Number(text)
  return Number.isFinite(number) ? number : UNSURE
}

/** By type (`pg_type.oid`), as PostgreSQL's own `row_to_json` would have it, and JSON.parse after it. */
const READERS: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [16, (text) => text === 't'],
  ...[20, 21, 23, 700, 701, 1700].map((oid) => [oid, asNumber] as const),
  ...[114, 3802].map((oid) => [oid, JSON.parse as Reader] as const),
  // text, varchar, name, uuid, date
  ...[25, 1043, 19, 2950, 1082].map((oid) => [oid, asText] as const),
  [1114, (text) => text.replace(' ', 'T')],
])

/** The row for functions of the caller's: what is certain as a store would load it, the rest as the database's text. */
export function rowOf(texts: ColumnTexts, columns: readonly ReplicatedColumn[]): CapturedRow {
  const row: Record<string, unknown> = Object.create(null)
  for (const { name, typeOid } of columns) {
    const text = texts[name]
    if (text === undefined) continue
    const value = text === null ? null : read(text, typeOid)
    row[name] = value === UNSURE ? text : value
  }
  return row
}

/** @returns what a store on the table would load of the row; undefined where that is not certain */
export function valueIn(
  texts: ColumnTexts,
  { columns: relationColumns }: ReplicatedRelation,
  { value, columns }: Pick<PostgresTableOptions, 'value' | 'columns'>,
): { readonly value: unknown } | undefined {
  const types = new Map(relationColumns.map(({ name, typeOid }) => [name, typeOid]))
  const one = (column: string, textOnly: boolean): unknown => {
    const text = texts[column]
    const oid = types.get(column)
    if (text === undefined || oid === undefined) return UNSURE
    if (text === null) return null
    return textOnly && (READERS.get(oid) === asText || READERS.get(oid) === asNumber) ? text : textOnly ? UNSURE : read(text, oid)
  }
  if (columns === undefined) {
    const document = one(value ?? 'value', false)
    return document === UNSURE ? undefined : { value: document }
  }
  const made: Record<string, unknown> = {}
  for (const [property, spec] of Object.entries(columns)) {
    const { column = property, as } = typeof spec === 'string' ? {} : spec
    const part = one(column, as === 'text')
    if (part === UNSURE) return undefined
    made[property] = part
  }
  return { value: made }
}

function read(text: string, oid: number): unknown {
  const reader = READERS.get(oid)
  return reader === undefined ? UNSURE : reader(text)
}
