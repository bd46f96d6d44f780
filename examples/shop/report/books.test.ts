import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wrongInBooks } from './books.ts'

const requests = { total: 1_000, failed: 0, reads: 900, writes: 100, perSecond: 10 }
const orders = {
  accepted: 30,
  refused: 1,
  acceptedRate: 0.97,
  stored: 30,
  duplicated: 0,
  sentAgain: 1,
  answeredOtherwise: 0,
  leftPending: 0,
}
const stock = { lowest: 0, unbalanced: 0 }

test('a run in which all is as it should be has nothing wrong', () => {
  assert.deepEqual(wrongInBooks({ requests, orders, stock, troubles: [] }), [])
})

test('each thing that may not be is told in a line of its own', () => {
  const wrong: [change: Partial<Parameters<typeof wrongInBooks>[0]>, told: RegExp][] = [
    [{ requests: { ...requests, failed: 2 } }, /^requests: .* but got: 2 of 1,000 \(GET \/products\/x: 500\)$/],
    [{ orders: { ...orders, stored: 29 } }, /^orders: .* but got: 29 of 30$/],
    [{ orders: { ...orders, stored: 31 } }, /^orders: .* but got: 31 of 30$/],
    [{ orders: { ...orders, duplicated: 1 } }, /^orders: .* once, but got: 1 twice$/],
    [{ orders: { ...orders, answeredOtherwise: 3 } }, /^orders: .* another for 3$/],
    [{ stock: { lowest: 0, unbalanced: 4 } }, /^stock: .* another for 4 products$/],
    [{ stock: { lowest: -1, unbalanced: 0 } }, /^stock: .* but got: -1$/],
  ]
  for (const [change, told] of wrong) {
    const lines = wrongInBooks({ requests, orders, stock, troubles: ['GET /products/x: 500'], ...change })
    assert.equal(lines.length, 1)
    assert.match(lines[0]!, told)
  }
})
