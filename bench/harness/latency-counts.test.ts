import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LatencyCounts } from './latency-counts.ts'

test('what a share took at most is within a step of what it took', () => {
  const counts = new LatencyCounts()
  for (let us = 1; us <= 10_000; us++) counts.add(us / 1_000)
  assert.equal(counts.count, 10_000)
  for (const share of [0.5, 0.99, 0.999]) {
    const ms = counts.atMost(share)
    assert.ok(ms >= share * 10 && ms <= share * 10 + 0.0051, `${share} took at most ${ms} ms`)
  }
})

test('beyond 100 ms a step is a millisecond', () => {
  const counts = new LatencyCounts()
  for (let ms = 1; ms <= 1_000; ms++) counts.add(ms)
  for (const share of [0.2, 0.5, 0.99]) {
    const ms = counts.atMost(share)
    assert.ok(ms >= share * 1_000 && ms <= share * 1_000 + 1, `${share} took at most ${ms} ms`)
  }
})

test('what is slower than can be counted is infinite, and of nothing there is no figure', () => {
  const counts = new LatencyCounts()
  assert.ok(Number.isNaN(counts.atMost(0.5)))
  counts.add(0.001)
  counts.add(50_000)
  assert.equal(counts.atMost(0.5), 0.005)
  assert.equal(counts.atMost(0.99), Number.POSITIVE_INFINITY)
})
