import { createTier, redisNode, sqliteStore, writeThrough } from 'ringtail'

interface Product {
  name: string
  price: number
  stock: number
}

const nodes = process.argv.slice(2).map((url) => redisNode(url)) // redis://10.0.0.1 redis://10.0.0.2 redis://10.0.0.3
const tier = await createTier({ nodes, replicas: 3 })
tier.on('node:down', ({ node, reason }) => console.error(`${node} is down: ${reason}`))

const products = tier.cache<Product>('product', {
  strategy: writeThrough(sqliteStore<Product>({ file: ':memory:', table: 'products' })),
  ttl: '10m',
  grace: '1h',
})

await products.set('B0001', { name: 'Wireless Mouse', price: 19.99, stock: 7 }) // the database first, then every owner
await products.update('B0001', (product) => ({ ...product!, stock: product!.stock - 1 })) // compare-and-set, retried
console.log(await products.get('B0001')) // one round trip on a hit; the database on a miss, once for all who ask
console.log(await products.getMany(['B0001', 'B0002'])) // one MGET a node, one query for all that is missing
console.log(tier.metrics().caches.product?.hits, 'hits')
await tier.close()
