import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createTier, memoryNode, memoryStore, writeThrough } from 'ringtail'
import type { ProductPage } from '../database/product-page.ts'
import type { ShopCaches } from './caches.ts'
import { added, type Cart, replaced } from './cart.ts'
import { createCartService } from './cart-service.ts'
import { Carts } from './carts.ts'
import { createService, Troubles } from './http.ts'
import type { ProductPages } from './product-pages.ts'
import { createProductService } from './product-service.ts'

async function cartService(t: TestContext) {
  const tier = await createTier({ nodes: [memoryNode({ id: 'n' })], replicas: 1 })
  t.after(() => tier.close())
  const pages = tier.cache<ProductPage>('page', { strategy: writeThrough(memoryStore()), ttl: '1m' })
  for (const id of ['a', 'b'])
    await pages.set(id, { name: `Product ${id}`, price: { currency: 'GBP', amount: 2, retail: null } } as unknown as ProductPage)
  const carts = tier.cache<Cart>('cart', { strategy: writeThrough(memoryStore()), ttl: '1m' })
  const troubles = new Troubles()
  const service = createCartService(new Carts({ pages, carts } as unknown as ShopCaches, []), troubles)
  t.after(() => service.close())
  return { service, troubles }
}

test('adding to a cart sums quantities, setting replaces, and 0 takes a line out', () => {
  assert.deepEqual(
    added(
      [{ productId: 'a', quantity: 2 }],
      [
        { productId: 'b', quantity: 1 },
        { productId: 'a', quantity: 3 },
      ],
    ),
    [
      { productId: 'a', quantity: 5 },
      { productId: 'b', quantity: 1 },
    ],
  )
  assert.deepEqual(replaced([{ productId: 'a', quantity: 2 }], [{ productId: 'a', quantity: 1 }]), [{ productId: 'a', quantity: 1 }])
  assert.deepEqual(replaced([{ productId: 'a', quantity: 2 }], [{ productId: 'a', quantity: 0 }]), [])
  assert.throws(
    () =>
      added(
        [],
        Array.from({ length: 2_001 }, (_, index) => ({ productId: `${index}`, quantity: 1 })),
      ),
    /at most 2000 products, but this one would hold 2001/,
  )
})

test('a cart is changed and shown with names and prices, and adds made at the same time are all kept', async (t) => {
  const { service } = await cartService(t)
  const add = (productId: string) =>
    service.inject({ method: 'POST', url: '/carts/1/lines', payload: { userId: 'u', lines: [{ productId, quantity: 1 }] } })
  const answers = await Promise.all(['a', 'b', 'a', 'b', 'a'].map(add))
  for (const answer of answers) assert.equal(answer.statusCode, 200, answer.body)
  assert.deepEqual(answers[0]?.json().changed, [{ productId: 'a', quantity: 1, name: 'Product a', currency: 'GBP', amount: 2 }])
  const shown = await service.inject({ url: '/carts/1' })
  const quantities = Object.fromEntries(
    shown.json<{ lines: { productId: string; quantity: number }[] }>().lines.map(({ productId, quantity }) => [productId, quantity]),
  )
  assert.deepEqual(quantities, { a: 3, b: 2 })
})

test('what does not fit is refused with the reason, and is no trouble of ours', async (t) => {
  const { service, troubles } = await cartService(t)
  const post = (payload: object) => service.inject({ method: 'POST', url: '/carts/1/lines', payload })
  const line = { productId: 'a', quantity: 1 }
  const refused: [payload: object, status: number, told: RegExp][] = [
    [{ userId: 'u', lines: [] }, 400, /lines/],
    [{ userId: 'u', lines: [{ ...line, quantity: 0 }] }, 400, /quantity must be >= 1/],
    [{ userId: 'u', lines: [{ ...line, quantity: '1' }] }, 400, /quantity must be integer/],
    [{ userId: 'u', lines: [line], more: 1 }, 400, /additional properties/],
    [{ lines: [line] }, 400, /userId/],
    [{ userId: 'u', lines: [{ ...line, productId: 'none' }] }, 404, /there is no product none/],
  ]
  for (const [payload, status, told] of refused) {
    const answer = await post(payload)
    assert.equal(answer.statusCode, status, answer.body)
    assert.match(answer.json().error, told)
  }
  assert.equal((await service.inject({ url: '/carts/none' })).statusCode, 404)
  assert.equal((await service.inject({ url: '/elsewhere' })).statusCode, 404)
  assert.equal(troubles.count, 0)
})

test('a product page says how it was come by, and can be asked past the caches', async () => {
  const pages = {
    read: async (id: string) => ({ product: id === 'a' ? { id } : undefined, outcome: id === 'a' ? 'hit' : 'negative' }),
    readStraight: async (id: string) => ({ id }),
  } as unknown as ProductPages
  const service = createProductService(pages, new Troubles())
  const get = async (url: string) => {
    const { statusCode, headers } = await service.inject({ url })
    return [statusCode, headers['x-cache']]
  }
  assert.deepEqual(await get('/products/a'), [200, 'hit'])
  assert.deepEqual(await get('/products/none'), [404, 'negative'])
  assert.deepEqual(await get('/products/a?source=database'), [200, 'database'])
  assert.deepEqual(await get('/products/a?source=elsewhere'), [400, undefined])
  assert.deepEqual(await get('/healthz'), [200, undefined])
  await service.close()
})

test('what is behind a failure is kept for the report and not told to the customer', async () => {
  const troubles = new Troubles()
  const service = createService('shop', troubles)
  service.get('/broken', () => {
    throw new Error('connection to 10.0.0.1 lost')
  })
  const answer = await service.inject({ url: '/broken' })
  assert.deepEqual([answer.statusCode, answer.json()], [500, { error: 'something went wrong here' }])
  assert.deepEqual(troubles.last, ['shop: Error: connection to 10.0.0.1 lost'])
  await service.close()
})
