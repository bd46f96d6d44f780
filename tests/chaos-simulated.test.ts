import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOT_YET } from './chaos/not-yet.ts'
import { ROW_NAMES } from './chaos/row-names.ts'
import { isSimulated, planWith, SIMULATED_ROWS } from './chaos/simulated-rows.ts'
import { LEAST, planOf } from './simulation/plan.ts'
import { runPlan } from './simulation/simulation.ts'

const SEEDS = 3
const FIRST_SEED = 9_001

for (const name of ROW_NAMES) {
  const row = SIMULATED_ROWS[name]
  if (!isSimulated(row)) continue
  test(`${name}: simulated nodes give the verdict of real ones, on ${SEEDS} seeds`, { timeout: 60_000 }, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const plan = planWith(planOf(seed), row)
      const { violations, faults, operations } = await runPlan(plan)
      assert.ok(faults > 0 && operations >= LEAST.operations)
      const told = violations.map(({ rule, key, what }) => `seed ${seed}: ${rule} of ${key}: ${what}`)
      // Kept there and not here, or the other way round, is a fault of one of the two.
      const isKept = NOT_YET[name]?.misses.includes('stale') !== true
      assert.deepEqual(isKept ? told : [], [])
    }
  })
}

test('each row is simulated, or says where else its fault is shown', () => {
  assert.deepEqual(Object.keys(SIMULATED_ROWS).sort(), [...ROW_NAMES].sort())
})
