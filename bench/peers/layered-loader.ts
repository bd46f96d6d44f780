/**
 * layered-loader over Redis alone, in its memory alone, and with both, as its basic example sets them up (through ioredis 6, which it names as its peer).
 *
 * It is given one way to load a key when it is made, so a load of a workload is left where that finds it.
 */
import { Redis } from 'ioredis-6'
import { Loader, RedisCache } from 'layered-loader'
import type { Contestant, Ground, Peer } from '../harness/contestant.ts'
import type { Product } from '../harness/products.ts'
import { readmeOf } from '../harness/readme.ts'

const shared = {
  packages: ['layered-loader', 'ioredis-6'],
  page: readmeOf('layered-loader', 'Basic example'),
}

export const layeredLoader: Peer = { ...shared, name: 'layered-loader', open: async (ground) => open(ground, ['redis']) }

export const layeredLoaderMemory: Peer = {
  ...shared,
  name: 'layered-loader-memory',
  packages: ['layered-loader'],
  open: async (ground) => open(ground, ['memory']),
}

export const layeredLoaderOnTwo: Peer = {
  ...shared,
  name: 'layered-loader-on-two',
  open: async (ground) => open(ground, ['memory', 'redis']),
}

function open({ urls, ttlMs, room }: Ground, layers: readonly ('memory' | 'redis')[]): Contestant {
  const client = layers.includes('redis') ? new Redis(urls[0]!) : undefined
  const loads = new Map<string, () => Promise<Product>>()
  const loader = new Loader<Product>({
    ...(layers.includes('memory') && { inMemoryCache: { cacheType: 'lru-map', ttlInMsecs: ttlMs, maxItems: room } }),
    ...(client !== undefined && {
      asyncCache: new RedisCache<Product>(client, { json: true, ttlInMsecs: ttlMs, prefix: 'layered-loader' }),
    }),
    dataSourceGetOneFn: async (key) => loads.get(key)?.(),
    dataSourceGetManyFn: async () => [],
    cacheKeyFromValueResolver: ({ sku }) => sku,
  })
  return {
    // What is not there is null, which nobody asks for.
    get: (key) => loader.get(key) as Promise<Product | undefined>,
    getMany: (keys) => loader.getMany([...keys]),
    set: (key, product) => loader.forceSetValue(key, product),
    async getOrSet(key, load) {
      loads.set(key, load)
      try {
        return (await loader.get(key)) ?? undefined
      } finally {
        loads.delete(key)
      }
    },
    close: async () => client?.quit(),
  }
}
