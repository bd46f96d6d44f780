/**
 * What several runs of one row say together.
 *
 * A wrong answer, a stale read, a lost write and what is without bounds count at once. What depends on speed, and a fault that did not come
 * about, count unless the row keeps everything in two of three runs: a busy machine does not always show. Where it shows, for the lag of a
 * generator or of the proxies was measured, a run that misses only what depends on speed counts neither for the row nor against it.
 */
import type { DemandName, RowVerdict } from './judge.ts'
import { type Allowance, isAllowed, type Missing } from './not-yet.ts'

export const MOST_RUNS = 3
/** What one more run may show to be the machine's doing. */
const REPEATABLE: readonly DemandName[] = ['felt', 'before', 'offered', 'requests', 'goodput', 'hits', 'spared', 'recovery', 'returned']

/**
 * @param known how far the row may miss what it does not keep yet
 * @param mayRepeat whether there may be one more run
 * @returns whether it is kept; undefined: one more run may tell
 */
export function decisionOf(
  runs: readonly (Missing & Pick<RowVerdict, 'excused'>)[],
  known: Allowance = {},
  mayRepeat = runs.length < MOST_RUNS,
): boolean | undefined {
  let [kept, missed] = [0, 0]
  for (const run of runs) {
    const others = run.missed.filter((each) => !isAllowed(run, each, known))
    const counted = others.filter((each) => !run.excused.includes(each))
    if (counted.some((each) => !REPEATABLE.includes(each))) return false
    if (counted.length > 0) missed++
    else if (others.length === 0) kept++
  }
  if (missed > 1) return false
  if (kept > missed) return true
  // There are no more: what was missed once counts, and what was spoilt each time says nothing.
  return mayRepeat ? undefined : missed === 0
}
