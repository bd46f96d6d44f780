/**
 * The shards of the shop's database, and the one function that says which holds what.
 *
 * A shard is a schema `ringtail_shop` on a PostgreSQL server, with two pools: one for the shop's services and one for what is measured
 * beside them, so that measuring is not counted. The partitioning is the shop's own and has nothing to do with the cache's ring.
 */
import { crc32 } from 'node:zlib'
import pg from 'pg'
import { withoutPassword } from '../options.ts'
import { UsageError } from '../usage-error.ts'

export const SCHEMA = 'ringtail_shop'

/** @returns the shard, from 0, that holds the product, user, cart or order of this id */
export function shardOf(id: string, shards: number): number {
  // CRC-32 is linear: ids that differ in a digit could all agree in its low bits. MurmurHash3's finalizer spreads them.
  let hash = crc32(id)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) % shards
}

export interface Shard {
  readonly id: string
  /** For the services; its statements are counted. */
  readonly pool: pg.Pool
  /** For loading, measuring and reading back. */
  readonly aside: pg.Pool
  /** Statements made through `pool`. */
  readonly queries: () => number
}

const POOL_CONNECTIONS = 12
const STATEMENT_TIMEOUT_MS = 5_000

export function connectShards(urls: readonly string[]): Shard[] {
  return urls.map((url, index) => {
    const pool = new CountingPool({ ...settings(url), max: POOL_CONNECTIONS, statement_timeout: STATEMENT_TIMEOUT_MS })
    const aside = new pg.Pool({ ...settings(url), max: 4 })
    // A connection that is lost while idle is replaced by the pool; without a listener it would end the process.
    for (const each of [pool, aside]) each.on('error', () => {})
    return { id: `shard-${index}`, pool, aside, queries: () => pool.queries }
  })
}

export async function disconnectShards(shards: readonly Shard[]): Promise<void> {
  await Promise.all(shards.flatMap(({ pool, aside }) => [pool.end(), aside.end()]))
}

/** Makes sure that each database answers and is a different one. @throws UsageError */
export async function tryDatabases(urls: readonly string[]): Promise<void> {
  const seen = new Map<string, string>()
  for (const url of urls) {
    const client = new pg.Client(settings(url))
    client.on('error', () => {})
    try {
      await client.connect()
      // Two addresses of one server started at the same microsecond.
      const { rows } = await client.query('select pg_postmaster_start_time()::text || current_database() as identity')
      const identity = String(rows[0]?.identity)
      if (seen.has(identity))
        throw UsageError.of('--database', 'a database of its own for each shard', `${withoutPassword(url)}, which is ${seen.get(identity)}`)
      seen.set(identity, withoutPassword(url))
    } catch (error) {
      if (error instanceof UsageError) throw error
      throw UsageError.of(
        '--database',
        'databases that answer',
        `${withoutPassword(url)}: ${(error as Error).message || (error as NodeJS.ErrnoException).code}`,
      )
    } finally {
      await client.end().catch(() => {})
    }
  }
}

/** The ids of each shard, by shard. */
export function byShard<T>(items: readonly T[], idOf: (item: T) => string, shards: number): T[][] {
  const parts: T[][] = Array.from({ length: shards }, () => [])
  for (const item of items) parts[shardOf(idOf(item), shards)]!.push(item)
  return parts
}

function settings(url: string): pg.ClientConfig {
  return { connectionString: url, options: `-c search_path=${SCHEMA}`, connectionTimeoutMillis: 5_000, application_name: 'ringtail-shop' }
}

/** A pool that counts the statements made through it. */
class CountingPool extends pg.Pool {
  queries = 0

  // biome-ignore lint/suspicious/noExplicitAny: pg's own signature is a dozen overloads.
  override query(...args: any[]): any {
    this.queries++
    // biome-ignore lint/suspicious/noExplicitAny: see above.
    return (super.query as any)(...args)
  }
}
