import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import fc from 'fast-check'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { AdaptiveLimit } from './adaptive-limit.ts'

let clock: FakeClock
beforeEach(() => {
  clock = new FakeClock()
})

/** A database that takes `width` calls at once without loss, always asked as much as the limit lets; time passes with its answers. */
function ask(limit: AdaptiveLimit, calls: number, { width = 64, baseMs = 4, random = () => 0.5 }): void {
  for (let call = 0; call < calls; call++) {
    const underWay = limit.current
    const tookMs = baseMs * Math.max(1, underWay / width) * (0.75 + random() / 2)
    clock.stall(tookMs / underWay)
    limit.answered(tookMs, underWay)
  }
}

test('it begins at a quarter of its cap, and is at it after a hundred quick answers', () => {
  const limit = new AdaptiveLimit({ floor: 2, cap: 16 }, clock)
  assert.equal(limit.current, 4)
  ask(limit, 100, {})
  assert.equal(limit.current, 16)
  assert.equal(limit.isStrained, false)
})

test('a database that is too narrow for the cap is asked by not many more than its width', () => {
  for (const width of [4, 8, 16]) {
    const limit = new AdaptiveLimit({ floor: 2, cap: 128 }, clock)
    ask(limit, 4_000, { width, random: seededRandom(width) })
    assert.ok(limit.current >= width && limit.current <= width * 4, `${limit.current} of ${width}`)
  }
})

test('one that becomes slow under its load is given less, and again more once it is quick', () => {
  const limit = new AdaptiveLimit({ floor: 2, cap: 16 }, clock)
  ask(limit, 200, { baseMs: 4 })
  ask(limit, 400, { baseMs: 4, width: 1, random: seededRandom(1) })
  assert.ok(limit.current <= 5, `${limit.current}`)
  assert.equal(limit.isStrained, true)
  ask(limit, 200, { baseMs: 4 })
  assert.equal(limit.current, 16)
})

test('while answers are not slow it doubles for who wants more, once a window', async () => {
  const limit = new AdaptiveLimit({ floor: 2, cap: 64 }, clock)
  for (const expected of [8, 16, 32, 64, 64]) {
    for (let calls = 0; calls < 3; calls++) limit.wanted()
    assert.equal(limit.current, expected)
    await clock.advance(250)
  }
  limit.dropped()
  limit.wanted()
  assert.equal(limit.current, 32)
})

test('one that is slow to those who ask it almost alone keeps all its places', () => {
  const limit = new AdaptiveLimit({ floor: 2, cap: 16 }, clock)
  ask(limit, 200, { baseMs: 4 })
  let least = 16
  for (let call = 0; call < 200; call++) {
    clock.stall(25)
    limit.answered(300, Math.min(12, call + 1))
    least = Math.min(least, limit.current)
  }
  assert.equal(least, 16)
})

test('one that is slow however little it is asked gets all its places back', () => {
  const limit = new AdaptiveLimit({ floor: 2, cap: 16 }, clock)
  ask(limit, 200, { baseMs: 4 })
  const limits: number[] = []
  const startMs = clock.monotonic()
  while (clock.monotonic() - startMs < 4_000) {
    ask(limit, 1, { baseMs: 300 })
    limits.push(limit.current)
  }
  assert.ok(Math.min(...limits) <= 8, 'it was tried whether less would help')
  assert.equal(limit.current, 16)
  ask(limit, 200, { baseMs: 4 })
  assert.equal(limit.current, 16)
  ask(limit, 400, { baseMs: 4, width: 1, random: seededRandom(1) })
  assert.ok(limit.current <= 5, `what is usual is learned anew: ${limit.current}`)
})

test('a few slow answers among many are no sign of overload', () => {
  const limit = new AdaptiveLimit({ floor: 2, cap: 16 }, clock)
  ask(limit, 200, {})
  for (let round = 0; round < 20; round++) {
    limit.answered(400, 16)
    ask(limit, 4, {})
  }
  assert.equal(limit.current, 16)
})

test('failures halve it, a burst of them once, and never below the floor', async () => {
  const limit = new AdaptiveLimit({ floor: 2, cap: 16 }, clock)
  ask(limit, 200, {})
  for (let burst = 0; burst < 16; burst++) limit.dropped()
  assert.equal(limit.current, 8)
  for (const expected of [4, 2, 2, 2]) {
    await clock.advance(250)
    limit.dropped()
    assert.equal(limit.current, expected)
  }
})

test('a limit that is not used does not grow', () => {
  const limit = new AdaptiveLimit({ floor: 2, cap: 64 }, clock)
  for (let call = 0; call < 1_000; call++) limit.answered(2, call < 4 ? 3 : 2)
  assert.equal(limit.current, 4 + 2)
})

test('whatever comes, it stays between its floor and its cap', () => {
  const step = fc.record({
    tookMs: fc.double({ min: 0, max: 10_000, noNaN: true }),
    underWay: fc.nat(80),
    drop: fc.boolean(),
    passed: fc.nat(500),
  })
  const law = fc.property(fc.integer({ min: 1, max: 8 }), fc.nat(56), fc.array(step, { maxLength: 300 }), (floor, more, steps) => {
    const limit = new AdaptiveLimit({ floor, cap: floor + more }, clock)
    for (const { tookMs, underWay, drop, passed } of steps) {
      clock.stall(passed)
      if (drop) limit.dropped()
      else limit.answered(tookMs, underWay)
      assert.ok(Number.isInteger(limit.current) && limit.current >= floor && limit.current <= floor + more, `${limit.current}`)
    }
  })
  fc.assert(law, { numRuns: 300 })
})
