/**
 * cacheable: with Redis as its only store, in its default memory alone, and with both as its page on tiers sets them up.
 *
 * Redis is its primary store in the first, for otherwise it answers from the process's own memory; that is a near cache, and compared with one.
 */
import { createKeyv } from '@keyv/redis'
import { Cacheable, createKeyv as createMemory } from 'cacheable'
import type { Contestant, Ground, Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'
import { readmeOf } from '../harness/readme.ts'

export const cacheable: Peer = {
  name: 'cacheable',
  packages: ['cacheable', 'keyv', '@keyv/redis'],
  page: readmeOf('cacheable', 'Basic Usage'),
  open: async (ground) => contestantOf(new Cacheable({ primary: createKeyv(ground.urls[0]!, { namespace: 'cacheable' }) }), ground),
}

export const cacheableMemory: Peer = {
  name: 'cacheable-memory',
  packages: ['cacheable', 'keyv'],
  page: readmeOf('cacheable', 'CacheableMemory - In-Memory Cache'),
  open: async (ground) => contestantOf(new Cacheable({ primary: createMemory({ lruSize: ground.room }) }), ground),
}

export const cacheableOnTwo: Peer = {
  name: 'cacheable-on-two',
  packages: ['cacheable', 'keyv', '@keyv/redis'],
  page: readmeOf('cacheable', 'Storage Tiering and Caching'),
  open: async (ground) => {
    const secondary = createKeyv(ground.urls[0]!, { namespace: 'cacheable' })
    return contestantOf(new Cacheable({ primary: createMemory({ lruSize: ground.room }), secondary }), ground)
  },
}

function contestantOf(cache: Cacheable, { ttlMs }: Ground): Contestant {
  return {
    get: (key) => cache.get<Product>(key),
    getMany: (keys) => cache.getMany<Product>([...keys]),
    set: (key, product) => cache.set(key, product, ttlMs),
    getOrSet: (key, load, ms) => cache.getOrSet<Product>(key, load, { ttl: ms }),
    close: () => cache.disconnect(),
  }
}
