import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DeadlineError, NodeError } from '../errors.ts'
import { HEDGES } from './hedge.ts'
import { costsRetry, RETRIES, RetryBudget } from './retry-budget.ts'

test('whatever is asked of it, extra requests are no more than the burst and the share of the requests so far', () => {
  const event = fc.oneof(
    fc.record({ requests: fc.integer({ min: 1, max: 500 }) }),
    fc.record({ extra: fc.integer({ min: 1, max: 5 }), times: fc.integer({ min: 1, max: 200 }) }),
  )
  const options = fc.record({
    share: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
    burst: fc.integer({ min: 1, max: 100 }),
    initial: fc.constantFrom(0, undefined),
  })
  const law = fc.property(options, fc.array(event, { maxLength: 100 }), (given, events) => {
    const budget = new RetryBudget(given)
    let requests = 0
    let taken = 0
    for (const each of events) {
      if ('requests' in each) {
        budget.requested(each.requests)
        requests += each.requests
      } else {
        for (let nth = 0; nth < each.times; nth++) if (budget.tryTake(each.extra)) taken += each.extra
      }
      assert.ok(taken <= (given.initial ?? given.burst) + given.share * requests + 1e-6)
    }
  })
  fc.assert(law)
})

test('what is not used is saved up to the burst and no further', () => {
  const budget = new RetryBudget({ share: 0.1, burst: 5 })
  budget.requested(1_000_000)
  for (let nth = 0; nth < 5; nth++) assert.equal(budget.tryTake(1), true)
  assert.equal(budget.tryTake(1), false)
  budget.requested(10)
  assert.equal(budget.tryTake(1), true)
})

test('retries are a tenth of the requests, hedges a twentieth, from nothing on', () => {
  for (const [options, share] of [
    [RETRIES, 0.1],
    [HEDGES, 0.05],
  ] as const) {
    const budget = new RetryBudget(options)
    while (budget.tryTake(1)) assert.equal(options, RETRIES)
    let taken = 0
    for (let nth = 0; nth < 1_000; nth++) {
      budget.requested(1)
      if (budget.tryTake(1)) taken++
    }
    assert.ok(Math.abs(taken - 1_000 * share) <= 1, `${taken}`)
  }
})

test('a try costs a retry when the node may have had work of it', () => {
  assert.equal(costsRetry(new DeadlineError('late')), true)
  assert.equal(costsRetry(new NodeError('lost', 'n', { outcome: 'unknown' })), true)
  assert.equal(costsRetry(new NodeError('not connected', 'n')), false)
})
