import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SampledChanges } from './sampled-changes.ts'

const keys = (count: number): string[] => Array.from({ length: count }, (_, nth) => `rt:c:key-${nth}`)

test('a share of the keys is taken, and always the same', () => {
  const one = new SampledChanges(0.1, 0)
  const other = new SampledChanges(0.1, 0)
  one.changed(keys(10_000), 0)
  other.changed(keys(10_000).reverse(), 5)
  const taken = one.take(10, 10_000)
  assert.ok(taken.length > 850 && taken.length < 1_150, `${taken.length}`)
  assert.deepEqual(new Set(other.take(10, 10_000)), new Set(taken))
})

test('a change is due when it has waited, once, however often it was told', () => {
  const changes = new SampledChanges(1, 1_000)
  changes.changed(['k', 'k'], 0)
  changes.changed(['k', 'l'], 500)
  assert.deepEqual(changes.take(999, 10), [])
  assert.deepEqual(changes.take(1_000, 10), ['k'])
  assert.equal(changes.nextDueMs, 1_500)
  assert.deepEqual(changes.take(1_500, 10), ['l'])
})

test('ten thousand keys wait at a time, and what is beyond is counted', () => {
  const changes = new SampledChanges(1, 0)
  changes.changed(keys(10_500), 0)
  assert.equal(changes.size, 10_000)
  assert.equal(changes.skipped, 500)
  assert.equal(changes.take(0, 128).length, 128)
})
