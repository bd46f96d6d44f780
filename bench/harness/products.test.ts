import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { catalogue, JSON_BYTES, PRODUCTS, productOfTurn } from './products.ts'

test('every product is of its size as JSON and knows its place', () => {
  for (const [bytes, count] of [
    [JSON_BYTES, PRODUCTS],
    [2_048, PRODUCTS / 5],
    [65_536, PRODUCTS / 50],
  ] as const) {
    const { keys, products } = catalogue(PRODUCTS, bytes)
    assert.equal(products.length, count)
    assert.equal(new Set(keys).size, count)
    for (const [at, product] of products.entries()) {
      assert.equal(Buffer.byteLength(JSON.stringify(product)), bytes)
      assert.equal(product.id, at)
      assert.match(product.sku, /^[BML]\d{12}$/)
    }
  }
  assert.throws(() => catalogue(10, 300), { message: 'needs one of 256, 2048, 65536 bytes, but got: 300' })
})

test('large products shrink as text does, not as a repetition', () => {
  const [product] = catalogue(50, 65_536).products
  const ratio = 65_536 / deflateSync(JSON.stringify(product)).length
  assert.ok(ratio > 2 && ratio < 5, `deflated ${ratio} times smaller`)
})

test('turns visit every product before any of them twice', () => {
  assert.equal(new Set(Array.from({ length: PRODUCTS }, (_, turn) => productOfTurn(turn, PRODUCTS))).size, PRODUCTS)
})
