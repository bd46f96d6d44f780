/** Ringtail without what watches nodes and calls: the same cache on a bare connection, which shows what the rest costs. */
import { redisNode } from 'ringtail'
import { bareCache } from 'ringtail/testing'
import type { Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'

export const ringtailBare: Peer = {
  name: 'ringtail-bare',
  packages: ['ringtail'],
  page: 'README.md',
  async open({ urls, ttlMs }) {
    const { cache, close } = await bareCache<Product>(redisNode(urls[0]!), { name: 'product-bare', ttl: ttlMs })
    return { get: (key) => cache.get(key), set: (key, product) => cache.set(key, product), close }
  },
}
