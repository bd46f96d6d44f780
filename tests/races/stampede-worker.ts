/**
 * One process of a stampede: many callers at once ask for one key, whose loader counts itself where all processes see it.
 */
import { Redis } from 'ioredis'
import { type Cache, cacheAside, createTier, redisNode, type Tier } from '../../src/index.ts'
import { sharedMs } from '../../src/testing/index.ts'
import { answerOrders } from '../support/forked-worker.ts'
import type { RaceSetting } from './race-messages.ts'

export type StampedeOrder =
  | { readonly do: 'open'; readonly process: number; readonly nodes: RaceSetting['nodes']; readonly loads: string }
  /** Answers the distinct values that came. */
  | { readonly do: 'get'; readonly key: string; readonly callers: number; readonly loaderMs: number; readonly ttlMs: number }

/** One line a load: who, and when by the shared clock. */
export const LOADS = 'stampede:loads'

/** What one load may take; nothing else here is about deadlines. */
export const LOAD_WITHIN_MS = 2_000
const PATIENT = { call: '20s', try: '10s', load: LOAD_WITHIN_MS } as const

let opened: { readonly tier: Tier; readonly cache: Cache<string>; readonly loads: Redis; readonly process: number } | undefined

async function open({ process, nodes, loads }: Extract<StampedeOrder, { do: 'open' }>): Promise<void> {
  const tier = await createTier({ nodes: nodes.map(({ id, url }) => redisNode(url, { id, timeout: '10s' })), replicas: 3 })
  const cache = tier.cache<string>('stampede', { strategy: cacheAside(), ttl: '1m', jitter: 0, deadlines: PATIENT })
  opened = { tier, cache, loads: new Redis(loads), process }
}

async function get({ key, callers, loaderMs, ttlMs }: Extract<StampedeOrder, { do: 'get' }>): Promise<string[]> {
  const { cache, loads, process } = opened!
  const load = async (): Promise<string> => {
    await loads.rpush(LOADS, `${process} ${sharedMs()}`)
    await new Promise((resolve) => setTimeout(resolve, loaderMs))
    return `loaded by ${process}`
  }
  const values = await Promise.all(Array.from({ length: callers }, () => cache.getOrSet(key, load, { ttl: ttlMs })))
  return [...new Set(values)]
}

answerOrders<StampedeOrder>(
  (order) => (order.do === 'open' ? open(order) : get(order)),
  async () => {
    opened?.loads.disconnect()
    await opened?.tier.close()
  },
)
