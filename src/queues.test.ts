import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type QueueTeller, queuesOf } from './queues.ts'

const teller = (...told: readonly (readonly [depth: number, bound: number])[]): QueueTeller => ({
  tellQueues: (tell) => {
    for (const [depth, bound] of told) tell('storeWaiting', depth, bound)
  },
})

test('of several queues of a kind the one is told that is fullest by its own bound', () => {
  assert.deepEqual(queuesOf([teller([3, 100], [2, 4]), teller([50, 200])]).storeWaiting, { depth: 2, bound: 4 })
  assert.deepEqual(queuesOf([teller([0, 10], [0, 20])]).storeWaiting, { depth: 0, bound: 10 })
})

test('of a kind that there is none of nothing is in it, and nothing may be', () => {
  const { loads, storeWaiting } = queuesOf([teller([1, 1])])
  assert.deepEqual(
    [loads, storeWaiting],
    [
      { depth: 0, bound: 0 },
      { depth: 1, bound: 1 },
    ],
  )
})
