/**
 * BentoCache with Redis as its only layer, as its page on drivers sets that up (through ioredis 5, which it brings as its peer).
 *
 * Its two-tier set-up answers from the process's own memory; that is a near cache, and its memory layer is compared with one.
 */
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisDriver } from 'bentocache/drivers/redis'
import type { Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'

/** Room for all products: by default it keeps 1,000. */
const ROOM = 20_000

/** Its memory layer alone, as its page on drivers sets that up. */
export const bentoCacheMemory: Peer = {
  name: 'bentocache-memory',
  packages: ['bentocache'],
  page: 'https://bentocache.dev/docs/cache-drivers#memory',
  async open({ ttlMs }) {
    const bento = new BentoCache({ default: 'memory', stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: ROOM })) } })
    return {
      get: (key) => bento.get<Product>({ key }),
      set: (key, value) => bento.set({ key, value, ttl: ttlMs }),
      close: () => bento.disconnectAll(),
    }
  },
}

export const bentoCache: Peer = {
  name: 'bentocache',
  packages: ['bentocache', 'ioredis'],
  page: 'https://bentocache.dev/docs/cache-drivers#redis',
  async open({ urls, ttlMs }) {
    const { hostname, port } = new URL(urls[0]!)
    const bento = new BentoCache({
      default: 'redis',
      stores: { redis: bentostore().useL2Layer(redisDriver({ connection: { host: hostname, port: Number(port) } })) },
    })
    return {
      get: (key) => bento.get<Product>({ key }),
      set: (key, value) => bento.set({ key, value, ttl: ttlMs }),
      getOrSet: (key, load, ms) => bento.getOrSet({ key, factory: load, ttl: ms }),
      close: () => bento.disconnectAll(),
    }
  },
}
