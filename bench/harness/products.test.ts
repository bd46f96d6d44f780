import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogue, JSON_BYTES, PRODUCTS, productOfTurn } from './products.ts'

test('every product is 256 bytes of JSON and knows its place', () => {
  const { keys, products } = catalogue()
  assert.equal(products.length, PRODUCTS)
  assert.equal(new Set(keys).size, PRODUCTS)
  for (const [at, product] of products.entries()) {
    assert.equal(Buffer.byteLength(JSON.stringify(product)), JSON_BYTES)
    assert.equal(product.id, at)
  }
})

test('turns visit every product before any of them twice', () => {
  assert.equal(new Set(Array.from({ length: PRODUCTS }, (_, turn) => productOfTurn(turn, PRODUCTS))).size, PRODUCTS)
})
