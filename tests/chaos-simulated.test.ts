import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rowOf } from './chaos/all-rows.ts'
import { NOT_YET } from './chaos/not-yet.ts'
import { DEMANDED, type FaultRow } from './chaos/row.ts'
import { ROW_NAMES } from './chaos/row-names.ts'
import { SIMULATED_FAULTS } from './chaos/simulated-faults.ts'
import { type Faults, planWith, SIMULATED_ROWS } from './chaos/simulated-rows.ts'
import { COMMON, simulatedVerdict } from './chaos/simulated-verdict.ts'
import { planOf } from './simulation/plan.ts'

const SEEDS = 3
const FIRST_SEED = 9_001

for (const [name, simulated] of Object.entries(SIMULATED_ROWS) as [keyof typeof SIMULATED_ROWS, Faults][]) {
  test(`${name}: simulated nodes give the verdict of real ones, on ${SEEDS} seeds`, { timeout: 60_000 }, async (t) => {
    const row = rowOf(name) as FaultRow
    const known = NOT_YET[name]
    let requests = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const verdict = await simulatedVerdict(planWith(planOf(seed), simulated), row, { ...DEMANDED, ...row.demand })
      requests += verdict.requests
      // Of the real row `chaos-*.test.ts` sees to it that it misses what stands in NOT_YET, and nothing else. What it misses now and then is
      // the doing of a machine that is busy, which a simulated one never is.
      const expected = known === undefined || known.sometimes === true ? [] : COMMON.filter((each) => each in known.misses)
      assert.deepEqual(verdict.missed, expected, `seed ${seed}: ${verdict.why.join('\n')}`)
    }
    assert.ok(requests > 0, 'no request came within the window')
    t.diagnostic(`${requests} requests in the window, of ${COMMON.join(', ')}: all as the real row demands`)
  })
}

test('each row is simulated: as faults of a run, or on a ground of its own (chaos-simulated-load.test.ts)', () => {
  assert.deepEqual([...Object.keys(SIMULATED_ROWS), ...Object.keys(SIMULATED_FAULTS)].sort(), [...ROW_NAMES].sort())
})
