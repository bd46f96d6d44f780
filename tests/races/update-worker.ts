/**
 * One process of a race of updates: many callers at once add to one counter, each again until it was acknowledged.
 */
import pg from 'pg'
import { type Cache, ConflictError, cacheAside, createTier, postgresStore, redisNode, type Tier, writeThrough } from '../../src/index.ts'
import { answerOrders } from '../support/forked-worker.ts'
import type { RaceSetting } from './race-messages.ts'

export type UpdateOrder =
  | { readonly do: 'open'; readonly nodes: RaceSetting['nodes']; readonly database: string }
  | { readonly do: 'increment'; readonly cache: string; readonly key: string; readonly callers: number; readonly each: number }
  | { readonly do: 'read'; readonly cache: string; readonly key: string }

export interface Increments {
  readonly acknowledged: number
  /** What came back with another error than a conflict: it may have been counted. */
  readonly unclear: readonly string[]
  readonly conflicts: number
}

export interface Cart {
  readonly count: number
}

export const CARTS_TABLE = 'race_carts'
/** Of one increment: each is 16 tries of the cache's own. */
const MOST_CONFLICTS = 1_000
const PATIENT = { call: '20s', try: '10s', load: '20s' } as const

let opened: { readonly tier: Tier; readonly caches: Readonly<Record<string, Cache<Cart>>>; readonly pool: pg.Pool } | undefined

async function open({ nodes, database }: Extract<UpdateOrder, { do: 'open' }>): Promise<void> {
  const pool = new pg.Pool({ connectionString: database, max: 12 })
  pool.on('error', () => {})
  const tier = await createTier({ nodes: nodes.map(({ id, url }) => redisNode(url, { id, timeout: '10s' })), replicas: 3 })
  const strategies = { 'write-through': writeThrough<Cart>(postgresStore({ pool, table: CARTS_TABLE })), 'cache-aside': cacheAside<Cart>() }
  const caches = Object.entries(strategies).map(
    ([name, strategy]) => [name, tier.cache<Cart>(name, { strategy, ttl: '1h', deadlines: PATIENT })] as const,
  )
  opened = { tier, pool, caches: Object.fromEntries(caches) }
}

async function increment({ cache, key, callers, each }: Extract<UpdateOrder, { do: 'increment' }>): Promise<Increments> {
  const cart = opened!.caches[cache]!
  const unclear: string[] = []
  let [acknowledged, conflicts] = [0, 0]
  const once = async (): Promise<void> => {
    for (let tried = 0; tried < MOST_CONFLICTS; tried++) {
      try {
        await cart.update(key, (current) => ({ count: (current?.count ?? 0) + 1 }))
        acknowledged++
        return
      } catch (error) {
        if (error instanceof ConflictError) conflicts++
        else {
          unclear.push(String(error))
          return
        }
      }
    }
  }
  const caller = async (): Promise<void> => {
    for (let nth = 0; nth < each; nth++) await once()
  }
  await Promise.all(Array.from({ length: callers }, caller))
  return { acknowledged, unclear, conflicts }
}

answerOrders<UpdateOrder>(
  async (order) => {
    if (order.do === 'open') return open(order)
    if (order.do === 'increment') return increment(order)
    return (await opened!.caches[order.cache]!.get(order.key))?.count
  },
  async () => {
    await opened?.tier.close()
    await opened?.pool.end()
  },
)
