/**
 * What a database needs before its changes can be captured: made by one call, taken down by another, and looked at by a third.
 *
 * Each says what it did, a line each, and may be called again: what is there already is left, and what is missing is made. The slot comes
 * last, for a slot that is older than its publication cannot be read. It is made under the name of a fresh one (`slot.ts`): who follows gives
 * it its own once it has emptied the caches, for nobody here can say what they hold from before.
 */
import { systemClock } from '../clock.ts'
import { ConfigurationError, type RingtailError, StoreError } from '../errors.ts'
import { knownOptions } from '../options.ts'
import { booleanOr } from '../store/checked-options.ts'
import { quotedName, quotedTable } from '../store/identifier.ts'
import { postgresVersionTrigger } from '../store/postgres-table.ts'
import { CAPTURE_NAME, checkedDatabase, slotName } from './capture-options.ts'
import { checkedColumn, noOutboxTable, noOutboxTriggers, OUTBOX, outboxTable, outboxTriggers } from './outbox.ts'
import { hasOutboxTriggers } from './outbox-writing.ts'
import { askRows, type DatabaseConfig, endClient, type PgClient, pgClient, sqlStateOf } from './pg-client.ts'
import { createSlot, dropSlot, freshName, IN_USE, slotState } from './slot.ts'

export interface PrepareOptions {
  readonly database: DatabaseConfig
  /** `products`, `shop.orders`: as they are spelt in the database. Of `takeDownCapture`: default all. */
  readonly tables?: readonly string[] | undefined
  /** Default `ringtail`. */
  readonly slot?: string | undefined
  /** Default `ringtail`. */
  readonly publication?: string | undefined
  /** An outbox with triggers, instead of a publication and a slot. Default false. */
  readonly outbox?: boolean | undefined
  /** The key column, where it is not the primary key. */
  readonly key?: string | undefined
  /** The version column; false for tables without. Default `version`, where a table has one. */
  readonly version?: string | false | undefined
  /** Gives each table the trigger that raises the version of a row whoever changes it. Default false. */
  readonly versionTrigger?: boolean | undefined
  /** Has deletes and changes of tags tell the old row whole, at the cost of a larger log. Default false. */
  readonly fullIdentity?: boolean | undefined
}

export interface CapturePreparation {
  readonly walLevel: string
  readonly publication: { readonly name: string; readonly tables: readonly string[] } | undefined
  /** `…_fresh`: nobody has followed yet. */
  readonly slot:
    | { readonly name: string; readonly active: boolean; readonly walStatus: string | undefined; readonly walBytes: number | undefined }
    | undefined
  /** Entries that wait; undefined: there is no outbox. */
  readonly outbox: number | undefined
}

const NAMES = ['database', 'tables', 'slot', 'publication', 'outbox', 'key', 'version', 'versionTrigger', 'fullIdentity']

const LEAVE_TRIES = 20
const LEAVE_PAUSE_S = 0.1

interface TableShape {
  readonly quoted: string
  readonly name: string
  readonly key: string
  readonly version: string | undefined
}

/** Prepares a database for `tier.captureChanges`. @returns what was done, a line each @throws ConfigurationError, StoreError */
export async function setUpCapture(options: PrepareOptions): Promise<string[]> {
  const { slot, publication, outbox } = checked(options, 'setUpCapture')
  if (options.tables === undefined || options.tables.length === 0)
    throw ConfigurationError.of('setUpCapture: tables', "names of tables, such as ['products']", options.tables)
  return withClient(options.database, async (client) => {
    const said: string[] = []
    if (!outbox) await checkReplication(client)
    const shapes: TableShape[] = []
    for (const table of options.tables!) shapes.push(await shapeOf(client, table, options))
    for (const shape of shapes) await prepareTable(client, shape, options, said)
    if (outbox) await makeOutbox(client, shapes, said)
    else {
      await makePublication(client, publication, shapes, said)
      await makeSlot(client, slot, said)
    }
    return said
  })
}

/** Takes down what `setUpCapture` made, but for version triggers and replica identities. @returns what was done, a line each */
export async function takeDownCapture(options: PrepareOptions): Promise<string[]> {
  const { slot, publication, outbox } = checked(options, 'takeDownCapture')
  return withClient(options.database, async (client) => {
    const said: string[] = []
    if (outbox) {
      await removeOutbox(client, options.tables, said)
      return said
    }
    for (const name of [slot, freshName(slot)]) {
      if (await dropLeftSlot(client, name)) said.push(`slot ${name} dropped`)
    }
    const [there] = await askRows(client, 'select 1::text from pg_publication where pubname = $1', [publication])
    if (there !== undefined) {
      await askRows(client, `drop publication ${quotedName(publication, 'takeDownCapture: publication')}`)
      said.push(`publication ${publication} dropped`)
    }
    if (said.length === 0) said.push('nothing was there')
    return said
  })
}

/** What there is in a database. */
export async function captureStatus(options: PrepareOptions): Promise<CapturePreparation> {
  const { slot, publication } = checked(options, 'captureStatus')
  return withClient(options.database, async (client) => {
    const [level] = await askRows(client, "select current_setting('wal_level')")
    const published = await askRows(
      client,
      "select schemaname || '.' || tablename from pg_publication_tables where pubname = $1 order by 1",
      [publication],
    )
    const [isPublished] = await askRows(client, 'select 1::text from pg_publication where pubname = $1', [publication])
    const [found] = await askRows(
      client,
      `select active::text, wal_status, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::text, slot_name
       from pg_replication_slots where slot_name in ($1, $2) order by length(slot_name)`,
      [slot, freshName(slot)],
    )
    const [there] = await askRows(client, 'select to_regclass($1)::text', [OUTBOX])
    const [waiting] = there![0] === null ? [] : await askRows(client, `select count(*)::text from ${OUTBOX}`)
    return {
      walLevel: level![0]!,
      publication: isPublished === undefined ? undefined : { name: publication, tables: published.map(([name]) => name!) },
      slot:
        found === undefined
          ? undefined
          : {
              name: found[3]!,
              active: found[0] === 'true',
              walStatus: found[1] ?? undefined,
              walBytes: found[2] === null ? undefined : Number(found[2]),
            },
      outbox: waiting === undefined ? undefined : Number(waiting[0]),
    }
  })
}

function checked(options: PrepareOptions, what: string) {
  knownOptions(options, what, NAMES)
  checkedDatabase(options.database, `${what}: database`)
  return {
    slot: slotName(options.slot ?? CAPTURE_NAME, `${what}: slot`),
    publication: slotName(options.publication ?? CAPTURE_NAME, `${what}: publication`),
    outbox: booleanOr(false, options.outbox, `${what}: outbox`),
  }
}

async function withClient<T>(database: DatabaseConfig, work: (client: PgClient) => Promise<T>): Promise<T> {
  const client = pgClient(database)
  try {
    await client.connect()
    return await work(client)
  } catch (thrown) {
    throw explained(thrown)
  } finally {
    await endClient(client, systemClock)
  }
}

/** What a database refused, with what to do about it. */
function explained(thrown: unknown): RingtailError {
  if (thrown instanceof ConfigurationError || thrown instanceof StoreError) return thrown
  const { message } = thrown as Error
  if (sqlStateOf(thrown) === undefined)
    return new StoreError(`capture: needs a database that can be reached, but got: ${message}`, { cause: thrown })
  const state = sqlStateOf(thrown)
  const advice =
    state === '42501'
      ? ': needs a role that owns the tables and may replicate (alter role … replication)'
      : state === '53400'
        ? ': needs a free replication slot: raise max_replication_slots, or drop one that nobody uses'
        : ''
  return new StoreError(`capture: the database says: ${message}${advice}`, { cause: thrown })
}

async function checkReplication(client: PgClient): Promise<void> {
  const [row] = await askRows(
    client,
    "select current_setting('wal_level'), (rolsuper or rolreplication)::text, current_user from pg_roles where rolname = current_user",
  )
  const [level, mayReplicate, user] = row!
  if (level !== 'logical')
    throw new ConfigurationError(
      `capture: needs wal_level = logical, but got: ${level}. Run 'alter system set wal_level = logical' and restart the server; or use the outbox (--outbox)`,
    )
  if (mayReplicate !== 'true')
    throw new ConfigurationError(
      `capture: needs a role that may replicate, but got: ${user}. Run 'alter role ${user} replication' as a superuser`,
    )
}

/** @throws ConfigurationError for a table that is not there, or has no key that can be told */
async function shapeOf(client: PgClient, name: string, { key, version, outbox }: PrepareOptions): Promise<TableShape> {
  const quoted = quotedTable(name, 'capture: table')
  const [place] = await askRows(client, 'select to_regclass($1)::oid::text', [quoted])
  const oid = place![0]
  if (oid === null) throw new ConfigurationError(`capture: table '${name}': needs to be in the database, but is not`)
  const columns = await askRows(
    client,
    `select a.attname, exists (
       select from pg_index i where i.indrelid = a.attrelid and i.indisprimary and a.attnum = any(i.indkey)
     )::text from pg_attribute a where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped`,
    [oid],
  )
  const primary = columns.flatMap(([column, isPrimary]) => (isPrimary === 'true' ? [column!] : []))
  if (primary.length === 0 && key === undefined)
    throw new ConfigurationError(`capture: table '${name}': needs a primary key, but has none: add one, or name its key column (--key)`)
  if (primary.length > 1 && key === undefined && outbox === true)
    throw new ConfigurationError(
      `capture: table '${name}': needs a key of one column, but its primary key is of ${primary.join(', ')}: name the column that is the cache's key (--key)`,
    )
  const has = (column: string): boolean => columns.some(([each]) => each === column)
  for (const column of [key, version])
    if (typeof column === 'string' && !has(column))
      throw new ConfigurationError(`capture: table '${name}': needs the column '${column}', but does not have it`)
  return {
    quoted,
    name,
    key: checkedColumn(key ?? primary[0]!, 'capture: key'),
    version: version === false || !has(version ?? 'version') ? undefined : checkedColumn(version ?? 'version', 'capture: version'),
  }
}

async function prepareTable(client: PgClient, shape: TableShape, options: PrepareOptions, said: string[]): Promise<void> {
  const { quoted, name, key, version } = shape
  if (options.versionTrigger === true) {
    if (version === undefined)
      throw new ConfigurationError(`capture: table '${name}': needs a version column for a version trigger, but has none`)
    await client.query(postgresVersionTrigger({ table: name, key, version }))
    said.push(`table ${name}: rows get a higher version with every change (trigger)`)
  }
  if (options.fullIdentity === true) {
    // Not passed on to partitions by the database.
    const leaves = await askRows(client, 'select relid::regclass::text from pg_partition_tree(to_regclass($1)) where isleaf', [quoted])
    for (const table of new Set([quoted, ...leaves.map(([leaf]) => leaf!)]))
      await client.query(`alter table ${table} replica identity full`)
    said.push(`table ${name}: replica identity full`)
  }
}

async function makePublication(client: PgClient, publication: string, shapes: readonly TableShape[], said: string[]): Promise<void> {
  const name = quotedName(publication, 'setUpCapture: publication')
  const [there] = await askRows(client, 'select 1::text from pg_publication where pubname = $1', [publication])
  if (there === undefined) {
    await client.query(
      `create publication ${name} for table ${shapes.map(({ quoted }) => quoted).join(', ')} with (publish_via_partition_root = true)`,
    )
    said.push(`publication ${publication} made: ${shapes.map((shape) => shape.name).join(', ')}`)
    return
  }
  // Else a row of a partition is told as one of another table.
  await client.query(`alter publication ${name} set (publish_via_partition_root = true)`)
  for (const shape of shapes) {
    const [has] = await askRows(
      client,
      'select 1::text from pg_publication_rel r join pg_publication p on p.oid = r.prpubid where p.pubname = $1 and r.prrelid = to_regclass($2)',
      [publication, shape.quoted],
    )
    if (has !== undefined) continue
    await client.query(`alter publication ${name} add table ${shape.quoted}`)
    said.push(`publication ${publication}: table ${shape.name} added`)
  }
}

async function makeSlot(client: PgClient, slot: string, said: string[]): Promise<void> {
  const fresh = freshName(slot)
  if ((await slotState(client, slot)) === 'missing' && (await slotState(client, fresh)) === 'missing') {
    await createSlot(client, fresh)
    said.push(`slot ${fresh} made, which becomes ${slot}: the database keeps its log for it from now on, until a follower has read it`)
  }
  const [row] = await askRows(client, "select current_setting('max_slot_wal_keep_size')")
  if (row![0] === '-1') said.push("note: max_slot_wal_keep_size is unlimited: set it, for times at which no follower runs (such as '4GB')")
  if (said.length === 0) said.push('all was there')
}

async function makeOutbox(client: PgClient, shapes: readonly TableShape[], said: string[]): Promise<void> {
  await client.query(outboxTable())
  for (const { quoted, key, version, name } of shapes) {
    if (await hasOutboxTriggers(client, quoted, key, version)) continue
    await client.query(outboxTriggers(quoted, key, version))
    said.push(`table ${name}: changes are written to ${OUTBOX} (triggers)`)
  }
  if (said.length === 0) said.push('all was there')
}

async function removeOutbox(client: PgClient, tables: readonly string[] | undefined, said: string[]): Promise<void> {
  const quoted = tables?.map((table) => quotedTable(table, 'takeDownCapture: table')) ?? (await tablesWithTriggers(client))
  for (const table of quoted) {
    await client.query(noOutboxTriggers(table))
    said.push(`table ${table}: changes are not written to ${OUTBOX} any more`)
  }
  const left = await tablesWithTriggers(client)
  if (left.length > 0) return
  await client.query(noOutboxTable())
  said.push(`table ${OUTBOX} dropped`)
}

async function tablesWithTriggers(client: PgClient): Promise<string[]> {
  const rows = await askRows(client, "select tgrelid::regclass::text from pg_trigger where tgname = 'ringtail_outbox' and not tgisinternal")
  return rows.map(([name]) => name!)
}

/** The database takes a moment to notice that a follower has left. @returns whether there was one @throws StoreError while one follows */
async function dropLeftSlot(client: PgClient, slot: string): Promise<boolean> {
  for (let tried = 1; ; tried++) {
    try {
      return await dropSlot(client, slot)
    } catch (thrown) {
      if (sqlStateOf(thrown) !== IN_USE) throw thrown
      if (tried === LEAVE_TRIES)
        throw new StoreError(`capture: slot '${slot}': needs its followers to be stopped first: one is following`, { cause: thrown })
      await askRows(client, `select pg_sleep(${LEAVE_PAUSE_S})`)
    }
  }
}
