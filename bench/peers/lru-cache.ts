/** lru-cache, bare: a look-up in the process's own memory and nothing around it, not even a time to live: the limit for near caches. */
import { LRUCache } from 'lru-cache'
import type { Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'
import { readmeOf } from '../harness/readme.ts'

export const lruCache: Peer = {
  name: 'lru-cache',
  packages: ['lru-cache'],
  page: readmeOf('lru-cache', 'Usage'),
  async open({ room }) {
    const cache = new LRUCache<string, Product>({ max: room })
    return {
      get: async (key) => cache.get(key),
      peek: (key) => cache.get(key),
      set: async (key, product) => cache.set(key, product),
      close: async () => cache.clear(),
    }
  },
}
