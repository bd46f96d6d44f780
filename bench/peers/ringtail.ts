/**
 * Ringtail as a user gets it who sets nothing: on the one server that all share, and as a tier of three with a copy of everything on each.
 */
import { type CacheOptions, cacheAside, createTier, redisNode } from 'ringtail'
import type { Contestant, Ground, Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'

const shared = { packages: ['ringtail'], page: 'README.md' }

export const ringtail: Peer = { ...shared, name: 'ringtail', open: (ground) => open(ground, 1) }

export const ringtailOnThree: Peer = { ...shared, name: 'ringtail-on-three', open: (ground) => open(ground, 3) }

/** What the process reads is kept in it too, for as long as it is fresh. */
export const ringtailNear: Peer = {
  ...shared,
  name: 'ringtail-near',
  open: (ground) => open(ground, 1, { near: { maxBytes: ground.room * NEAR_ENTRY_BYTES, ttl: ground.ttlMs } }),
}

/** Keys and values as other clients have them: no versions, no leases. */
export const ringtailPlain: Peer = { ...shared, name: 'ringtail-plain', open: (ground) => open(ground, 1, { keys: 'plain' }) }

/** What a product of 256 bytes is counted as in a near cache: with its header, its key and the near cache's own. */
const NEAR_ENTRY_BYTES = 663

/** Every key on every one of the nodes. */
async function open({ urls, ttlMs }: Ground, nodes: 1 | 3, options: Partial<CacheOptions<Product>> = {}): Promise<Contestant> {
  const tier = await createTier({ nodes: urls.slice(0, nodes).map((url) => redisNode(url)), replicas: nodes })
  const name = nodes === 1 ? 'product' : 'product-on-three'
  // Plain keys are shared with whoever else uses the server.
  const prefix = options.keys === 'plain' ? 'ringtail-plain:' : ''
  const products = tier.cache<Product>(name, { strategy: cacheAside(), ttl: ttlMs, ...options })
  return {
    get: (key) => products.get(prefix + key),
    getMany: async (keys) => {
      const found = await products.getMany(prefix === '' ? keys : keys.map((key) => prefix + key))
      return keys.map((key) => found.get(prefix + key))
    },
    peek: (key) => products.peek(key),
    set: (key, product) => products.set(prefix + key, product),
    getOrSet: (key, load, ms) => products.getOrSet(prefix + key, load, { ttl: ms }),
    close: () => tier.close(),
  }
}
