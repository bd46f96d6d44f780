/**
 * One process's tier in a race: every raced cache on it, with stores that can be held.
 */
import type pg from 'pg'
import {
  type Cache,
  type CacheNode,
  cacheAside,
  createTier,
  postgresReader,
  postgresStore,
  readThrough,
  redisNode,
  type StrategyChoice,
  type Tier,
  writeAround,
  writeThrough,
} from '../../src/index.ts'
import { heldReader, heldStore, type StoreWatch } from './held-store.ts'
import { type RaceSetting, tableOf } from './race-messages.ts'
import { type RacedCache, tagOf } from './race-plan.ts'
import { weakened } from './weakened-node.ts'

/** A value names its write. */
export interface RacedValue {
  readonly v: number
}

/** Zones of the nodes, in turn, and of the processes. */
const ZONES = ['west', 'east', 'north'] as const

/** Nothing here is about deadlines: a busy machine is given time. */
const PATIENT = { call: '20s', try: '10s', load: '20s' } as const

export interface RacedTier {
  readonly tier: Tier
  readonly nodes: readonly CacheNode[]
  readonly caches: ReadonlyMap<string, Cache<RacedValue>>
}

/** @param watchOf how the store behind a cache is held */
export async function openRacedTier(
  { nodes: addresses, without, process }: Pick<RaceSetting, 'nodes' | 'without' | 'process'>,
  pool: pg.Pool,
  raced: readonly RacedCache[],
  watchOf: (cache: string) => StoreWatch,
): Promise<RacedTier> {
  const zoneOf = (nth: number): string => ZONES[nth % ZONES.length]!
  const plain = addresses.map(({ id, url }, nth) => redisNode(url, { id, zone: zoneOf(nth), timeout: '10s' }))
  const nodes = without === undefined ? plain : plain.map((node) => weakened(node, without))
  const tier = await createTier({ nodes, replicas: 3, zone: zoneOf(process) })
  const caches = raced.map(({ name, kind, writes, reads, near, tagged, times }) => {
    const strategy = strategyOf(kind, tableOf(name), pool, watchOf(name))
    const tags = tagged === true ? (_: RacedValue, key: string) => [tagOf(key)] : undefined
    const options = { ...times, strategy, near, tags, consistency: { writes, reads }, deadlines: PATIENT }
    return [name, tier.cache<RacedValue>(name, options)] as const
  })
  return { tier, nodes: plain, caches: new Map(caches) }
}

function strategyOf(kind: RacedCache['kind'], table: string, pool: pg.Pool, watch: StoreWatch): StrategyChoice<RacedValue> {
  if (kind === 'cache-aside') return cacheAside()
  if (kind === 'sql') {
    const query = `select key, value from ${table} where key = any($1)`
    const row = ({ value }: Record<string, unknown>) => value as RacedValue
    return readThrough(heldReader(postgresReader<RacedValue>({ pool, name: table, query, row }), watch))
  }
  const store = heldStore(postgresStore<RacedValue>({ pool, table }), watch)
  return kind === 'write-through' ? writeThrough(store) : writeAround(store)
}
