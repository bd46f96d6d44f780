import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { UsageError } from '../usage-error.ts'
import { readCatalogue } from './catalogue.ts'
import { temporaryFile } from './temporary-file.ts'

const FLIPKART = {
  id: 'SRT1',
  uniq_id: 'aaa',
  name: 'Shorts',
  brand: 'Alisha',
  category: ['Clothing', 'Shorts'],
  price: { currency: 'INR', retail: 999, discounted: 379 },
  specs: [{ key: null, value: 'One pair' }],
}
const RETAIL = { sku: '10002', name: 'GLOBE', price_gbp: { median: 0.85, min: 0.85, max: 1.66 }, countries: [] }

function ndjson(...lines: unknown[]): string {
  return `${lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')}\n`
}

for (const gzip of [false, true]) {
  test(`a flipkart catalogue is read, ${gzip ? "gzip'd" : 'plain'}, with its discounted price`, async (t) => {
    const { products, bad } = await readCatalogue(temporaryFile(t, ndjson(FLIPKART), { gzip }))
    assert.equal(bad.count, 0)
    assert.equal(products.length, 1)
    const [product] = products
    assert.equal(product?.id, 'aaa')
    assert.equal(product?.price, 379)
    assert.deepEqual(product?.specs, [{ key: null, value: 'One pair' }])
  })
}

test('an online-retail catalogue is recognised by its content, whatever its name', async (t) => {
  const { products } = await readCatalogue(temporaryFile(t, ndjson(RETAIL)))
  assert.deepEqual([products[0]?.id, products[0]?.currency, products[0]?.price], ['10002', 'GBP', 0.85])
})

test('a product without a price, one without a name, a repeated key and a broken line are counted with their line numbers and skipped', async (t) => {
  const file = temporaryFile(
    t,
    ndjson(
      FLIPKART,
      '{"uniq_id":',
      { ...FLIPKART, uniq_id: 'bbb', price: { currency: 'INR', retail: null, discounted: null } },
      FLIPKART,
      { ...FLIPKART, uniq_id: 'ccc', name: null },
      { ...FLIPKART, uniq_id: 'ddd' },
    ),
  )
  const { products, bad } = await readCatalogue(file)
  assert.deepEqual(
    products.map(({ id }) => id),
    ['aaa', 'ddd'],
  )
  assert.deepEqual(
    bad.shown.map(({ line }) => line),
    [2, 3, 4, 5],
  )
  assert.match(bad.describe()[1] ?? '', /:3: skipped: a product needs a price/)
})

test('a price below the smallest coin is none', async (t) => {
  const { products, bad } = await readCatalogue(
    temporaryFile(t, ndjson(RETAIL, { ...RETAIL, sku: '2', price_gbp: { median: 0.001 } }, { ...RETAIL, sku: '3', price_gbp: null })),
  )
  assert.deepEqual([products.length, bad.count], [1, 2])
})

test('of many bad lines all are counted and a few told', async (t) => {
  const { bad } = await readCatalogue(temporaryFile(t, ndjson(FLIPKART, ...Array.from({ length: 50 }, () => 'nonsense'))))
  assert.equal(bad.count, 50)
  assert.equal(bad.describe().length, 6)
  assert.match(bad.describe()[5] ?? '', /50 lines skipped in all/)
})

test('what is no catalogue is a usage error: other JSON, CSV, an empty file, a cut gzip file, a folder, no file', async (t) => {
  const cut = gzipSync(ndjson(FLIPKART, RETAIL)).subarray(0, 60)
  const wrong = [
    temporaryFile(t, ndjson(...Array.from({ length: 200 }, () => ({ other: 1 })))),
    temporaryFile(t, 'type,id,idx\n1,2,3\n'),
    temporaryFile(t, ''),
    temporaryFile(t, cut),
    '/',
    '/no/such/file',
  ]
  for (const file of wrong) await assert.rejects(readCatalogue(file), UsageError, file)
})

test("a key named __proto__ is data, and a NUL, which PostgreSQL's text cannot hold, is left out", async (t) => {
  const { products } = await readCatalogue(temporaryFile(t, ndjson({ ...FLIPKART, uniq_id: '__proto__', name: 'a\u0000b' })))
  assert.deepEqual([products[0]?.id, products[0]?.name], ['__proto__', 'ab'])
})
