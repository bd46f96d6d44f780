import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linearTicks, logTicks, short } from './ticks.ts'

test('marks are round numbers that reach to the highest', () => {
  assert.deepEqual(linearTicks(312_000), [0, 100_000, 200_000, 300_000, 400_000])
  assert.deepEqual(linearTicks(5), [0, 1, 2, 3, 4, 5])
  assert.deepEqual(linearTicks(0.9), [0, 0.2, 0.4, 0.6000000000000001, 0.8, 1])
  assert.deepEqual(linearTicks(0), [0, 1])
})

test('marks by powers of ten enclose all', () => {
  assert.deepEqual(logTicks(1, 1_024), [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000])
  assert.deepEqual(logTicks(0.07, 3), [0.05, 0.1, 0.2, 0.5, 1, 2, 5])
})

test('figures are short', () => {
  assert.deepEqual([2_500_000, 312_400, 1_024, 0.25, 12].map(short), ['2.5 M', '312 k', '1,024', '0.25', '12'])
})
