/**
 * The tables of a capture as they are in the database: found by name, and checked for what following them needs.
 */
import { ConfigurationError } from '../errors.ts'
import type { CapturedTable } from './captured-table.ts'
import { askRows, type PgClient, type ReplicatedRelation } from './pg-client.ts'
import { versionTriggerOf } from './table-looks.ts'

interface Place {
  readonly oid: number
  readonly schema: string
  readonly name: string
}

export class CapturedTables {
  readonly #byName: ReadonlyMap<string, readonly CapturedTable[]>
  readonly #byOid: ReadonlyMap<number, readonly CapturedTable[]>
  readonly #checked = new Set<ReplicatedRelation>()

  /** @throws ConfigurationError when one is not there */
  static async find(admin: PgClient, tables: readonly CapturedTable[]): Promise<CapturedTables> {
    const found: (readonly [Place, CapturedTable])[] = []
    for (const table of tables) found.push([await placeOf(admin, table), table])
    return new CapturedTables(found)
  }

  private constructor(found: readonly (readonly [Place, CapturedTable])[]) {
    const byName = new Map<string, CapturedTable[]>()
    const byOid = new Map<number, CapturedTable[]>()
    for (const [{ oid, schema, name }, table] of found) {
      const name2 = `${schema}.${name}`
      const same = byName.get(name2) ?? []
      byName.set(name2, same)
      byOid.set(oid, same)
      same.push(table)
    }
    this.#byName = byName
    this.#byOid = byOid
  }

  /** @throws ConfigurationError for a table whose changes do not tell its key */
  of(relation: ReplicatedRelation): readonly CapturedTable[] {
    const tables = this.#byOid.get(relation.relationOid) ?? this.#byName.get(`${relation.schema}.${relation.name}`) ?? []
    if (!this.#checked.has(relation)) {
      for (const table of tables) checkIdentity(table, relation)
      this.#checked.add(relation)
    }
    return tables
  }

  /** Of all tables, `schema.table`. */
  get names(): readonly string[] {
    return [...this.#byName.keys()]
  }

  /** By `schema.table`. */
  named(name: string): readonly CapturedTable[] {
    return this.#byName.get(name) ?? []
  }

  /** @throws ConfigurationError when the publication leaves out what has to be known */
  async checkPublication(admin: PgClient, publication: string): Promise<void> {
    const what = `capture: publication '${publication}'`
    const [kinds] = await askRows(
      admin,
      'select (pubinsert and pubupdate and pubdelete and pubtruncate)::text from pg_publication where pubname = $1',
      [publication],
    )
    if (kinds === undefined) throw new ConfigurationError(`${what}: needs to be made, by 'ringtail-capture up', but there is none`)
    if (kinds[0] !== 'true') throw new ConfigurationError(`${what}: needs inserts, updates, deletes and truncates, but some are left out`)
    const published = await askRows(
      admin,
      "select schemaname || '.' || tablename, to_jsonb(t) ->> 'rowfilter' from pg_publication_tables t where pubname = $1",
      [publication],
    )
    const filters = new Map(published.map(([name, filter]) => [name, filter]))
    for (const name of this.#byName.keys()) {
      if (!filters.has(name)) throw new ConfigurationError(`${what}: needs table ${name}, but does not have it: run 'ringtail-capture up'`)
      if (filters.get(name) !== null) throw new ConfigurationError(`${what}: needs all rows of ${name}, but has a row filter`)
    }
  }
}

async function placeOf(admin: PgClient, table: CapturedTable): Promise<Place> {
  // 23: before, for each row, insert and update. A: also for sessions that only replicate.
  const [row] = await askRows(
    admin,
    `select c.oid::text, n.nspname, c.relname, exists (
       select from pg_trigger g where g.tgrelid = c.oid and g.tgname = $2 and g.tgtype & 23 = 23 and g.tgenabled = 'A'
     )::text
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)`,
    [table.quoted, versionTriggerOf(table)],
  )
  if (row === undefined) throw new ConfigurationError(`capture: table '${table.name}': needs to be in the database, but is not`)
  const [oid, schema, name, hasTrigger] = row
  table.rising = table.hasVersions && (table.saidRising ?? hasTrigger === 'true')
  return { oid: Number(oid), schema: schema!, name: name! }
}

function checkIdentity({ hasOwnKeys, keyColumn, name }: CapturedTable, { columns }: ReplicatedRelation): void {
  if (hasOwnKeys) return
  const column = columns.find((each) => each.name === keyColumn)
  if (column === undefined)
    throw new ConfigurationError(`capture: table '${name}': needs its key column '${keyColumn}', but does not have it`)
  if ((column.flags & 1) === 0)
    throw new ConfigurationError(
      `capture: table '${name}': needs its key column '${keyColumn}' in its replica identity, so that deletes tell it: make it the primary key, or alter table … replica identity full`,
    )
}
