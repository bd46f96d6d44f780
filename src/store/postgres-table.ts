/**
 * A table behind a cache, as SQL: the statements of the store, and the DDL for a table that it can stand on.
 *
 * Each batch is one statement over arrays (`unnest`), whose text does not depend on the batch's size, so it is prepared once a connection.
 * Rows are taken in the order of their keys, so that two batches over the same rows wait for each other and do not deadlock. Each save sets
 * and returns `greatest(version + 1, floor, clock)`, where the clock is the database's own: it makes a row that comes back newer than its
 * removal, though the row that was removed took its version with it. (True while no process's clock is ahead of the database's.)
 */
import { ConfigurationError } from '../errors.ts'
import { knownOptions } from '../options.ts'
import { quotedName, quotedTable } from './identifier.ts'
import { PostgresKey, type PostgresKeyType } from './postgres-key.ts'
import type { Statement } from './postgres-query.ts'
import { columnsValue, documentValue, type PostgresColumns, type PostgresValue } from './postgres-value.ts'

export interface PostgresTableOptions {
  /** `'products'` or `'shop.products'`, spelt exactly as it is in the database. */
  readonly table: string
  /** The column of the key: the primary key, or unique and not null. Default: `key`. */
  readonly key?: string | undefined
  /** Default: `text`. */
  readonly keyType?: PostgresKeyType | undefined
  /** A `bigint` column; false for a table without versions. Default: `version`. */
  readonly version?: string | false | undefined
  /** The value whole, in this `jsonb` column. Default, unless `columns` is given: `value`. */
  readonly value?: string | undefined
  /** Or the value spread over columns. A missing property is saved as null; one that has no column is refused. */
  readonly columns?: PostgresColumns | undefined
  /**
   * A table beside this one, spelt like `table`: `'products_removals'`. In it the store remembers which keys were removed, and when, so that no
   * older write brings them back: what write-behind needs. Default: nothing is remembered.
   */
  readonly removals?: string | undefined
}

export const POSTGRES_TABLE_OPTIONS = ['table', 'key', 'keyType', 'version', 'value', 'columns', 'removals']

/**
 * `create table` as the store expects it, and with `removals` also the table of that name; to be run as one script. A version column added to
 * an existing table: `alter table … add version bigint not null default 1`.
 */
export function postgresTable(options: PostgresTableOptions): string {
  knownOptions(options, 'postgresTable', POSTGRES_TABLE_OPTIONS)
  const { table, key, keyType, version, value, removals } = new PostgresTable(options, 'postgresTable')
  const columns = [`${key} ${keyType.type} primary key`, ...value.definitions]
  if (version !== undefined) columns.push(`${version} bigint not null default 1`)
  const rows = `create table if not exists ${table} (\n  ${columns.join(',\n  ')}\n)`
  if (removals === undefined) return rows
  return `${rows};\n${removalsTable(removals, keyType)}`
}

/** The table of `removals` alone, for one whose rows' table is there already. */
export function postgresRemovalsTable(options: PostgresTableOptions): string {
  knownOptions(options, 'postgresRemovalsTable', POSTGRES_TABLE_OPTIONS)
  const { keyType, removals } = new PostgresTable(options, 'postgresRemovalsTable')
  if (removals === undefined) throw ConfigurationError.of('postgresRemovalsTable: removals', 'the name of a table', removals)
  return removalsTable(removals, keyType)
}

function removalsTable(removals: string, keyType: PostgresKey): string {
  return `create table if not exists ${removals} (\n  key ${keyType.type} primary key,\n  version bigint not null\n)`
}

/**
 * A trigger that gives rows written by other SQL a version as well: higher than the row's last, and at least the database's clock. An update
 * that raises the version itself keeps it, for its writer has ordered it, as the store does; and so does a new row that is given one above 1,
 * the column's default. It fires for sessions that only replicate as well. With `removals`, a second trigger has deletes by other SQL remembered
 * too. To be run as one script.
 */
export function postgresVersionTrigger(options: PostgresTableOptions): string {
  knownOptions(options, 'postgresVersionTrigger', POSTGRES_TABLE_OPTIONS)
  const whole = new PostgresTable(options, 'postgresVersionTrigger')
  const { table, version, removals } = whole
  if (version === undefined) throw ConfigurationError.of('postgresVersionTrigger: version', 'a table with versions', false)
  const { trigger, qualified } = triggerOf(options.table, '_version')
  const versions = `create or replace function ${qualified}() returns trigger language plpgsql as $ringtail$
begin
  if tg_op = 'INSERT' then
    new.${version} := case when new.${version} > 1 then new.${version} else ${CLOCK} end;
  elsif new.${version} > ${whole.read('old')} then
    return new;
  else
    new.${version} := greatest(old.${version} + 1, ${CLOCK});
  end if;
  return new;
end $ringtail$;
create or replace trigger ${trigger} before insert or update on ${table} for each row execute function ${qualified}();
alter table ${table} enable always trigger ${trigger};`
  return removals === undefined ? versions : `${versions}\n${removalTrigger(options.table, whole, removals)}`
}

/** A mark that the deleting transaction itself has left, and that is not below the row, is the store's own: it has ordered the removal. */
function removalTrigger(name: string, table: PostgresTable, removals: string): string {
  const { trigger, qualified } = triggerOf(name, '_removal')
  return `create or replace function ${qualified}() returns trigger language plpgsql as $ringtail$
begin
  insert into ${removals} as m (key, version) values (old.${table.key}, greatest(old.${table.version} + 1, ${CLOCK}))
  on conflict (key) do update set version = greatest(m.version, excluded.version)
  where not (m.xmin = pg_current_xact_id()::xid and m.version >= ${table.read('old')});
  return null;
end $ringtail$;
create or replace trigger ${trigger} after delete on ${table.table} for each row execute function ${qualified}();
alter table ${table.table} enable always trigger ${trigger};`
}

function triggerOf(table: string, ending: string): { trigger: string; qualified: string } {
  const trigger = quotedName(`${table.split('.').at(-1)}${ending}`, `postgresVersionTrigger: table (with ${ending} added)`)
  const schema = table.includes('.') ? `${quotedName(table.split('.')[0]!, 'postgresVersionTrigger: table')}.` : ''
  return { trigger, qualified: `${schema}${trigger}` }
}

/** The database's wall clock as a version (entry.ts): its upper bits are milliseconds, what is below them in the time goes into the lower 19. */
export const CLOCK = "(date_part('epoch', clock_timestamp()) * 524288000)::bigint"

export class PostgresTable {
  readonly table: string
  readonly key: string
  readonly keyType: PostgresKey
  readonly version: string | undefined
  readonly value: PostgresValue
  readonly removals: string | undefined

  constructor(options: PostgresTableOptions, what: string) {
    if (options.value !== undefined && options.columns !== undefined)
      throw ConfigurationError.of(what, 'either value (one column) or columns', 'both')
    this.table = quotedTable(options.table, `${what}: table`)
    this.key = quotedName(options.key ?? 'key', `${what}: key`)
    this.keyType = new PostgresKey(options.keyType ?? 'text', `${what}: keyType`)
    this.version = options.version === false ? undefined : quotedName(options.version ?? 'version', `${what}: version`)
    this.value =
      options.columns === undefined
        ? documentValue(options.value ?? 'value', `${what}: value`)
        : columnsValue(options.columns, this.key, `${what}: columns`)
    const columns = [this.key, this.version, ...this.value.columns]
    if (new Set(columns).size < columns.length) throw ConfigurationError.of(what, 'each column for one purpose', columns.join(', '))
    this.removals = options.removals === undefined ? undefined : quotedTable(options.removals, `${what}: removals`)
    if (this.removals === this.table) throw ConfigurationError.of(`${what}: removals`, 'a table of its own', options.removals)
    if (this.removals !== undefined && this.version === undefined)
      throw ConfigurationError.of(`${what}: removals`, 'a table with versions', 'version: false')
  }

  /** $1 keys → key, version, value as JSON. */
  load(): Statement {
    return prepared(`select t.${this.key}::text, ${this.read('t')}::text, ${this.value.selected}
from ${this.table} as t ${this.value.selectedJoin}
where t.${this.key} = any($1::${this.keyType.type}[])`)
  }

  /**
   * $1 keys, $2 values, $3 floors → key, version. The rows are locked before the clock is read: a save that waited for a removal under way is
   * of a higher version than the removal.
   */
  save(): Statement {
    if (this.version === undefined) return prepared(`${this.#insert('', '')} returning t.${this.key}::text, '0'`)
    return prepared(`with ${this.locked('current')}
${this.#insert('', 'left join current as c on c.key = i.key')}
returning t.${this.key}::text, t.${this.version}::text`)
  }

  /**
   * $1 keys, $2 values, $3 floors, $4 expected versions or null, $5 those keys whose expected is 0 → key, version saved or null, version
   * found or null. Rows being locked, what is found still stands when it is saved; a row that another transaction makes in between is left
   * as it is (`$5`), and neither version is told.
   */
  saveExpected(): Statement {
    return prepared(`with ${this.locked('current')}, saved as (
  ${this.#insert(', $4::bigint[]', 'left join current as c on c.key = i.key where i.expected is null or i.expected = coalesce(c.version, 0)')}
  where t.${this.key} <> all ($5::${this.keyType.type}[])
  returning t.${this.key} as key, t.${this.version} as version
)
select i.key::text, s.version::text, c.version::text
from unnest($1::${this.keyType.type}[]) as i(key) left join saved as s on s.key = i.key left join current as c on c.key = i.key`)
  }

  /** $1 keys, $2 values, $3 floors → those saved: key, version. Rows of their floor's version or a higher one are left as they are. */
  saveOlder(): Statement {
    return prepared(this.insertOlder(''))
  }

  /** @param free what else must be joined to save only some */
  insertOlder(free: string): string {
    const { table, key, version = '', value } = this
    const columns = [key, ...value.columns, version]
    const set = columns.slice(1).map((column) => `${column} = excluded.${column}`)
    return `insert into ${table} as t (${columns.join(', ')})
  select ${['i.key', ...value.expressions, 'i.floor'].join(', ')}
  from unnest($1::${this.keyType.type}[], $2::json[], $3::bigint[]) as i(key, doc, floor) ${free}
  ${value.join} order by i.key
  on conflict (${key}) do update set ${set.join(', ')} where ${this.read('t')} < excluded.${version}
  returning t.${key}::text, t.${version}::text`
  }

  /**
   * $1 keys, $2 floors → key, whether it was removed, and the version of the row that the statement saw, or null. Rows of a higher version are left
   * as they are. One that is not removed, though what was seen is not above the floor, has changed meanwhile, or a trigger has kept it.
   */
  removeOlder(): Statement {
    return prepared(this.deleteOlder(() => ''))
  }

  /** @param mark what is done beside, once `locked` has what will be removed */
  deleteOlder(mark: (locked: string) => string): string {
    const { table, key } = this
    const input = `unnest($1::${this.keyType.type}[], $2::bigint[]) as i(key, floor)`
    return `with locked as materialized (
  select t.${key} as key, i.floor as floor from ${table} as t join ${input} on i.key = t.${key}
  where ${this.read('t')} <= i.floor order by t.${key} for update of t
)${mark('locked')}, deleted as (
  delete from ${table} as t using locked where t.${key} = locked.key and ${this.read('t')} <= locked.floor returning t.${key} as key
)
select i.key::text, (d.key is not null)::text, (${this.found('t')})::text
from ${input} left join deleted as d on d.key = i.key left join ${table} as t on t.${key} = i.key`
  }

  /** $1 keys, $2 floors → key, the version of its row or null, null, false: why nothing was saved. @see PostgresRemovals.explain */
  explain(): Statement {
    return prepared(`select i.key::text, (${this.found('t')})::text, null, 'false'
from unnest($1::${this.keyType.type}[], $2::bigint[]) as i(key, floor) left join ${this.table} as t on t.${this.key} = i.key`)
  }

  /** $1 keys, $2 floors → key, the removal's version, also for keys without a row. */
  remove(): Statement {
    const removal = this.version === undefined ? '0' : `coalesce(d.version, greatest(i.floor, ${CLOCK}))`
    const version = this.version === undefined ? '0' : `greatest(t.${this.version} + 1, i.floor, ${CLOCK})`
    return prepared(`with input as materialized (
  select * from unnest($1::${this.keyType.type}[], $2::bigint[]) as i(key, floor)
), ${this.locked('locked')}, deleted as (
  delete from ${this.table} as t using locked, input as i
  where t.${this.key} = locked.key and i.key = locked.key
  returning i.key, ${version} as version
)
select i.key::text, (${removal})::text, (d.key is not null)::text from input as i left join deleted as d on d.key = i.key`)
  }

  /** A part of a `with`: the batch's rows that are there, locked in the order of their keys. */
  locked(name: string): string {
    return `${name} as materialized (
  select t.${this.key} as key, ${this.read('t')} as version from ${this.table} as t
  where t.${this.key} = any($1::${this.keyType.type}[]) order by t.${this.key} for update
)`
  }

  #insert(expected: string, join: string): string {
    const { table, key, version, value } = this
    const columns = [key, ...value.columns]
    const expressions = ['i.key', ...value.expressions]
    if (version !== undefined) {
      columns.push(version)
      expressions.push(`greatest(i.floor, c.version + 1, ${CLOCK})`)
    }
    return `insert into ${table} as t (${columns.join(', ')})
  select ${expressions.join(', ')}
  from unnest($1::${this.keyType.type}[], $2::json[], $3::bigint[]${expected}) as i(key, doc, floor${expected === '' ? '' : ', expected'})
  ${value.join} ${join} order by i.key
  on conflict (${key}) do update set ${this.#set()}`
  }

  #set(): string {
    const set = this.value.columns.map((column) => `${column} = excluded.${column}`)
    if (this.version !== undefined) set.push(`${this.version} = greatest(t.${this.version} + 1, excluded.${this.version})`)
    return set.join(', ')
  }

  /** A row that was there before it had a version is of version 1: 0 means "no row". */
  read(row: string): string {
    return this.version === undefined ? '0' : `greatest(${row}.${this.version}, 1)`
  }

  /** The version of a row that was joined from outside: null where there is none. */
  found(row: string): string {
    return `case when ${row}.${this.key} is null then null else ${this.read(row)} end`
  }
}

/** Named by what it says: two stores on one pool share a statement or have two names. */
export function prepared(text: string): Statement {
  // Not imported: it would add some 20 ms to the import of the library.
  const { createHash } = process.getBuiltinModule('node:crypto')
  return { text, name: `ringtail_${createHash('sha256').update(text).digest('hex').slice(0, 32)}` }
}
