import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { versionClock, versionMs } from './version-clock.ts'

test('versions only grow, however the wall clock jumps', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -500, max: 500 }), { maxLength: 400 }), (jumps) => {
      let nowMs = 1_800_000_000_000
      const { next } = versionClock({ now: () => nowMs }, () => 0.5)
      let last = 0n
      for (const jump of jumps) {
        nowMs += jump
        const version = next()
        assert.ok(version > last)
        last = version
      }
    }),
  )
})

test('a version fits a signed 64-bit integer until the year 2500', () => {
  const { next } = versionClock({ now: () => Date.UTC(2500, 0) }, () => 0.999)
  assert.ok(next() < 2n ** 63n)
})

test('more than 256 versions in a millisecond borrow from the next and stay distinct', () => {
  const { next } = versionClock({ now: () => 1_000 }, () => 0)
  const versions = new Set(Array.from({ length: 1_000 }, next))
  assert.equal(versions.size, 1_000)
  assert.equal(versionMs([...versions][0]!), 1_000)
  assert.equal(versionMs([...versions][999]!), 1_003)
})

test('two writers in the same millisecond differ', () => {
  const clock = { now: () => 1_000 }
  assert.notEqual(versionClock(clock, Math.random, 1).next(), versionClock(clock, Math.random, 2).next())
})

test('what was observed is followed, however far the clock lags', () => {
  const ahead = versionClock({ now: () => 60_000 }, () => 0.5).next()
  const { next, observe, isAhead } = versionClock({ now: () => 1_000 }, () => 0.1)
  assert.ok(next() < ahead)
  assert.ok(isAhead(ahead))
  observe(ahead)
  assert.ok(next() > ahead)
})

test('a version from more than an hour ahead moves no clock', () => {
  const { next, observe } = versionClock({ now: () => 1_000 }, () => 0.5)
  observe(2n ** 63n - 1n)
  assert.equal(versionMs(next()), 1_000)
})

test('an old version moves no clock', () => {
  const { next, observe } = versionClock({ now: () => 1_000 }, () => 0.5)
  const first = next()
  observe(1n)
  assert.ok(next() > first)
  assert.equal(versionMs(next()), 1_000)
})
