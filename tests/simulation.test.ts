/**
 * The replication protocol under simulated faults: the first seeds of `npm run simulate`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAULTS } from './simulation/faults.ts'
import { OPERATIONS } from './simulation/operations.ts'
import { LEAST, planOf } from './simulation/plan.ts'
import { TESTED_SEEDS, testSeeds } from './simulation/seeds-kept.ts'
import { runSeed } from './simulation/simulation.ts'

testSeeds(1, TESTED_SEEDS / 3)

test('a seed is one run: the same events in the same order each time, recorded or not', async () => {
  for (const seed of [3, 17]) {
    const [first, again, recorded] = [await runSeed(seed), await runSeed(seed), await runSeed(seed, { record: true })]
    assert.equal(again.hash, first.hash)
    assert.equal(recorded.hash, first.hash)
    assert.equal(again.steps, first.steps)
  }
  assert.notEqual((await runSeed(3)).hash, (await runSeed(4)).hash)
})

test('every seed has its five nodes, four clients, 500 operations and five faults, and every kind of both comes up', () => {
  const plans = Array.from({ length: TESTED_SEEDS }, (_, at) => planOf(at + 1))
  for (const plan of plans) {
    assert.ok(plan.nodes >= LEAST.nodes && plan.clients >= LEAST.clients)
    assert.ok(plan.operations.length >= LEAST.operations && plan.faults.length >= LEAST.faults)
  }
  assert.deepEqual(LEAST, { nodes: 5, clients: 4, operations: 500, faults: 5 })
  const faults = new Set(plans.flatMap((plan) => plan.faults.map(({ name }) => name)))
  const operations = new Set(plans.flatMap((plan) => plan.operations.map(({ name }) => name)))
  assert.deepEqual([...faults].sort(), Object.keys(FAULTS).sort())
  assert.deepEqual([...operations].sort(), Object.keys(OPERATIONS).sort())
})
