import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Histogram } from './histogram.ts'

const quantiles = [0.5, 0.9, 0.99, 0.999, 1]

test('any percentile is at most 3.2 % above the exact one, and never below it', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.001, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 300 }), (durations) => {
      const histogram = new Histogram()
      for (const each of durations) histogram.record(each)
      const sorted = durations.toSorted((a, b) => a - b)
      for (const quantile of quantiles) {
        const exact = sorted[Math.max(0, Math.ceil(sorted.length * quantile) - 1)]!
        const told = histogram.percentile(quantile)
        // Whole microseconds are recorded, hence the last µs of slack.
        assert.ok(told >= exact - 0.001 && told <= exact * (1 + 1 / 31) + 0.001, `${quantile}: ${told} for ${exact}`)
      }
    }),
  )
})

test('an empty histogram says 0 of everything', () => {
  const { buckets, ...rest } = new Histogram().snapshot()
  assert.deepEqual(rest, { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0, sum: 0 })
  assert.ok(buckets.length > 10 && buckets.every(({ count }) => count === 0))
})

test('what is longer than 67 s counts, and the maximum is exact', () => {
  const histogram = new Histogram()
  histogram.record(90_000)
  assert.equal(histogram.count, 1)
  assert.equal(histogram.snapshot().max, 90_000)
  assert.ok(histogram.percentile(1) >= 67_000)
})

test('a negative duration, as a broken clock gives, counts as 0', () => {
  const histogram = new Histogram()
  histogram.record(-1)
  assert.equal(histogram.count, 1)
  assert.equal(histogram.percentile(1), 0)
})

test('two histograms added say what one of both would', () => {
  const [one, two, both] = [new Histogram(), new Histogram(), new Histogram()]
  for (const ms of [1, 2, 3]) {
    one.record(ms)
    both.record(ms)
  }
  for (const ms of [40, 50]) {
    two.record(ms)
    both.record(ms)
  }
  one.add(two)
  assert.deepEqual(one.snapshot(), both.snapshot())
})

test('countUpTo counts whole buckets', () => {
  const histogram = new Histogram()
  for (const ms of [0.01, 0.02, 5]) histogram.record(ms)
  assert.equal(histogram.countUpTo(1), 2)
  assert.equal(histogram.countUpTo(10), 3)
})
