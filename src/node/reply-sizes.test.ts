import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LARGE_BYTES, ReplySizes } from './reply-sizes.ts'

const of = (...sizes: number[]): Buffer[] => sizes.map((size) => Buffer.alloc(size))

test('the mean rises at once, and falls by half a batch at most', () => {
  const sizes = new ReplySizes()
  sizes.learn(['a', 'b'], of(4_000, 8_000), true)
  assert.equal(sizes.mean, 6_000)
  sizes.learn(['a'], of(100), true)
  assert.equal(sizes.mean, 3_000)
  for (let i = 0; i < 10; i++) sizes.learn(['a'], of(100), true)
  assert.equal(sizes.mean, 100)
})

test('misses say nothing about sizes', () => {
  const sizes = new ReplySizes()
  const before = sizes.mean
  sizes.learn(['a', 'b'], [null, null], true)
  assert.equal(sizes.mean, before)
  sizes.learn(['a', 'b', 'c'], [null, ...of(1_000), null], true)
  assert.equal(sizes.mean, 1_000)
})

test('a large value is remembered by its key until it is small or gone, and leaves the mean alone once it is known', () => {
  const sizes = new ReplySizes()
  sizes.learn(['a', 'b'], of(LARGE_BYTES, LARGE_BYTES - 1), true)
  assert.deepEqual([sizes.largeBytes('a'), sizes.largeBytes('b')], [LARGE_BYTES, 0])
  const before = sizes.mean
  sizes.learn(['a'], of(10 * LARGE_BYTES), false)
  assert.deepEqual([sizes.largeBytes('a'), sizes.mean], [10 * LARGE_BYTES, before])
  sizes.learn(['a'], [null], false)
  assert.equal(sizes.largeBytes('a'), 0)
})

test('at most 4,096 large keys are remembered, the longest unseen forgotten first', () => {
  const sizes = new ReplySizes()
  const value = Buffer.alloc(LARGE_BYTES)
  for (let i = 0; i < 4_096; i++) sizes.learn([`k${i}`], [value], false)
  sizes.learn(['k0'], [value], false)
  sizes.learn(['one more'], [value], false)
  assert.deepEqual(
    ['k0', 'k1', 'k2', 'one more'].map((key) => sizes.largeBytes(key) > 0),
    [true, false, true, true],
  )
})
