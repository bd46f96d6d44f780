/**
 * Names that become part of an SQL text: tables, columns, column types.
 *
 * Keys and values are always bound. Names cannot be, so they come from configuration alone, are checked here once, and are quoted. Quoted
 * names are taken exactly as spelt: `Products` is not `products`.
 */
import { ConfigurationError } from '../errors.ts'

/** PostgreSQL cuts longer names silently (NAMEDATALEN 64), and two cut names may be the same. */
const LONGEST_NAME_BYTES = 63

const NAME = /^[\p{L}_][\p{L}\p{N}_$-]*$/u

/** Words, a length or precision, an array: `bigint`, `numeric(12,2)`, `timestamp(3) with time zone`, `text[]`, `shop.mood`. */
const TYPE = /^[a-z_][a-z0-9_]*(?:[ .][a-z_][a-z0-9_]*)*(?: ?\(\d{1,4}(?:, ?\d{1,4})?\))?(?: with(?:out)? time zone)?(?:\[\])*$/i

/** @returns the name in double quotes @throws ConfigurationError unless it is letters, digits, `_`, `$`, `-`, at most 63 bytes */
export function quotedName(name: string, what: string): string {
  if (typeof name !== 'string' || !NAME.test(name) || new TextEncoder().encode(name).length > LONGEST_NAME_BYTES) {
    throw ConfigurationError.of(what, 'a name of letters, digits, _, $ or -, that begins with a letter or _, of at most 63 bytes', name)
  }
  return `"${name}"`
}

/** @returns `"table"` or `"schema"."table"` */
export function quotedTable(table: string, what: string): string {
  if (typeof table !== 'string') throw ConfigurationError.of(what, "a table's name: 'products' or 'shop.products'", table)
  const parts = table.split('.')
  if (parts.length > 2) throw ConfigurationError.of(what, "at most a schema and a table: 'shop.products'", table)
  return parts.map((part) => quotedName(part, what)).join('.')
}

/** @returns the type, once nothing in it can end it and begin something else */
export function columnType(type: string, what: string): string {
  if (typeof type !== 'string' || !TYPE.test(type)) {
    throw ConfigurationError.of(what, "a column type such as 'bigint', 'numeric(12,2)', 'timestamptz' or 'text[]'", type)
  }
  return type
}
