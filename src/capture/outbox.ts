/**
 * The outbox: a table in which triggers write down which rows were changed, for databases whose log cannot be followed.
 *
 * An entry is written by the transaction that changes the row, and is seen when that is committed. Ids are drawn before: of two transactions
 * the later id may be committed first. So whoever reads keeps no place in it; what is told is deleted, and what is there is to be told.
 * Changes of one row wait for one another, so theirs come in order. A row of a partition is told under the name of the partitioned table.
 *
 * Triggers that are made, or made otherwise, have been missing before: so they come with an entry that tells all of the table as changed.
 */
import { quotedName } from '../store/identifier.ts'

export const OUTBOX = 'ringtail_outbox'
export const OUTBOX_WRITER = 'ringtail_outbox_write'
export const OUTBOX_TRIGGER = 'ringtail_outbox'

/** SQL that makes the outbox; to be run as one script. The table is told by `schema.table`, and so is each table's name in it. */
export function outboxTable(): string {
  return `create table if not exists ${OUTBOX} (
  id bigint generated always as identity primary key,
  "table" text not null,
  key text,
  version bigint,
  op text not null,
  at timestamptz not null default clock_timestamp()
);
create or replace function ${OUTBOX_WRITER}() returns trigger language plpgsql security definer set search_path from current as $ringtail$
declare
  place text;
  key_was text;
  key_is text;
begin
  select n.nspname || '.' || c.relname into place from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid = coalesce(pg_partition_root(tg_relid), tg_relid);
  if tg_op = 'TRUNCATE' then
    insert into ${OUTBOX} ("table", op) values (place, 'truncate');
    return null;
  end if;
  if tg_op <> 'INSERT' then key_was := to_jsonb(old) ->> tg_argv[0]; end if;
  if tg_op <> 'DELETE' then key_is := to_jsonb(new) ->> tg_argv[0]; end if;
  if key_was is not null and key_was is distinct from key_is then
    insert into ${OUTBOX} ("table", key, version, op) values (place, key_was, (to_jsonb(old) ->> tg_argv[1])::bigint, 'delete');
  end if;
  if key_is is not null then
    insert into ${OUTBOX} ("table", key, version, op) values (place, key_is, (to_jsonb(new) ->> tg_argv[1])::bigint,
      case when key_was is not distinct from key_is then 'update' else 'insert' end);
  end if;
  return null;
end $ringtail$;`
}

/**
 * SQL that has a table's changes written to the outbox, by whomever: a session that only replicates is no exception. To be run as one script.
 * @param table quoted @param version undefined for a table without versions
 */
export function outboxTriggers(table: string, key: string, version: string | undefined): string {
  const told = [key, version ?? ''].map((name) => `'${name}'`).join(', ')
  const truncate = `${OUTBOX_TRIGGER}_truncate`
  return `create or replace trigger ${OUTBOX_TRIGGER} after insert or update or delete on ${table} for each row execute function ${OUTBOX_WRITER}(${told});
create or replace trigger ${truncate} after truncate on ${table} for each statement execute function ${OUTBOX_WRITER}(${told});
alter table ${table} enable always trigger ${OUTBOX_TRIGGER};
alter table ${table} enable always trigger ${truncate};
insert into ${OUTBOX} ("table", op) select n.nspname || '.' || c.relname, 'truncate'
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = '${table.replaceAll("'", "''")}'::regclass;`
}

/** SQL that ends it. @param table quoted */
export function noOutboxTriggers(table: string): string {
  return `drop trigger if exists ${OUTBOX_TRIGGER} on ${table}; drop trigger if exists ${OUTBOX_TRIGGER}_truncate on ${table};`
}

/** SQL that removes the outbox, once no table has triggers that write to it. */
export function noOutboxTable(): string {
  return `drop function if exists ${OUTBOX_WRITER}(); drop table if exists ${OUTBOX};`
}

/**
 * Takes entries of the tables, oldest first, out of the transaction's view. $1 how many, $2 tables, $3 ids that are passed over → id, table, key,
 * version, op, ms since the epoch; null key: all.
 */
export const TAKE_ENTRIES = `with taken as (
  delete from ${OUTBOX} where id in (
    select id from ${OUTBOX} o where "table" = any($2::text[]) and not exists (select from unnest($3::bigint[]) passed where passed = o.id)
    order by id limit $1 for update of o skip locked
  )
  returning id, "table", key, version, op, at
)
select id::text, "table", key, version::text, op, (extract(epoch from at) * 1000)::text from taken order by id`

/** Of entries one of each table stays, and tells all of it from now on. $1 ids → those of what stays, and their tables. */
export const WIDEN_ENTRIES = `with kept as (
  select "table", min(id) as id from ${OUTBOX} where id = any($1::bigint[]) group by "table"
), gone as (
  delete from ${OUTBOX} where id = any($1::bigint[]) and id not in (select id from kept)
)
update ${OUTBOX} o set key = null, version = null, op = 'truncate' from kept where o.id = kept.id returning o.id::text, o."table"`

/** Lets go of entries. $1 ids */
export const DROP_ENTRIES = `delete from ${OUTBOX} where id = any($1::bigint[])`

/** @throws ConfigurationError for what is no column's name */
export function checkedColumn(name: string, what: string): string {
  quotedName(name, what)
  return name
}
