import assert from 'node:assert/strict'
import { test } from 'node:test'
import { temporaryFile } from './temporary-file.ts'
import { prepareWorkload } from './workload.ts'

const HEADER = 'ts,op,invoice,sku,qty,unit_price,customer_id,country'
const none = { catalogue: undefined, reads: undefined, events: undefined, seed: 1 }
const silent = () => () => {}

function catalogue(...skus: string[]): string {
  return skus.map((sku) => JSON.stringify({ sku, name: `Product ${sku}`, price_gbp: { median: 2 } })).join('\n')
}

function sales(...lines: [sku: string, quantity: number][]): string {
  return [HEADER, ...lines.map(([sku, quantity], index) => `1,sale,${index},${sku},${quantity},1,,UK`)].join('\n')
}

test('objects and SKUs are products one to one, in order of first appearance, and where the catalogue is short products like its own are made', async (t) => {
  const workload = await prepareWorkload(
    {
      ...none,
      catalogue: temporaryFile(t, catalogue('P1', 'P2', 'P3')),
      reads: temporaryFile(t, 'key\nz\ny\nz\nx\nw\nv\n'),
      events: temporaryFile(t, sales(['S1', 3], ['S2', 4], ['S1', 2])),
    },
    silent,
  )
  assert.deepEqual([...workload.reads], [0, 1, 0, 2, 3, 4])
  assert.deepEqual([...workload.orders.item], [0, 1, 0])
  assert.deepEqual(
    workload.products.slice(0, 3).map(({ id }) => id),
    ['P1', 'P2', 'P3'],
  )
  assert.equal(workload.products.length, 5)
  assert.equal(workload.origin.productsGenerated, 2)
  assert.equal(new Set(workload.products.map(({ id }) => id)).size, 5)
  for (const product of workload.products) assert.equal(product.currency, 'GBP')
})

test('the initial stock is half of what the log sells, rounded up', async (t) => {
  const workload = await prepareWorkload(
    {
      ...none,
      catalogue: temporaryFile(t, catalogue('P1', 'P2', 'P3')),
      reads: temporaryFile(t, 'key\n1\n'),
      events: temporaryFile(t, sales(['S1', 3], ['S2', 4], ['S1', 2])),
    },
    silent,
  )
  assert.deepEqual([...workload.initialStock], [3, 2, 0])
})

test('a SKU that is a product of the catalogue is that product, also where others are not', async (t) => {
  const workload = await prepareWorkload(
    {
      ...none,
      catalogue: temporaryFile(t, catalogue('A', 'B', 'C')),
      reads: temporaryFile(t, 'key\n1\n'),
      events: temporaryFile(t, sales(['C', 1], ['unknown', 1], ['A', 1], ['gone', 1])),
    },
    silent,
  )
  const sold = [...workload.orders.item].map((item) => workload.products[item]?.id)
  assert.equal(sold[0], 'C')
  assert.equal(sold[1], 'B')
  assert.equal(sold[2], 'A')
  assert.match(sold[3] ?? '', /^like-/)
})

test('without files everything is generated, the same for the same seed', async () => {
  const [first, again, other] = [
    await prepareWorkload(none, silent),
    await prepareWorkload(none, silent),
    await prepareWorkload({ ...none, seed: 2 }, silent),
  ]
  assert.equal(first.products.length, 5_000)
  assert.deepEqual(first.products.slice(0, 50), again.products.slice(0, 50))
  assert.deepEqual(first.reads.subarray(0, 1_000), again.reads.subarray(0, 1_000))
  assert.deepEqual(first.orders.item.subarray(0, 1_000), again.orders.item.subarray(0, 1_000))
  assert.notDeepEqual(first.reads.subarray(0, 1_000), other.reads.subarray(0, 1_000))
  assert.ok(first.orders.item.every((item) => item < first.products.length))
})
