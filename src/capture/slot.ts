/**
 * The place that a follower has in the database's log: a replication slot, which keeps what is yet to be told.
 *
 * A slot that is gone, or whose log was let go of, is made anew, and what was missed is made up for by emptying the caches. In this order:
 * a slot under another name, then the caches, then the slot's own name as a copy of the first. So whoever finds a slot of the right name
 * knows that nothing since its beginning is missing, at whatever step another was killed; and only a follower gives it that name.
 */
import { ConfigurationError } from '../errors.ts'
import { askRows, type PgClient, sqlStateOf } from './pg-client.ts'

/** `taken`: another follows, or is making it. */
export type SlotState = 'ready' | 'taken' | 'missing' | 'lost'

/** The first of two numbers of an advisory lock: 'ring'. The second is the slot's name's. */
const LOCK = 0x72696e67
/** And of those by which a follower says which tables it tells: 'ritb'. The second is the slot's and the table's name's. */
const TABLES_LOCK = 0x72697462
export const IN_USE = '55006'
/** It waits for the transactions that are open. */
const MADE_WITHIN_MS = 60_000

/** Which database it is, as a replication connection says it: its system's and timeline's number. A place in its log is of it alone. */
export async function databaseIdentity(admin: PgClient): Promise<string> {
  // The name of a file of the log begins with its timeline, in eight hexadecimal digits.
  const [row] = await askRows(
    admin,
    `select (select system_identifier from pg_control_system())::text || '/' ||
       ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int::text`,
  )
  return row![0]!
}

/** @throws ConfigurationError for a slot of another database or kind */
export async function slotState(admin: PgClient, slot: string): Promise<SlotState> {
  return (await slotNow(admin, slot)).state
}

export interface SlotNow {
  readonly state: SlotState
  /** The server's process that sends the log to whoever follows. */
  readonly sender: string | null | undefined
}

/** @throws ConfigurationError for a slot of another database or kind */
export async function slotNow(admin: PgClient, slot: string): Promise<SlotNow> {
  const [row] = await askRows(
    admin,
    `select active::text, wal_status, plugin, (database = current_database())::text, to_jsonb(s) ->> 'invalidation_reason', active_pid::text
     from pg_replication_slots s where slot_name = $1`,
    [slot],
  )
  if (row === undefined) return { state: 'missing', sender: undefined }
  const [active, walStatus, plugin, isOurs, invalidated, sender] = row
  if (plugin !== 'pgoutput' || isOurs !== 'true')
    throw new ConfigurationError(
      `capture: slot '${slot}': needs to be one of pgoutput on this database, but got: another's; give it another name`,
    )
  if (active === 'true') return { state: 'taken', sender }
  return { state: walStatus === 'lost' || invalidated !== null ? 'lost' : 'ready', sender: undefined }
}

/** Whether there is a fresh slot that waits for its first follower. */
export async function isPrepared(admin: PgClient, slot: string): Promise<boolean> {
  return (await slotState(admin, freshName(slot))) === 'ready'
}

/** Runs `work` if nobody else does for this slot. @returns undefined if somebody does */
export async function alone<T>(admin: PgClient, slot: string, work: () => Promise<T>): Promise<T | undefined> {
  const [row] = await askRows(admin, 'select pg_try_advisory_lock($1, hashtext($2))::text', [LOCK, slot])
  if (row![0] !== 'true') return undefined
  try {
    return await work()
  } finally {
    await askRows(admin, 'select pg_advisory_unlock($1, hashtext($2))', [LOCK, slot]).catch(() => {})
  }
}

/**
 * Makes the slot anew; to be called alone. @param empty makes up for what was missed: called at once, for the making waits for the transactions
 * that are open, and again when there is a slot @returns false when another follows by it after all
 */
export async function remakeSlot(admin: PgClient, slot: string, empty: () => Promise<void>): Promise<boolean> {
  const fresh = freshName(slot)
  try {
    await dropSlot(admin, slot)
  } catch (thrown) {
    if (sqlStateOf(thrown) === IN_USE) return false
    throw thrown
  }
  // Where a fresh one is there (of `up`, or of who was killed at this) it does as well: it is older than the emptying that follows.
  if ((await slotState(admin, fresh)) !== 'ready') {
    await empty()
    await dropSlot(admin, fresh)
    await createSlot(admin, fresh)
  }
  try {
    await empty()
    await askRows(admin, 'select pg_copy_logical_replication_slot($1, $2)', [fresh, slot])
  } finally {
    // Left behind it would keep the log for nobody.
    await dropSlot(admin, fresh)
  }
  return true
}

/** SQL by which the connection that follows says which tables it tells, for as long as it lives. @param tables `schema.table` */
export function tableLocks(slot: string, tables: readonly string[]): string {
  const names = tables.map((table) => `'${`${slot}/${table}`.replaceAll("'", "''")}'`)
  return `select pg_advisory_lock_shared(${TABLES_LOCK}, hashtext(name)) from unnest(array[${names.join(', ')}]) name`
}

/** Which of these tables are not told by whoever follows now, if anybody does. */
export async function untoldTables(admin: PgClient, slot: string, tables: readonly string[]): Promise<string[]> {
  const rows = await askRows(
    admin,
    `select name from unnest($1::text[]) name join pg_replication_slots s on s.slot_name = $2 and s.active
     where not exists (select from pg_locks l where l.locktype = 'advisory' and l.pid = s.active_pid and l.granted
       and l.classid = ${TABLES_LOCK} and l.objsubid = 2 and l.objid::bigint = (hashtext($2 || '/' || name)::bigint & 4294967295))`,
    [tables, slot],
  )
  return rows.map(([name]) => name!)
}

export async function createSlot(admin: PgClient, slot: string): Promise<void> {
  await askRows(admin, "select pg_create_logical_replication_slot($1, 'pgoutput')", [slot], MADE_WITHIN_MS)
}

/** @returns whether there was one */
export async function dropSlot(admin: PgClient, slot: string): Promise<boolean> {
  const dropped = await askRows(admin, 'select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [slot])
  return dropped.length > 0
}

/** The name of a slot in the making. */
export function freshName(slot: string): string {
  return `${slot}_fresh`
}
