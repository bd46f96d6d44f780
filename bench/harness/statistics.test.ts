import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ratioOf, summaryOf } from './statistics.ts'

test('the median is the middle of the rounds, whatever their order, and between the two middle ones of an even number', () => {
  assert.deepEqual(summaryOf([30, 10, 1_000, 20, 15]), { median: 20, min: 10, max: 1_000 })
  assert.deepEqual(summaryOf([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 })
  assert.deepEqual(summaryOf([7]), { median: 7, min: 7, max: 7 })
  assert.throws(() => summaryOf([]), RangeError)
})

test('numbers are ordered as numbers', () => {
  assert.equal(summaryOf([9, 10, 100]).median, 10)
})

test('a ratio is that of the medians, its spread that of rounds of the same time', () => {
  assert.deepEqual(ratioOf([10, 40, 20], [5, 10, 20]), { median: 2, min: 1, max: 4 })
})
