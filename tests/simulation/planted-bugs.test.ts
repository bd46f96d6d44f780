/**
 * That the simulation finds what is wrong: with each mistake planted, some seed reports it, and by a check that was meant to.
 */
import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { type BugName, PLANTED_BUGS, type PlantedBug } from './planted-bugs.ts'
import { failureText, traceText } from './report.ts'
import { shrink } from './shrink.ts'
import { runPlan, runSeed } from './simulation.ts'

/** Seeds that are known to meet the bugs that are rare; the others are met by the first. */
const KNOWN: Partial<Record<BugName, readonly number[]>> = {
  'compare-and-set without comparing': [38, 48, 49, 58, 59, 75, 105],
}

/** Bound of the search when what is known is no more so: the runs of all seeds change with the code. */
const SEEDS_TO_TRY = 40

describe('a planted bug is found', () => {
  for (const [name, bug] of Object.entries(PLANTED_BUGS) as [BugName, PlantedBug][]) {
    it(`${name}: by ${bug.rules.join(' or ')}`, async () => {
      for (const seed of [...(KNOWN[name] ?? []), ...Array.from({ length: SEEDS_TO_TRY }, (_, at) => at + 1)]) {
        const { violations } = await runSeed(seed, { bug })
        if (violations.some(({ rule }) => bug.rules.includes(rule))) return
      }
      assert.fail(`not in the first ${SEEDS_TO_TRY} seeds`)
    })
  }
})

test('a failing seed shrinks to fewer operations and faults that break the same rule, and is told with its steps', async () => {
  const bug = PLANTED_BUGS['acknowledged before the first owner has it']
  const failed = await runSeed(1, { bug })
  const smaller = await shrink(failed, { bug })
  assert.ok(smaller.plan.operations.length < failed.plan.operations.length / 4, `${smaller.plan.operations.length} operations are left`)
  assert.ok(smaller.plan.faults.length < failed.plan.faults.length)
  assert.match(failureText(smaller), /seed 1: \d+ violations\n {2}[a-z ]+ at [\d.]+ ms rt:.*\n[\s\S]*npm run simulate -- --only-seed 1/)
  const rules = new Set(failed.violations.map(({ rule }) => rule))
  assert.ok(smaller.violations.some(({ rule }) => rules.has(rule)))
  const steps = traceText(await runPlan(smaller.plan, { bug, record: true }))
  assert.match(steps, /c\d .*→ n\d put[\s\S]*VIOLATED/)
})
