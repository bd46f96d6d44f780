/**
 * The outbox: a table in which triggers write down which rows were changed, for databases whose log cannot be followed.
 *
 * An entry is written by the transaction that changes the row, and is seen when that is committed. Ids are drawn before: of two transactions
 * the later id may be committed first. So whoever reads keeps no place in it; what is told is deleted, and what is there is to be told.
 * Changes of one row wait for one another, so theirs come in order.
 */
import { quotedName } from '../store/identifier.ts'

export const OUTBOX = 'ringtail_outbox'
const WRITER = 'ringtail_outbox_write'

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
create or replace function ${WRITER}() returns trigger language plpgsql security definer set search_path from current as $ringtail$
declare
  place text := tg_table_schema || '.' || tg_table_name;
  key_was text;
  key_is text;
begin
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

/** SQL that has a table's changes written to the outbox. @param table quoted @param version undefined for a table without versions */
export function outboxTriggers(table: string, key: string, version: string | undefined): string {
  const told = [key, version ?? ''].map((name) => `'${name}'`).join(', ')
  return `create or replace trigger ringtail_outbox after insert or update or delete on ${table} for each row execute function ${WRITER}(${told});
create or replace trigger ringtail_outbox_truncate after truncate on ${table} for each statement execute function ${WRITER}(${told});`
}

/** SQL that ends it. @param table quoted */
export function noOutboxTriggers(table: string): string {
  return `drop trigger if exists ringtail_outbox on ${table}; drop trigger if exists ringtail_outbox_truncate on ${table};`
}

/** SQL that removes the outbox, once no table has triggers that write to it. */
export function noOutboxTable(): string {
  return `drop function if exists ${WRITER}(); drop table if exists ${OUTBOX};`
}

/** Takes entries, oldest first, out of the transaction's view. $1 how many → table, key, version, op, ms since the epoch; null key: all. */
export const TAKE_ENTRIES = `with taken as (
  delete from ${OUTBOX} where id in (select id from ${OUTBOX} order by id limit $1 for update skip locked)
  returning id, "table", key, version, op, at
)
select "table", key, version::text, op, (extract(epoch from at) * 1000)::text from taken order by id`

/** @throws ConfigurationError for what is no column's name */
export function checkedColumn(name: string, what: string): string {
  quotedName(name, what)
  return name
}
