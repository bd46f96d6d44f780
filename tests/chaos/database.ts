/**
 * The sharded database behind every client: three databases, one table each, and the rows that are there before anybody writes.
 */
import pg from 'pg'
import { setUpCapture, takeDownCapture } from '../../src/capture/preparation.ts'
import { postgresStore, postgresTable, postgresVersionTrigger, type Store, shardedStore } from '../../src/index.ts'
import { type Operation, sharedMs } from '../../src/testing/index.ts'
import { CHANGING_KEYS, changingKey, STEADY_KEYS, steadyKey } from './chaos-plan.ts'

/** What a row holds: its own key, so that an answer to another question shows; and a value that names its write. */
export interface Held {
  readonly k: string
  readonly v: number
  readonly pad: string
}

export const SHARDS = ['shard_0', 'shard_1', 'shard_2'] as const
export const TABLE = 'chaos'
const REMOVALS = 'chaos_removals'
/** Bytes that make an entry as large as a small product. */
export const PAD = 'x'.repeat(200)
/** A shard, for who seeds and who looks. */
const CONNECTIONS = 2
/** Who seeded, and who looks at the end, in the history. */
export const DATABASE_PROCESS = 9

export interface Database {
  readonly store: Store<Held>
  /** Opens every connection that may be had, so that a burst does not wait for them. */
  connect(): Promise<void>
  close(): Promise<void>
}

/** @param urls of the shards, in their order @param concurrency calls under way at once, a shard; default: as many as there are connections */
export function openDatabase(urls: readonly string[], config: pg.PoolConfig = {}, concurrency = config.max ?? CONNECTIONS): Database {
  const pools = urls.map((connectionString) => new pg.Pool({ connectionString, max: CONNECTIONS, ...config }))
  for (const pool of pools) pool.on('error', () => {})
  const shards = pools.map((pool, nth) => ({ id: SHARDS[nth]!, store: postgresStore<Held>({ pool, table: TABLE, removals: REMOVALS }) }))
  return {
    store: shardedStore(shards, { concurrency }),
    connect: async () => {
      const connecting = pools.flatMap((pool) => Array.from({ length: pool.options.max }, () => pool.connect()))
      for (const settled of await Promise.allSettled(connecting)) if (settled.status === 'fulfilled') settled.value.release()
    },
    close: async () => void (await Promise.all(pools.map((pool) => pool.end()))),
  }
}

/** Makes the tables anew and fills them. @param captured whether their changes are to be captured @returns the writes */
export async function seedDatabase(urls: readonly string[], captured: boolean): Promise<Operation[]> {
  for (const connectionString of urls) {
    await takeDownCapture({ database: connectionString, slot: slotOf(connectionString) })
    const client = new pg.Client({ connectionString })
    await client.connect()
    await client.query(`drop table if exists ${TABLE}, ${REMOVALS}; ${postgresTable({ table: TABLE, removals: REMOVALS })}`)
    if (captured) await client.query(postgresVersionTrigger({ table: TABLE }))
    await client.end()
    if (captured) await setUpCapture({ database: connectionString, tables: [TABLE], slot: slotOf(connectionString) })
  }
  const database = openDatabase(urls)
  const keys = allKeys()
  const callMs = sharedMs()
  const statuses = await database.store.save(keys.map((key, v) => ({ key, value: { k: key, v, pad: PAD }, floor: 0n })))
  const returnMs = sharedMs()
  await database.close()
  const refused = statuses.find(({ state }) => state !== 'saved')
  if (refused !== undefined) throw new Error(`chaos: the database did not take its rows: ${JSON.stringify(refused)}`)
  return keys.map((key, value) => ({ process: DATABASE_PROCESS, key, kind: 'write', value, callMs, returnMs, outcome: 'ok' }))
}

/** All shards are on one server, and a slot's name is of the server. */
export function slotOf(url: string): string {
  return `chaos_${new URL(url).pathname.slice(1)}`
}

/** What the database has at the end, as reads that may not be old at all. */
export async function readDatabase(urls: readonly string[]): Promise<Operation[]> {
  const database = openDatabase(urls)
  const keys = allKeys()
  const callMs = sharedMs()
  const { rows, failed } = await database.store.load(keys)
  const returnMs = sharedMs()
  await database.close()
  if (failed !== undefined && failed.size > 0) throw new Error('chaos: the database did not answer at the end')
  const read = { process: DATABASE_PROCESS, kind: 'read', level: 'database', boundMs: 0, callMs, returnMs, outcome: 'ok' } as const
  return keys.map((key) => ({ ...read, key, value: rows.get(key)?.value?.v }))
}

export function allKeys(): string[] {
  return [
    ...Array.from({ length: STEADY_KEYS }, (_, nth) => steadyKey(nth)),
    ...Array.from({ length: CHANGING_KEYS }, (_, nth) => changingKey(nth)),
  ]
}
