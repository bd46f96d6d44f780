/**
 * How a value lies in a row: whole, in one `jsonb` column, or spread over columns.
 *
 * Both ways it travels as JSON, to the server and back. So what is loaded has the types of what was saved, whatever parsers the caller's
 * `pg` has, and is the same as what a cache that keeps JSON gives back on a hit: a `bigint` or `numeric` is a number (which holds about 15
 * digits; `as: 'text'` loads it as a string), a `timestamptz` an ISO string.
 */
import { ConfigurationError, EncodeError, inspectBriefly } from '../errors.ts'
import { knownOptions } from '../options.ts'
import { asJson } from './batch.ts'
import { columnType, quotedName } from './identifier.ts'
import type { Save } from './store.ts'

/** A column's type, `'int'`; or also its name, where it is not the property's: `{ column: 'price_cents', type: 'int' }`. */
export type PostgresColumn = string | { readonly type: string; readonly column?: string | undefined; readonly as?: 'text' | undefined }

/** Property of the value → column. */
export type PostgresColumns = Readonly<Record<string, PostgresColumn>>

/** What the statements need to know of the value. */
export interface PostgresValue {
  /** Quoted columns that a save sets. */
  readonly columns: readonly string[]
  /** Where `columns` come from, for each `i.doc` of the batch, as they stand in a `select` list; and what else must be joined for it. */
  readonly expressions: readonly string[]
  readonly join: string
  /** The value as JSON text, out of the table's row `t`; and what else must be joined for it. */
  readonly selected: string
  readonly selectedJoin: string
  /** Column definitions for the table. */
  readonly definitions: readonly string[]
  /** @throws RingtailError when it cannot lie in such a row */
  encode(save: Pick<Save<unknown>, 'key' | 'value'>): string
}

/** @param column a `jsonb` column */
export function documentValue(column: string, what: string): PostgresValue {
  const name = quotedName(column, what)
  return {
    columns: [name],
    expressions: ['i.doc::jsonb'],
    join: '',
    selected: `t.${name}::text`,
    selectedJoin: '',
    definitions: [`${name} jsonb not null`],
    encode: asJson,
  }
}

/** @param keyColumn quoted: where a property is that column, it is read only, and a save's must be the save's key */
export function columnsValue(columns: PostgresColumns, keyColumn: string, what: string): PostgresValue {
  const entries = checkedColumns(columns, what)
  if (entries.length === 0) throw ConfigurationError.of(what, 'at least one column', columns)
  const names = entries.map(({ column }) => column)
  if (new Set(names).size < names.length) throw ConfigurationError.of(what, 'each column once', columns)
  const written = entries.filter(({ column }) => column !== keyColumn)
  if (written.length === 0) throw ConfigurationError.of(what, 'at least one column beside the key', columns)
  const known = new Set(entries.map(({ property }) => property))
  const keyProperty = entries.find(({ column }) => column === keyColumn)?.property
  const fields = entries.map(({ property, column, asText }) => `t.${column}${asText ? '::text' : ''} as ${quoted(property)}`)
  return {
    columns: written.map(({ column }) => column),
    expressions: written.map(({ property }) => `d.${quoted(property)}`),
    join: `cross join lateral json_to_record(i.doc) as d(${written.map(({ property, type }) => `${quoted(property)} ${type}`).join(', ')})`,
    selected: 'row_to_json(v)::text',
    selectedJoin: `cross join lateral (select ${fields.join(', ')}) as v`,
    definitions: written.map(({ column, type }) => `${column} ${type}`),
    encode(save) {
      checkShape(save, known, keyProperty)
      return asJson(save)
    },
  }
}

interface Column {
  readonly property: string
  readonly column: string
  readonly type: string
  readonly asText: boolean
}

function checkedColumns(columns: PostgresColumns, what: string): Column[] {
  if (typeof columns !== 'object' || columns === null) throw ConfigurationError.of(what, 'an object: property to column type', columns)
  return Object.entries(columns).map(([property, spec]) => {
    const where = `${what}.${property}`
    quotedName(property, where)
    if (typeof spec === 'string') return { property, column: quotedName(property, where), type: columnType(spec, where), asText: false }
    knownOptions(spec, where, ['type', 'column', 'as'])
    if (spec.as !== undefined && spec.as !== 'text') throw ConfigurationError.of(`${where}.as`, "'text', or nothing", spec.as)
    return {
      property,
      column: quotedName(spec.column ?? property, `${where}.column`),
      type: columnType(spec.type, `${where}.type`),
      asText: spec.as === 'text',
    }
  })
}

/** A property's name was checked like a column's. */
function quoted(property: string): string {
  return `"${property}"`
}

function checkShape(
  { key, value }: Pick<Save<unknown>, 'key' | 'value'>,
  known: ReadonlySet<string>,
  keyProperty: string | undefined,
): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new EncodeError(`store: a row of columns needs an object, but got: ${inspectBriefly(value)}`)
  for (const [property, held] of Object.entries(value)) {
    // It would be lost without a word.
    if (!known.has(property) && held !== undefined)
      throw new EncodeError(`store: no column is configured for the property ${inspectBriefly(property)} (key ${inspectBriefly(key)})`)
  }
  if (keyProperty === undefined) return
  const own = (value as Record<string, unknown>)[keyProperty]
  if (own !== undefined && String(own) !== key)
    throw new EncodeError(`store: ${keyProperty} needs to be the key ${inspectBriefly(key)}, but got: ${inspectBriefly(own)}`)
}
