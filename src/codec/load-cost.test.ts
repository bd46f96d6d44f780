import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { loadCostCode, loadCostMsOf } from './load-cost.ts'

test('a load cost from a microsecond to a year comes back within 0.04 %', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 3.2e10, noNaN: true }), (ms) => {
      assert.ok(Math.abs(loadCostMsOf(loadCostCode(ms)) / ms - 1) < 0.0004)
    }),
  )
})

test('a greater load cost never gets a smaller code', () => {
  const cost = fc.double({ min: 0, max: 1e18, noNaN: true })
  fc.assert(
    fc.property(cost, cost, (one, other) => {
      const [less, more] = one < other ? [one, other] : [other, one]
      assert.ok(loadCostCode(less) <= loadCostCode(more))
    }),
  )
})

test('an unknown load cost is 0 both ways, and every code is a uint16', () => {
  assert.equal(loadCostMsOf(loadCostCode(0)), 0)
  assert.equal(loadCostCode(Number.NaN), 0)
  assert.equal(loadCostCode(-1), 0)
  assert.equal(loadCostCode(Number.POSITIVE_INFINITY), 0xffff)
  assert.equal(loadCostCode(Number.MIN_VALUE), 1)
})
