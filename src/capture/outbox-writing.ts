/**
 * Whether the changes of a table are written to the outbox, in the way in which a capture reads them there.
 *
 * Nothing in an empty outbox says why it is empty: nobody changes the table, its triggers were never made, tell another column than the one
 * that the capture takes for the key, or were switched off this morning. So the triggers themselves are looked at, before the outbox is
 * believed and again with each reading. What is seen of them is a text: another text is another trigger, and in between some changes may not
 * have been written.
 */
import { ConfigurationError } from '../errors.ts'
import type { TextRow } from '../store/postgres-query.ts'
import { type CapturedTable, PADDED_TYPE } from './captured-table.ts'
import { OUTBOX_TRIGGER, OUTBOX_WRITER } from './outbox.ts'
import { askRows, type PgClient } from './pg-client.ts'

/** $1 tables, $2 their key columns, $3 the trigger, $4 its function → a row a table, in order; the last value is the same in all. */
const LOOK = `select c.relispartition::text, g.enabled::text, g.args, g.seen, (
    select count(*) from pg_partition_tree(c.oid) t join pg_trigger l on l.tgrelid = t.relid and l.tgname = $3 where l.tgenabled <> 'A'
  )::text, (
    select coalesce(nullif(y.typbasetype, 0), y.oid)::text from pg_attribute a join pg_type y on y.oid = a.atttypid
    where a.attrelid = c.oid and a.attname = i.key and not a.attisdropped
  ), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
from unnest($1::text[], $2::text[]) with ordinality i(name, key, nth) left join pg_class c on c.oid = to_regclass(i.name)
left join lateral (
  select bool_and(t.tgenabled = 'A') as enabled, max(encode(t.tgargs, 'hex')) filter (where t.tgname = $3) as args,
    string_agg(t.oid || '/' || t.xmin, ' ' order by t.tgname) as seen
  from pg_trigger t join pg_proc p on p.oid = t.tgfoid
  where t.tgrelid = c.oid and p.proname = $4 and t.tgname in ($3, $3 || '_truncate') having count(*) = 2
) g on true
order by i.nth`

/**
 * Looks at the triggers of the tables, and notes of each table how its keys are told.
 * @returns what was seen, and in which timeline of the database: where that changes, changes may have been missed
 * @throws ConfigurationError for a table whose changes are not told, or not as the capture needs them
 */
export async function outboxWriting(client: PgClient, tables: readonly CapturedTable[]): Promise<string> {
  const names = tables.map(({ quoted }) => quoted)
  const keys = tables.map(({ keyColumn }) => keyColumn)
  const rows = await askRows(client, LOOK, [names, keys, OUTBOX_TRIGGER, OUTBOX_WRITER])
  return rows.map((row, at) => checkedWriting(tables[at]!, row)).join(', ')
}

/** Whether a table's triggers are just those that `outboxTriggers` would make. @param table quoted */
export async function hasOutboxTriggers(client: PgClient, table: string, key: string, version: string | undefined): Promise<boolean> {
  const [row] = await askRows(client, LOOK, [[table], [key], OUTBOX_TRIGGER, OUTBOX_WRITER])
  const [isPartition, areAlways, args, , leavesOff] = row!
  if (isPartition === 'true')
    throw new ConfigurationError(`capture: table ${table}: needs to be the partitioned table, but got: one of its partitions`)
  return areAlways === 'true' && leavesOff === '0' && args != null && columnsOf(args).join() === [key, version ?? ''].join()
}

function columnsOf(args: string): [key: string, version: string] {
  const [key = '', version = ''] = Buffer.from(args, 'hex').toString().split('\0')
  return [key, version]
}

function checkedWriting(table: CapturedTable, row: TextRow): string {
  const [isPartition, areAlways, args, seen, leavesOff, keyType, timeline] = row
  const refuse = (needs: string, got: string): never => {
    throw new ConfigurationError(
      `capture: table '${table.name}': needs ${needs}, but ${got}: run 'ringtail-capture up --outbox' for it, with the key and version of the capture`,
    )
  }
  if (isPartition === null) throw new ConfigurationError(`capture: table '${table.name}': needs to be in the database, but is not`)
  if (isPartition === 'true')
    throw new ConfigurationError(`capture: table '${table.name}': needs to be the partitioned table, but got: one of its partitions`)
  if (args === null || seen === null) refuse('triggers that write its changes to the outbox', 'does not have them')
  if (areAlways !== 'true' || leavesOff !== '0') refuse('its outbox triggers enabled always', 'some are not')
  const [key, version] = columnsOf(args!)
  if (key !== table.keyColumn) refuse(`the outbox to tell its key column '${table.keyColumn}'`, `it tells '${key}'`)
  if (table.versionColumn !== undefined && version !== '' && version !== table.versionColumn)
    refuse(`the outbox to tell its version column '${table.versionColumn}'`, `it tells '${version}'`)
  table.padsKeys = Number(keyType) === PADDED_TYPE
  return `${table.quoted} ${seen} ${timeline}`
}
