/**
 * What a cache reads with an SQL of your own: joins, aggregates, views. Read only, one statement a batch.
 *
 *     postgresReader<ProductPage>({
 *       pool,
 *       name: 'product-page',
 *       query: `select p.id, p.name, avg(r.stars)::float8 as stars
 *               from products p left join reviews r on r.product_id = p.id
 *               where p.id = any($1) group by p.id`,
 *       key: 'id',
 *     })
 *
 * `$1` is the array of keys asked for: the one parameter, bound as an array of `keyType`. Values are as your `pg` parses them.
 * Nothing is written, so there is nothing to order: versions are 0.
 */
import { ConfigurationError, inspectBriefly, RingtailError, StoreError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { chunks } from './batch.ts'
import { optionalFunction, requiredText, textOr, withMethods } from './checked-options.ts'
import { PostgresKey, type PostgresKeyType } from './postgres-key.ts'
import { type PostgresPool, PostgresStatements } from './postgres-query.ts'
import type { Loaded, Row, StoreReader } from './store.ts'

export interface PostgresReaderOptions<V> {
  readonly pool: PostgresPool
  /** For messages and metrics: the reader is `postgres:<name>`. */
  readonly name: string
  /** An SQL with `$1`, the keys. Rows of one key must be one row. */
  readonly query: string
  /** The result's column that holds the key. Default: `key`. */
  readonly key?: string | undefined
  /** Type of the key in the query. Default: `text`. */
  readonly keyType?: PostgresKeyType | undefined
  /** Makes the value of a row. Default: the row itself, as an object of its columns. */
  readonly row?: ((row: Record<string, unknown>) => V) | undefined
  /** Keys in one statement. Default: 1,000. */
  readonly maxBatch?: number | undefined
}

export function postgresReader<V>(options: PostgresReaderOptions<V>): StoreReader<V> {
  knownOptions(options, 'postgresReader', ['pool', 'name', 'query', 'key', 'keyType', 'row', 'maxBatch'])
  withMethods(options.pool, ['query'], 'postgresReader: pool', "a pool of 'pg'")
  if (typeof options.query !== 'string' || !/\$1(?!\d)/.test(options.query))
    throw ConfigurationError.of('postgresReader: query', 'an SQL that takes the keys as $1', options.query)
  const name = `postgres:${requiredText(options.name, 'postgresReader: name')}`
  const keyColumn = textOr('key', options.key, 'postgresReader: key')
  const makeValue = optionalFunction(options.row, 'postgresReader: row') ?? ((row) => row as V)
  const keyType = new PostgresKey(options.keyType ?? 'text', 'postgresReader: keyType')
  const maxBatch = wholeNumber(options.maxBatch ?? 1_000, 'postgresReader: maxBatch', 1, 10_000)
  const statements = new PostgresStatements(options.pool, name)
  const text = options.query.replaceAll(/\$1(?!\d)/g, `$1::${keyType.type}[]`)
  let rowsLoaded = 0
  const readRow = (row: Record<string, unknown>, rows: Map<string, Row<V>>, failed: Map<string, RingtailError>): void => {
    const key = keyOf(row, keyColumn, name)
    try {
      rows.set(key, { value: makeValue(row), version: 0n })
    } catch (cause) {
      failed.set(key, new StoreError(`${name}: the row of key ${inspectBriefly(key)} cannot be read`, { cause, ofRow: true }))
    }
  }
  return {
    name,
    async load(keys, call): Promise<Loaded<V>> {
      call?.signal?.throwIfAborted()
      const rows = new Map<string, Row<V>>()
      const failed = new Map<string, RingtailError>()
      const askable = [...new Set(keys)].filter(keyType.canBe)
      let answered = false
      let failure: RingtailError | undefined
      for (const chunk of chunks(askable, maxBatch)) {
        try {
          const found = await statements.query({ text, values: [chunk] }, call)
          for (const row of found as Record<string, unknown>[]) readRow(row, rows, failed)
          answered = true
        } catch (thrown) {
          if (!(thrown instanceof RingtailError)) throw thrown
          failure = thrown
          for (const key of chunk) failed.set(key, thrown)
        }
      }
      if (failure !== undefined && !answered) throw failure
      rowsLoaded += rows.size
      return { rows, failed }
    },
    stats: () => [{ id: name, queries: statements.sent, rowsLoaded, rowsSaved: 0 }],
  }
}

/** @throws StoreError when rows have no such column: then the SQL is wrong, not a row */
function keyOf(row: Record<string, unknown>, keyColumn: string, name: string): string {
  const key = row[keyColumn]
  if (key === undefined || key === null)
    throw new StoreError(`${name}: each row needs its key in the column ${inspectBriefly(keyColumn)}, but got: ${Object.keys(row)}`)
  return String(key)
}
