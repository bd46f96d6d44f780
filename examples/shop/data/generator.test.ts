import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateOrders, generateProducts, generateReads } from './generator.ts'

function quantile(values: readonly number[], fraction: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * fraction)]!
}

function near(value: number, wanted: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(value - wanted) <= wanted * tolerance, `${what}: ${wanted} ± ${tolerance * 100} % needed, but got: ${value}`)
}

/** The part that the most frequent `fraction` of the objects has of all. */
function topShare(items: ArrayLike<number>, objects: number, fraction: number): number {
  const counts = new Float64Array(objects)
  for (let index = 0; index < items.length; index++) counts[items[index]!]!++
  const top = counts.toSorted((a, b) => b - a).subarray(0, Math.floor(objects * fraction))
  return top.reduce((sum, count) => sum + count, 0) / items.length
}

test('products are as large as real ones: JSON median 347 bytes, p95 695, a few rich ones around 1,848', () => {
  const products = generateProducts(5_000, 1)
  const sizes = products.map((product) => Buffer.byteLength(JSON.stringify(product)))
  near(quantile(sizes, 0.5), 347, 0.1, 'median')
  near(quantile(sizes, 0.95), 695, 0.2, 'p95')
  const rich = products.filter(({ description }) => description !== null).map((product) => Buffer.byteLength(JSON.stringify(product)))
  near(rich.length / products.length, 0.05, 0.2, 'part of rich ones')
  near(quantile(rich, 0.5), 1_848, 0.2, 'median of rich ones')
})

test('reads are as skewed as real ones: the top 1 % of objects take 33 %, the top 10 % take 76 %', () => {
  const reads = generateReads(300_000, 5_000, 1)
  near(topShare(reads, 5_000, 0.01), 0.33, 0.05, 'top 1 %')
  near(topShare(reads, 5_000, 0.1), 0.76, 0.05, 'top 10 %')
})

test('orders are as long and as spread as real ones: half above 15 lines, the top 10 % of products in 45 % of lines', () => {
  const { orders } = generateOrders(5_000, 5_000, 4_000, 1)
  const lines = orders.ids.map((_, order) => orders.start[order + 1]! - orders.start[order]!)
  near(quantile(lines, 0.5), 15, 0.1, 'median of lines')
  near(quantile(lines, 0.9), 54, 0.2, 'p90 of lines')
  near(topShare(orders.item, 5_000, 0.1), 0.45, 0.1, 'top 10 %')
  assert.ok(orders.quantity.every((quantity) => quantity >= 1))
})

test('a product made after others has their words, brand and category, and a price near theirs', () => {
  const own = generateProducts(20, 1)
  for (const product of generateProducts(200, 2, own, 7)) {
    assert.ok(own.some(({ brand, category }) => brand === product.brand && category === product.category))
    const words = new Set(own.flatMap(({ name }) => name.split(' ')))
    assert.ok(product.name.split(' ').every((word) => words.has(word)))
    assert.ok(product.price > 0)
  }
  assert.equal(generateProducts(1, 2, own, 7)[0]?.id, 'like-0000007')
})
