/**
 * What a capture is given, checked once and in milliseconds from there on.
 */
import { ConfigurationError } from '../errors.ts'
import { durationMs, knownOptions, oneOf, wholeNumber } from '../options.ts'
import type { CaptureOptions } from './capture.ts'
import { CAPTURED_TABLE_OPTIONS, CapturedTable } from './captured-table.ts'
import type { DatabaseConfig } from './pg-client.ts'

export interface CheckedCapture {
  readonly database: DatabaseConfig
  readonly tables: readonly CapturedTable[]
  readonly mode: 'replication' | 'outbox'
  readonly slot: string
  readonly publication: string
  readonly maxWalBytes: number
  readonly maxWaiting: number
  readonly laggingAfterMs: number
  readonly everyMs: number
}

export const CAPTURE_NAME = 'ringtail'

const NAMES = ['database', 'tables', 'mode', 'slot', 'publication', 'maxWalBytes', 'maxWaiting', 'laggingAfter', 'every']
const GIB = 1024 ** 3
/** Room for the name that a slot has while it is made anew. */
const LONGEST_SLOT = 57

export function checkedCapture(options: CaptureOptions): CheckedCapture {
  const what = 'captureChanges'
  knownOptions(options, what, NAMES)
  const mode = oneOf(options.mode ?? 'replication', `${what}: mode`, ['replication', 'outbox'])
  if (!Array.isArray(options.tables) || options.tables.length === 0)
    throw ConfigurationError.of(`${what}: tables`, 'an array of tables with their caches', options.tables)
  const tables = options.tables.map((table, at) => {
    knownOptions(table, `${what}: tables[${at}]`, CAPTURED_TABLE_OPTIONS)
    return new CapturedTable(table, `${what}: tables[${at}]`)
  })
  if (mode === 'outbox') refuseRows(tables, options)
  return Object.freeze({
    database: checkedDatabase(options.database, `${what}: database`),
    tables,
    mode,
    slot: slotName(options.slot ?? CAPTURE_NAME, `${what}: slot`),
    publication: slotName(options.publication ?? CAPTURE_NAME, `${what}: publication`),
    maxWalBytes: wholeNumber(options.maxWalBytes ?? GIB, `${what}: maxWalBytes`, 1),
    maxWaiting: wholeNumber(options.maxWaiting ?? 4_096, `${what}: maxWaiting`, 1, 1_000_000),
    laggingAfterMs: durationMs(options.laggingAfter ?? 5_000, `${what}: laggingAfter`),
    everyMs: Math.max(1, durationMs(options.every ?? (mode === 'outbox' ? 100 : 500), `${what}: every`)),
  })
}

export function checkedDatabase(database: DatabaseConfig, what: string): DatabaseConfig {
  const isUrl = typeof database === 'string' && /^postgres(?:ql)?:\/\//.test(database)
  if (isUrl || (typeof database === 'object' && database !== null)) return database
  throw ConfigurationError.of(what, "'postgres://…', or an object of options for a Client of 'pg'", redacted(database))
}

/** @throws ConfigurationError for what PostgreSQL does not take as the name of a slot */
export function slotName(name: string, what: string): string {
  if (typeof name === 'string' && /^[a-z_][a-z0-9_]*$/.test(name) && name.length <= LONGEST_SLOT) return name
  throw ConfigurationError.of(what, `a name of lower-case letters, digits and _, of at most ${LONGEST_SLOT} characters`, name)
}

/** The outbox tells of keys alone. */
function refuseRows(tables: readonly CapturedTable[], options: CaptureOptions): void {
  for (const [at, { hasOwnKeys, hasTags }] of tables.entries()) {
    const { apply } = options.tables[at]!
    const refused = hasOwnKeys ? 'keys' : hasTags ? 'tags' : apply === 'refresh' ? 'apply' : undefined
    if (refused !== undefined)
      throw new ConfigurationError(
        `captureChanges: tables[${at}]: ${refused}: needs mode 'replication' to know rows, but got: mode 'outbox', which tells keys and versions`,
      )
  }
}

function redacted(database: unknown): unknown {
  return typeof database === 'string' ? database.replace(/:[^:@/]*@/, ':…@') : database
}
