import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrequencySketch, MOST_FREQUENT } from './frequency-sketch.ts'
import { keyHash } from './key-hash.ts'

const frequency = fc.integer({ min: 1, max: MOST_FREQUENT })

test('law: an estimate is never below what its key was raised to, halved as often as all was, however the sketch grew', () => {
  const step = fc.oneof(
    { weight: 10, arbitrary: fc.record({ key: fc.nat(200), frequency }) },
    { weight: 1, arbitrary: fc.constantFrom('age' as const, 'grow' as const) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const sketch = new FrequencySketch()
      const least = new Map<number, number>()
      let entries = 10
      for (const each of steps) {
        if (each === 'grow') {
          entries *= 3
          sketch.makeFor(entries)
        } else if (each === 'age') {
          sketch.age()
          for (const [key, value] of least) least.set(key, value >> 1)
        } else {
          sketch.raise(keyHash(`k${each.key}`), each.frequency)
          least.set(each.key, Math.max(least.get(each.key) ?? 0, each.frequency))
        }
      }
      for (const [key, value] of least) assert.ok(sketch.estimate(keyHash(`k${key}`)) >= value)
    }),
  )
})

test('growing changes no estimate', () => {
  const sketch = new FrequencySketch()
  for (let i = 0; i < 200; i++) sketch.raise(keyHash(`k${i}`), 1 + (i % 15))
  const estimates = () => Array.from({ length: 1_000 }, (_, i) => sketch.estimate(keyHash(`k${i}`)))
  const before = estimates()
  sketch.makeFor(5_000)
  assert.deepEqual(estimates(), before)
})

test('of as many keys as it is made for, few are taken for more popular than they are', () => {
  const sketch = new FrequencySketch()
  sketch.makeFor(4_000)
  for (let i = 0; i < 4_000; i++) sketch.raise(keyHash(`k${i}`), 5)
  const mistaken = Array.from({ length: 4_000 }, (_, i) => sketch.estimate(keyHash(`other${i}`))).filter((each) => each > 0).length
  assert.ok(mistaken < 4_000 * 0.1, `${mistaken} of 4,000`)
  assert.ok(sketch.sizeBytes <= 4_000 * 32)
})
