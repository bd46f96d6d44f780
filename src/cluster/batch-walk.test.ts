import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryNode } from '../node/memory-node.ts'
import { RetryBudget } from '../resilience/retry-budget.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { walkBatch } from './batch-walk.ts'
import type { WalkContext } from './walk-context.ts'

test('keys whose owners were not asked for want of time are unanswered, each of them', async () => {
  const budget = new RetryBudget({ share: 0.1, burst: 10 })
  const context = {
    clock: new FakeClock(),
    firstCall: { timeoutMs: 50 },
    nodeFailed: () => {},
    retries: budget,
    hedges: budget,
  } as unknown as WalkContext
  const owners = [memoryNode({ id: 'n1' })]
  const walk = { keys: ['a', 'b'], owners: [owners, owners], firstOf: () => 0, anyOwner: false, replicas: 1, deadlineMs: 0, context }
  const fetched = await walkBatch(walk)
  assert.deepEqual(
    [...fetched].map((each) => each?.failure?.code),
    ['UNAVAILABLE', 'UNAVAILABLE'],
  )
})
