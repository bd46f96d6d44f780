/**
 * A process that changes what another one listens to: it writes, deletes, and deletes by tag, as it is told.
 */
import { type Cache, cacheAside, createTier, redisBus, redisNode, type Tier } from '../../src/index.ts'
import { answerOrders } from './forked-worker.ts'

export interface ChangingSetting {
  readonly urls: readonly string[]
  readonly busUrl: string | undefined
}

export type ChangingOrder =
  | { readonly do: 'open'; readonly setting: ChangingSetting }
  | { readonly do: 'set'; readonly keys: readonly string[]; readonly value: number; readonly tags?: readonly string[] }
  | { readonly do: 'delete'; readonly key: string }
  | { readonly do: 'deleteByTag'; readonly tag: string }
  | { readonly do: 'clear' }

/** It may share two cores with many others. */
const PATIENT = { call: '20s', try: '10s', load: '20s' } as const

/** One process's tier and its cache of numbers. */
export async function openNumbers({ urls, busUrl }: ChangingSetting): Promise<{ readonly tier: Tier; readonly cache: Cache<number> }> {
  const tier = await createTier({
    nodes: urls.map((url, at) => redisNode(url, { id: `n${at}`, timeout: '10s' })),
    bus: busUrl === undefined ? undefined : redisBus(busUrl, { connectTimeout: '5s' }),
    replicas: 3,
  })
  return { tier, cache: tier.cache<number>('numbers', { strategy: cacheAside(), ttl: '10m', jitter: 0, deadlines: PATIENT }) }
}

if (import.meta.main) {
  let opened: Awaited<ReturnType<typeof openNumbers>> | undefined
  answerOrders<ChangingOrder>(
    async (order) => {
      if (order.do === 'open') opened = await openNumbers(order.setting)
      const { cache } = opened!
      if (order.do === 'set') for (const key of order.keys) await cache.set(key, order.value, { tags: order.tags ?? [] })
      if (order.do === 'delete') await cache.delete(order.key)
      if (order.do === 'deleteByTag') await cache.deleteByTag(order.tag)
      if (order.do === 'clear') await cache.clear()
    },
    async () => void (await opened?.tier.close()),
  )
}
