/**
 * A failing seed made smaller: the same run with fewer faults and fewer operations that still breaks the same rule.
 *
 * Halves, then quarters and so on are left out for as long as the failure stays (Zeller and Hildebrandt, "Simplifying and Isolating
 * Failure-Inducing Input", 2002). The number of runs is bounded, so what comes out is smaller, not smallest.
 */
import type { Rule } from './checks.ts'
import { type Outcome, type RunOptions, runPlan } from './simulation.ts'

const MAX_RUNS = 150

/** @returns the smallest run found that breaks one of the rules that `failed` breaks; `failed` itself where none is smaller */
export async function shrink(failed: Outcome, options: RunOptions = {}): Promise<Outcome> {
  const rules = new Set<Rule>(failed.violations.map(({ rule }) => rule))
  let smallest = failed
  let runs = 0
  const fails = async (plan: Outcome['plan']): Promise<boolean> => {
    if (runs++ >= MAX_RUNS) return false
    const outcome = await runPlan(plan, options)
    if (!outcome.violations.some(({ rule }) => rules.has(rule))) return false
    smallest = outcome
    return true
  }
  await without(smallest.plan.faults, (faults) => fails({ ...smallest.plan, faults }))
  await without(smallest.plan.operations, (operations) => fails({ ...smallest.plan, operations }))
  return smallest
}

/** Leaves parts out for as long as `fails` with the rest. */
async function without<T>(all: readonly T[], fails: (rest: readonly T[]) => Promise<boolean>): Promise<void> {
  let kept = all
  for (let size = Math.ceil(all.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < kept.length; ) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)]
      if (await fails(rest)) kept = rest
      else at += size
    }
  }
}
