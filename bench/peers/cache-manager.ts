/**
 * cache-manager on the stores of its quick start: Redis alone, memory alone, and memory before Redis.
 *
 * Of two stores its `wrap` puts what the second has into the first, and its `get` does not; so with both, reads are its `wrap`.
 */
import { createKeyv } from '@keyv/redis'
import { createCache } from 'cache-manager'
import { createKeyv as createMemory } from 'cacheable'
import type { Keyv } from 'keyv'
import type { Contestant, Ground, Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'
import { readmeOf } from '../harness/readme.ts'

const page = readmeOf('cache-manager', 'Quick start')

export const cacheManager: Peer = {
  name: 'cache-manager',
  packages: ['cache-manager', 'keyv', '@keyv/redis'],
  page,
  open: async (ground) => contestantOf([createKeyv(ground.urls[0]!)], ground),
}

export const cacheManagerMemory: Peer = {
  name: 'cache-manager-memory',
  packages: ['cache-manager', 'keyv', 'cacheable'],
  page,
  open: async (ground) => contestantOf([memoryOf(ground)], ground),
}

export const cacheManagerOnTwo: Peer = {
  name: 'cache-manager-on-two',
  packages: ['cache-manager', 'keyv', 'cacheable', '@keyv/redis'],
  page,
  async open(ground) {
    const contestant = contestantOf([memoryOf(ground), createKeyv(ground.urls[0]!)], ground)
    return { ...contestant, get: (key) => contestant.getOrSet!(key, noProduct, ground.ttlMs) }
  },
}

async function noProduct(): Promise<Product> {
  throw new Error('needed what is in Redis, but got: a load')
}

function memoryOf({ ttlMs, room }: Ground): Keyv {
  return createMemory({ ttl: ttlMs, lruSize: room })
}

function contestantOf(stores: Keyv[], { ttlMs }: Ground): Contestant {
  const cache = createCache({ stores })
  return {
    get: (key) => cache.get<Product>(key),
    getMany: (keys) => cache.mget<Product>([...keys]),
    set: (key, product) => cache.set(key, product, ttlMs),
    getOrSet: (key, load, ms) => cache.wrap(key, load, ms),
    close: () => cache.disconnect(),
  }
}
