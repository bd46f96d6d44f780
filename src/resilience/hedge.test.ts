import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RecentTimes } from './hedge.ts'

test('a quantile is right but for a fifth too much', () => {
  const law = fc.property(
    fc.array(fc.double({ min: 0.06, max: 10_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
    fc.double({ min: 0.01, max: 1, noNaN: true }),
    (times, q) => {
      const recent = new RecentTimes()
      for (const ms of times) recent.add(ms)
      const exact = times.sort((a, b) => a - b)[Math.min(times.length, Math.ceil(q * times.length - 1e-6)) - 1]!
      const told = recent.quantile(q)
      assert.ok(told >= exact * 0.999 && told <= exact * 1.2, `${told} for ${exact}`)
    },
  )
  fc.assert(law)
})

test('what fades counts for less, until new times are what counts', () => {
  const recent = new RecentTimes()
  recent.add(100, 1_000)
  for (let nth = 0; nth < 20; nth++) {
    recent.add(1, 100)
    recent.fade(0.8)
  }
  assert.ok(recent.quantile(0.95) < 1.2, `${recent.quantile(0.95)}`)
  assert.ok(recent.total < 500)
})

test('of no times a quantile is 0, and one beyond all buckets is the last', () => {
  const recent = new RecentTimes()
  assert.equal(recent.quantile(0.5), 0)
  recent.add(1e9)
  assert.ok(recent.quantile(0.5) > 40_000)
})
