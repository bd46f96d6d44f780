/**
 * BentoCache with Redis as its only layer, as its page on drivers sets that up (through ioredis 5, which it brings as its peer); its memory layer
 * alone, which is compared with a near cache; and both.
 */
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisDriver } from 'bentocache/drivers/redis'
import type { Contestant, Ground, Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'

const MEMORY = { packages: ['bentocache'], page: 'https://bentocache.dev/docs/cache-drivers#memory' }

/** Its memory layer alone, as its page on drivers sets that up: values are kept as JSON, and parsed by each hit. */
export const bentoCacheMemory: Peer = { ...MEMORY, name: 'bentocache-memory', open: (ground) => inMemory(ground, {}) }

/** With the option of that page that keeps the objects themselves: whoever changes one changes everybody's. */
export const bentoCacheMemoryShared: Peer = {
  ...MEMORY,
  name: 'bentocache-memory-shared',
  open: (ground) => inMemory(ground, { serialize: false }),
}

async function inMemory({ ttlMs, room }: Ground, options: { readonly serialize?: false }): Promise<Contestant> {
  const layer = memoryDriver({ maxItems: room, ...options })
  const bento = new BentoCache({ default: 'memory', stores: { memory: bentostore().useL1Layer(layer) } })
  return {
    get: (key) => bento.get<Product>({ key }),
    set: (key, value) => bento.set({ key, value, ttl: ttlMs }),
    close: () => bento.disconnectAll(),
  }
}

export const bentoCache: Peer = {
  name: 'bentocache',
  packages: ['bentocache', 'ioredis'],
  page: 'https://bentocache.dev/docs/cache-drivers#redis',
  open: async (ground) => {
    const stores = { redis: bentostore().useL2Layer(redisLayer(ground)) }
    return contestantOf(new BentoCache({ default: 'redis', stores }), ground)
  },
}

export const bentoCacheOnTwo: Peer = {
  name: 'bentocache-on-two',
  packages: ['bentocache', 'ioredis'],
  page: 'https://bentocache.dev/docs/multi-tier',
  open: async (ground) => {
    const stores = {
      tiers: bentostore()
        .useL1Layer(memoryDriver({ maxItems: ground.room }))
        .useL2Layer(redisLayer(ground)),
    }
    return contestantOf(new BentoCache({ default: 'tiers', stores }), ground)
  },
}

function redisLayer({ urls }: Ground) {
  const { hostname, port } = new URL(urls[0]!)
  return redisDriver({ connection: { host: hostname, port: Number(port) } })
}

/** What both of its stores with Redis offer; it has no call for many keys. */
function contestantOf(bento: BentoCache<Record<string, ReturnType<typeof bentostore>>>, { ttlMs }: Ground): Contestant {
  return {
    get: (key) => bento.get<Product>({ key }),
    set: (key, value) => bento.set({ key, value, ttl: ttlMs }),
    getOrSet: (key, load, ms) => bento.getOrSet({ key, factory: load, ttl: ms }),
    close: () => bento.disconnectAll(),
  }
}
