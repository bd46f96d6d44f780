/**
 * What tests of captures by the log share: a server, a table of ten rows with its place, and services that capture it.
 */
import { after, before, type TestContext } from 'node:test'
import type pg from 'pg'
import type { Cache } from '../../src/caches/cache.ts'
import type { Capture, CapturedTableOptions, CaptureOptions } from '../../src/capture/capture.ts'
import { setUpCapture } from '../../src/capture/prepare-database.ts'
import { createTier, type Tier } from '../../src/create-tier.ts'
import type { EventName } from '../../src/events.ts'
import { memoryNode } from '../../src/node/memory-node.ts'
import type { CacheNode } from '../../src/node/node.ts'
import { postgresStore } from '../../src/store/postgres-store.ts'
import { postgresTable, postgresVersionTrigger } from '../../src/store/postgres-table.ts'
import { writeThrough } from '../../src/strategy/write-through.ts'
import { until } from '../../src/testing/live-redis.ts'
import { type RunningPostgres, startPostgres } from './postgres.ts'

export interface Item {
  n: number
  group?: string
}

export const LIVE = { timeout: 60_000 }
export const LOGICAL = { wal_level: 'logical', synchronous_commit: 'on', max_wal_senders: '20', max_replication_slots: '20' } as const

let postgres: RunningPostgres
let pool: pg.Pool
let grounds = 0

/** To be called once by a test file. @returns its server and a pool, once its tests run */
export function withPostgres() {
  before(async () => {
    postgres = await startPostgres({ settings: LOGICAL })
    pool = postgres.pool()
  })
  after(() => postgres.stop())
  return { postgres: () => postgres, pool: () => pool }
}

/** A table with ten rows, its slot and its publication, of one test. */
export async function ground({ trigger = true, full = false } = {}) {
  const table = `items_${++grounds}`
  await pool.query(postgresTable({ table }))
  if (trigger) await pool.query(postgresVersionTrigger({ table }))
  await pool.query(`insert into ${table} (key, value) select 'k' || i, jsonb_build_object('n', 0) from generate_series(1, 10) i`)
  const names = { slot: table, publication: table, database: postgres.url() }
  await setUpCapture({ ...names, tables: [table], fullIdentity: full })
  return { table, names, sql: (text: string) => pool.query(text.replaceAll('items', table)) }
}

export type Ground = Awaited<ReturnType<typeof ground>>

/** A process of its own, as far as a cache is. */
export async function service(
  t: TestContext,
  { table, names }: Ground,
  nodes: readonly CacheNode[] = ['a', 'b', 'c'].map((id) => memoryNode({ id })),
  storePool: pg.Pool = pool,
) {
  const tier: Tier = await createTier({ nodes })
  t.after(() => tier.close())
  const store = postgresStore<Item>({ pool: storePool, table })
  const cache: Cache<Item> = tier.cache<Item>('items', {
    strategy: writeThrough(store),
    ttl: '1h',
    tags: ({ group }) => (group === undefined ? [] : [group]),
  })
  const told: { name: EventName; reason?: string }[] = []
  for (const name of ['capture:started', 'capture:waiting', 'capture:lost', 'capture:failed', 'capture:lagging'] as const)
    tier.on(name, (payload) => void told.push({ name, ...('reason' in payload ? { reason: payload.reason } : {}) }))
  const capture = (of: Partial<CapturedTableOptions> = {}, options: Partial<CaptureOptions> = {}) =>
    tier.captureChanges({ ...names, tables: [{ table, cache, ...of }], every: 50, ...options })
  return { tier, cache, capture, told, nodes }
}

export async function hit(cache: Cache<Item>, key: string): Promise<Item | undefined> {
  await until(async () => ['hit', 'negative'].includes((await cache.getWithOutcome(key)).outcome))
  return cache.get(key)
}

/** From under whoever follows. */
export async function dropSlot({ table }: Ground): Promise<void> {
  await until(async () => {
    await pool.query('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [table])
    const dropped = await pool
      .query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active', [table])
      .catch(() => undefined)
    return dropped?.rowCount === 1
  })
}

/** What was committed within a second of the emptying with which a place begins belongs to what was emptied. */
export async function untilRefreshed(on: Ground, cache: Cache<Item>, capturing: Capture): Promise<void> {
  await until(async () => {
    await on.sql(`update items set version = version + 1 where key = 'k10'`)
    await capturing.caughtUp()
    return (await cache.getWithOutcome('k10')).outcome === 'hit'
  })
}
