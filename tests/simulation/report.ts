/**
 * A failing seed in words: what was broken, how to run it again, and the last steps of the key that it is about.
 */

import type { Outcome } from './simulation.ts'
import { lineOf } from './trace.ts'

/** Violations named of one seed; the first is the one to look at. */
const MAX_NAMED = 5
const MAX_STEPS = 60

/** What to type to see a seed again. @param bug the planted bug that it was run with */
export function replayCommand(seed: number, bug?: string): string {
  return `npm run simulate -- --only-seed ${seed}${bug === undefined ? '' : ` --bug '${bug}'`} --trace`
}

export function failureText(outcome: Outcome, bug?: string): string {
  const named = outcome.violations
    .slice(0, MAX_NAMED)
    .map(({ rule, atMs, key, what }) => `  ${rule} at ${atMs.toFixed(3)} ms ${key}: ${what}`)
  const more = outcome.violations.length - named.length
  if (more > 0) named.push(`  and ${more} more`)
  return [`seed ${outcome.seed}: ${outcome.violations.length} violations`, ...named, `  again: ${replayCommand(outcome.seed, bug)}`].join(
    '\n',
  )
}

/** The steps that led to the first violation, of its key alone. Needs a recorded run. */
export function traceText(outcome: Outcome): string {
  const first = outcome.violations[0]
  const steps = outcome.lastSteps(Number.MAX_SAFE_INTEGER, first?.key || undefined)
  const until = first === undefined ? steps : steps.filter(({ atMs }) => atMs <= first.atMs)
  return until.slice(-MAX_STEPS).map(lineOf).join('\n')
}

export function summaryText(outcome: Outcome): string {
  const { plan, succeeded, failed, judged, steps, virtualMs, hash } = outcome
  return (
    `seed ${outcome.seed}: ${plan.nodes} nodes, ${plan.clients} clients, ${plan.operations.length} operations (${succeeded} done, ${failed} failed), ` +
    `${plan.faults.length} faults, ${judged} reads and writes judged, ${steps} events in ${(virtualMs / 1_000).toFixed(1)} virtual s, trace ${hash}`
  )
}
