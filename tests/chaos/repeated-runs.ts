/**
 * What several runs of one row say together.
 *
 * A wrong answer, a stale read, a lost write and what is without bounds count at once. What depends on speed, and a fault that did not come
 * about, count unless the row keeps everything in two of three runs: a busy machine does not always show. Where it shows, for the lag of a
 * generator or of the proxies was measured, a run that misses only what depends on speed is spoilt and counts neither for the row nor against
 * it: where there are no others nothing was measured, which is no pass.
 */
import type { DemandName, RowVerdict } from './judge.ts'
import { type Allowance, isAllowed, type Missing } from './not-yet.ts'

export const MOST_RUNS = 3
/** What one more run may show to be the machine's doing. */
const REPEATABLE: readonly DemandName[] = ['felt', 'before', 'offered', 'requests', 'goodput', 'hits', 'spared', 'recovery', 'returned']

/** Of a run that says something of the tier, one that does not, and one whose miss needs no second. */
export type RunKind = 'kept' | 'missed' | 'spoilt' | 'wrong'
/** `again`: one more run may tell. */
export type Decision = 'kept' | 'missed' | 'unmeasured' | 'again'
type Run = Missing & Pick<RowVerdict, 'excused'>

/** @param known how far the row may miss what it does not keep yet */
export function kindOf(run: Run, known: Allowance): RunKind {
  const others = run.missed.filter((each) => !isAllowed(run, each, known))
  const counted = others.filter((each) => !run.excused.includes(each))
  if (counted.some((each) => !REPEATABLE.includes(each))) return 'wrong'
  if (counted.length > 0) return 'missed'
  return others.length > 0 ? 'spoilt' : 'kept'
}

/**
 * @param known how far the row may miss what it does not keep yet
 * @param mayRepeat whether there may be one more run
 */
export function decisionOf(runs: readonly Run[], known: Allowance = {}, mayRepeat = runs.length < MOST_RUNS): Decision {
  const kinds = runs.map((run) => kindOf(run, known))
  const [kept, missed] = [kinds.filter((kind) => kind === 'kept').length, kinds.filter((kind) => kind === 'missed').length]
  if (kinds.includes('wrong') || missed > 1) return 'missed'
  if (kept > missed) return 'kept'
  if (mayRepeat) return 'again'
  // There are no more: what was missed once counts.
  return missed > 0 ? 'missed' : 'unmeasured'
}
