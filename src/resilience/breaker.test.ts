import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import fc from 'fast-check'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { Breaker, type BreakerChange, type BreakerOptions } from './breaker.ts'

/** No jitter: pauses are as long as they get. */
const unjittered = () => 0
let clock: FakeClock
let changes: BreakerChange[]

beforeEach(() => {
  clock = new FakeClock()
  changes = []
})

function build(options: BreakerOptions = {}, random = unjittered): Breaker {
  return new Breaker(options, clock, random, (change) => changes.push(change))
}

/** Opens one of the default options. */
function opened(options: BreakerOptions = {}, random = unjittered): Breaker {
  const breaker = build(options, random)
  breaker.failed(options.minimumCalls ?? 10)
  assert.equal(breaker.state, 'open')
  return breaker
}

test('it opens when the share of failures in the window reaches the rate, and then nothing passes', () => {
  const breaker = build({ failureRate: 0.5, minimumCalls: 10 })
  breaker.succeeded(10)
  breaker.failed(9)
  assert.equal(breaker.state, 'closed')
  assert.equal(breaker.mayPass(), true)
  breaker.failed()
  assert.equal(breaker.state, 'open')
  assert.equal(breaker.mayPass(), false)
  assert.deepEqual(changes, [{ state: 'open', from: 'closed', failures: 10, calls: 20 }])
})

test('few calls do not open it, however they end', () => {
  const breaker = build({ minimumCalls: 10 })
  breaker.failed(9)
  assert.equal(breaker.state, 'closed')
  breaker.failed()
  assert.equal(breaker.state, 'open')
})

test('what is older than the window no longer counts', async () => {
  const breaker = build({ windowMs: 1_000, minimumCalls: 10 })
  breaker.failed(9)
  await clock.advance(1_000)
  breaker.failed(9)
  assert.equal(breaker.state, 'closed')
  await clock.advance(500)
  breaker.failed()
  assert.equal(breaker.state, 'open')
})

test('after the pause as many probes pass as are allowed, and their successes close it', async () => {
  const breaker = opened({ halfOpenAfterMs: 250, probes: 3 })
  await clock.advance(249)
  assert.equal(breaker.mayPass(), false)
  assert.equal(breaker.pauseLeftMs, 1)
  await clock.advance(1)
  assert.deepEqual([breaker.mayPass(), breaker.mayPass(), breaker.mayPass(), breaker.mayPass()], [true, true, true, false])
  assert.equal(breaker.state, 'half-open')
  breaker.succeeded(64)
  breaker.succeeded(64)
  assert.equal(breaker.state, 'half-open')
  breaker.succeeded(64)
  assert.equal(breaker.state, 'closed')
  assert.deepEqual(
    changes.map((change) => change.state),
    ['open', 'half-open', 'closed'],
  )
  breaker.failed(9)
  assert.equal(breaker.state, 'closed', 'the failures before it opened are forgotten')
})

test('one failed probe opens it again, for twice as long, up to the longest pause', async () => {
  const breaker = opened({ halfOpenAfterMs: 250, longestPauseMs: 600 })
  for (const pauseMs of [250, 500, 600, 600]) {
    await clock.advance(pauseMs - 1)
    assert.equal(breaker.mayPass(), false, `${pauseMs}`)
    await clock.advance(1)
    assert.equal(breaker.mayPass(), true, `${pauseMs}`)
    breaker.failed()
    assert.equal(breaker.state, 'open')
  }
})

test('one that flaps keeps its long pause until it was closed for a whole window', async () => {
  const breaker = opened({ halfOpenAfterMs: 250, windowMs: 5_000, probes: 1 })
  await clock.advance(250)
  breaker.mayPass()
  breaker.succeeded()
  breaker.failed(10)
  assert.equal(breaker.pauseLeftMs, 500)
  await clock.advance(500)
  breaker.mayPass()
  breaker.succeeded()
  await clock.advance(5_000)
  breaker.failed(10)
  assert.equal(breaker.pauseLeftMs, 250)
})

test('pauses are jittered between half their length and all of it', () => {
  const random = seededRandom(7)
  const pauses = Array.from({ length: 100 }, () => opened({ halfOpenAfterMs: 1_000, longestPauseMs: 1_000 }, random).pauseLeftMs)
  assert.ok(
    pauses.every((pauseMs) => pauseMs > 500 && pauseMs <= 1_000),
    `${pauses}`,
  )
  assert.ok(new Set(pauses).size > 90)
})

test('an outcome of a call that passed before the state changed does not count', async () => {
  const breaker = build()
  const { era } = breaker
  breaker.failed(10)
  await clock.advance(250)
  breaker.mayPass()
  breaker.failed(1, era)
  assert.equal(breaker.state, 'half-open')
  for (let late = 0; late < 3; late++) breaker.succeeded(1, era)
  assert.equal(breaker.state, 'half-open')
})

test('a probe that was given up makes room for another, and so does one of which nothing is ever told', async () => {
  const breaker = opened({ probes: 1, probeTimeoutMs: 1_000 })
  await clock.advance(250)
  assert.equal(breaker.mayPass(), true)
  assert.equal(breaker.mayPass(), false)
  breaker.forgone()
  assert.equal(breaker.mayPass(), true)
  await clock.advance(999)
  assert.equal(breaker.mayPass(), false)
  await clock.advance(1)
  assert.equal(breaker.mayPass(), true)
  assert.equal(breaker.mayPass(), false)
})

test('whatever is told of it: probes are bounded, changes are told once and in turn, and what is well again is found so', async () => {
  const outcome = fc.oneof(
    fc.record({ what: fc.constantFrom('succeeded', 'failed', 'forgone'), count: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ what: fc.constant('wait'), count: fc.integer({ min: 1, max: 2_000 }) }),
  )
  const law = fc.asyncProperty(fc.array(outcome, { maxLength: 200 }), fc.integer(), async (outcomes, seed) => {
    clock = new FakeClock()
    changes = []
    const breaker = build({ minimumCalls: 5, probes: 2, probeTimeoutMs: 1e9 }, seededRandom(seed))
    let out = 0
    for (const { what, count } of outcomes) {
      const { era } = breaker
      if (breaker.mayPass()) out = breaker.state === 'half-open' && breaker.era === era ? out + 1 : 1
      if (breaker.state === 'half-open') assert.ok(out <= 2, `${out} probes out`)
      if (what === 'wait') await clock.advance(count)
      else {
        if (what === 'forgone') breaker.forgone()
        else breaker[what as 'succeeded' | 'failed'](count)
        out = Math.max(0, out - 1)
      }
      if (breaker.state !== 'open') assert.equal(breaker.pauseLeftMs, 0)
      assert.ok(breaker.pauseLeftMs <= 750)
    }
    for (const [nth, { from, state }] of changes.entries()) {
      assert.equal(from, nth === 0 ? 'closed' : changes[nth - 1]!.state)
      assert.ok(['closed>open', 'open>half-open', 'half-open>open', 'half-open>closed'].includes(`${from}>${state}`))
    }
    if (breaker.state === 'half-open') breaker.failed()
    await clock.advance(750)
    for (let probe = 0; probe < 2; probe++) {
      assert.equal(breaker.mayPass(), true)
      breaker.succeeded()
    }
    assert.equal(breaker.state, 'closed')
  })
  await fc.assert(law, { numRuns: 200 })
})
