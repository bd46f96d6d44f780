/**
 * cache-manager on @keyv/redis: the stores of its quick start, Redis alone.
 */
import { createKeyv } from '@keyv/redis'
import { createCache } from 'cache-manager'
import type { Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'

export const cacheManager: Peer = {
  name: 'cache-manager',
  packages: ['cache-manager', 'keyv', '@keyv/redis'],
  page: 'https://github.com/jaredwray/cacheable/tree/main/packages/cache-manager#quick-start',
  async open({ urls, ttlMs }) {
    const cache = createCache({ stores: [createKeyv(urls[0]!)] })
    return {
      get: (key) => cache.get<Product>(key),
      getMany: (keys) => cache.mget<Product>([...keys]),
      set: (key, product) => cache.set(key, product, ttlMs),
      getOrSet: (key, load, ms) => cache.wrap(key, load, ms),
      close: () => cache.disconnect(),
    }
  },
}
