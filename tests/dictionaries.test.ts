import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Cache, cacheAside, createTier, redisNode, type Tier, zstd } from '../src/index.ts'
import { adminOf, until } from '../src/testing/live-redis.ts'
import { type RedisServer, startRedisServer } from '../src/testing/redis-server.ts'
import { type MadeProduct, madeProducts } from './support/made-products.ts'

/** Dictionaries on real servers, as processes of a fleet share them. */

let servers: RedisServer[] = []
before(async () => {
  servers = await Promise.all([1, 2, 3].map(() => startRedisServer()))
})
after(async () => {
  await Promise.all(servers.map((server) => server.stop()))
})

interface Process {
  readonly tier: Tier
  readonly cache: Cache<MadeProduct>
}

async function withProcesses(count: number, name: string, work: (...processes: Process[]) => Promise<void>): Promise<void> {
  const processes: Process[] = []
  try {
    for (let nth = 0; nth < count; nth++) {
      const tier = await createTier({ nodes: servers.map(({ url }, at) => redisNode(url, { id: `n${at}` })), replicas: 2 })
      // The first trains; the others read whatever is set there.
      const codec = nth === 0 ? { compression: zstd({ dictionary: true }) } : {}
      processes.push({ tier, cache: tier.cache(name, { strategy: cacheAside(), ttl: '1h', codec, deadlines: { call: '10s', try: '2s' } }) })
    }
    await work(...processes)
  } finally {
    await Promise.all(processes.map(({ tier }) => tier.close()))
  }
}

const PRODUCTS = madeProducts(1_500)

/** Writes until a dictionary is in use, and then all once more. */
async function fill({ cache }: Process): Promise<void> {
  const write = () => cache.setMany(PRODUCTS.map((product) => [product.id, product] as const))
  await until(async () => {
    await write()
    return cache.metrics().packing?.dictionary !== undefined
  })
  await write()
}

test('a process that has never packed reads what another has, key by key and in batches, and checks it', async () => {
  await withProcesses(2, 'shared', async (writer, reader) => {
    await fill(writer!)
    const { packing } = writer!.cache.metrics()
    assert.ok(packing!.bytesOut < packing!.bytesIn)
    for (const product of PRODUCTS.slice(0, 50)) assert.deepEqual(await reader!.cache.get(product.id), product)
    const read = await reader!.cache.getMany(PRODUCTS.map(({ id }) => id))
    for (const product of PRODUCTS) assert.deepEqual(read.get(product.id), product)
    assert.equal(reader!.cache.metrics().misses, 0)
    assert.equal(reader!.cache.metrics().packing, undefined, 'it packs nothing, and lacks nothing')
  })
})

test('without its dictionary an entry is a miss and nothing else, and is loaded anew', async (t) => {
  await withProcesses(2, 'lost', async (writer, reader) => {
    await fill(writer!)
    for (const server of servers) {
      const admin = adminOf(t, server)
      await admin.del(await admin.keys('rt:!dictionar*'))
    }
    const product = PRODUCTS[0]!
    assert.equal(await reader!.cache.get(product.id), undefined)
    assert.equal((await reader!.cache.getMany(PRODUCTS.map(({ id }) => id))).size, 0)
    assert.equal(reader!.cache.metrics().packing?.notFound, 1)
    assert.deepEqual(await reader!.cache.getOrSet(product.id, () => product), product)
    assert.deepEqual(await writer!.cache.get(product.id), product)
  })
})
