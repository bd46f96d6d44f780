import { after, before } from 'node:test'
import type pg from 'pg'
import { type RunningPostgres, startPostgres } from '../../tests/support/postgres.ts'
import { storeConformance } from '../testing/store-conformance.ts'
import { type PostgresStoreOptions, postgresStore } from './postgres-store.ts'
import { type PostgresTableOptions, postgresTable } from './postgres-table.ts'

let server: RunningPostgres
let pool: pg.Pool

before(async () => {
  server = await startPostgres({ settings: { deadlock_timeout: '50ms' } })
  pool = server.pool()
})
after(() => server?.stop())

let tables = 0

/** A store on a new table of its own. */
async function fresh<V>(options: Omit<Partial<PostgresStoreOptions>, 'pool'> = {}, on: pg.Pool = pool) {
  const { name: _, maxBatch: __, prepare: ___, clock: ____, ...rest } = options
  const named = `things_${++tables}`
  const removals = rest.removals === undefined ? undefined : `${named}_removals`
  const table: PostgresTableOptions = { ...rest, table: named, removals }
  await on.query(postgresTable(table))
  const store = postgresStore<V>({ ...options, ...table, pool: on })
  const dropped = removals === undefined ? named : `${named}, ${removals}`
  return { store, table: named, cleanup: async () => void (await on.query(`drop table ${dropped}`)) }
}

const COLUMNS = { name: 'text', priceCents: { column: 'price_cents', type: 'int' }, attributes: 'jsonb' } as const
interface Thing {
  name: string
  priceCents: number
  attributes: unknown
}
const thing = (datum: unknown): Thing => ({ name: 'thing', priceCents: 995, attributes: datum as never })

for (const version of ['version', false] as const) {
  const versioned = version !== false
  const suffix = versioned ? '' : ', without versions'
  storeConformance({ name: `PostgreSQL, a document column${suffix}`, versioned, create: () => fresh<unknown>({ version }) })
  storeConformance({
    name: `PostgreSQL, columns${suffix}`,
    versioned,
    create: () => fresh<Thing>({ version, columns: COLUMNS }),
    wrap: thing,
  })
}

storeConformance({ name: 'PostgreSQL, batches in parts', versioned: true, create: () => fresh<unknown>({ maxBatch: 7, prepare: false }) })

storeConformance({
  name: 'PostgreSQL with removals',
  versioned: true,
  remembersRemovals: true,
  create: () => fresh<unknown>({ removals: 'named by the table' }),
})
storeConformance({
  name: 'PostgreSQL with removals, columns, batches in parts',
  versioned: true,
  remembersRemovals: true,
  create: () => fresh<Thing>({ removals: 'named by the table', columns: COLUMNS, maxBatch: 7, prepare: false }),
  wrap: thing,
})
