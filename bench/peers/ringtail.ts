/**
 * Ringtail as a user gets it who sets nothing: on the one server that all share, and as a tier of three with a copy of everything on each.
 */
import { cacheAside, createTier, redisNode } from 'ringtail'
import type { Contestant, Ground, Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'

const shared = { packages: ['ringtail'], page: 'README.md' }

export const ringtail: Peer = { ...shared, name: 'ringtail', open: (ground) => open(ground, 1) }

export const ringtailOnThree: Peer = { ...shared, name: 'ringtail-on-three', open: (ground) => open(ground, 3) }

/** Every key on every one of the nodes. */
async function open({ urls, ttlMs }: Ground, nodes: 1 | 3): Promise<Contestant> {
  const tier = await createTier({ nodes: urls.slice(0, nodes).map((url) => redisNode(url)), replicas: nodes })
  const products = tier.cache<Product>(nodes === 1 ? 'product' : 'product-on-three', { strategy: cacheAside(), ttl: ttlMs })
  return {
    get: (key) => products.get(key),
    set: (key, product) => products.set(key, product),
    close: () => tier.close(),
  }
}
