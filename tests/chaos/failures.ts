/**
 * Which requests failed, and why: no answer, a wrong one, or a late one, counted from when it was due; what was never sent has failed too.
 */
import { DEADLINE_MS, TIMER_LATE_MS } from './chaos-plan.ts'
import type { RequestRow } from './request-log.ts'
import type { Demand } from './row.ts'

/** The code of a call that was refused for there being too many. */
export const SHED = 'OVERLOADED'

/** How one request is to be judged. */
export interface Judging {
  readonly demand: Demand
  /** Whether what the row allows to be refused may be: not before the fault, and not after healing. */
  readonly isExcusing: boolean
  /** Where more is asked than can be done the generator, which shares its process with the tier, is late as well: what it was late by, ms. */
  readonly lagMs: number
}

/** @returns why it failed; undefined: it did not */
export function failureOf(request: RequestRow, { demand, isExcusing, lagMs }: Judging): string | undefined {
  const { kind, result, tookMs, code } = request
  const isShedding = isExcusing && demand.mayShed
  if (result === 'refused') {
    // A call that ran into its deadline was not shed: its caller has waited, and so has what it took the place of.
    const isShed = isShedding && code === SHED
    const isInTime = tookMs <= DEADLINE_MS.stored + TIMER_LATE_MS + lagMs
    if (isInTime && (isShed || (isExcusing && needsWhatIsAway(request, demand)))) return undefined
    return `${kind} refused with ${code}${isShed ? ' late' : ''}`
  }
  if (result === 'broken') return `${kind} broken by ${code}`
  // Of what cannot be sent there is a bound of its own: see `overload.ts`.
  if (result === 'unsent' && isShedding) return undefined
  if (result === 'wrong' || result === 'unsent' || result === 'unanswered') return `${kind} ${result}`
  return tookMs <= boundOf(request, demand, isExcusing) + lagMs ? undefined : `${kind} ${result} late`
}

/** What is the library's to prevent, however slow the machine is: who has no answer when all is over was given seconds beyond any deadline. */
export function isNeverRight({ result }: RequestRow): boolean {
  return result === 'wrong' || result === 'broken' || result === 'unanswered'
}

function boundOf(request: RequestRow, demand: Demand, isExcusing: boolean): number {
  const isShedding = isExcusing && demand.mayShed
  // A change that the database takes at the last moment has the nodes before it yet.
  if (request.result === 'done' && (isShedding || (isExcusing && needsWhatIsAway(request, demand))))
    return DEADLINE_MS.stored + DEADLINE_MS.held
  return isShedding || !isHeld(request, demand) ? DEADLINE_MS.stored : DEADLINE_MS.held
}

/** What nodes can answer has the shorter deadline, also where the tier did not let them. */
function isHeld({ kind, result, isSteady }: RequestRow, { emptied, evicting }: Demand): boolean {
  const isHit = result === 'hit' || result === 'stale'
  // Of several keys that are changed one may have been waited for while another process loaded it.
  if (isHit && (kind === 'read' || (isSteady && !emptied))) return true
  return isSteady && !emptied && !evicting
}

function needsWhatIsAway({ kind, isSteady, shard }: RequestRow, { away }: Demand): boolean {
  if (away === 'none' || isSteady) return false
  return away === 'all' || shard === 0 || kind === 'many'
}

/** The most frequent ones; '' where none failed. */
export function reasonsText(requests: readonly RequestRow[], judging: Judging): string {
  const counts = new Map<string, number>()
  for (const request of requests) {
    const reason = failureOf(request, judging)
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
  const sorted = [...counts].sort(([, one], [, other]) => other - one)
  return sorted
    .slice(0, 4)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ')
}

export function worstSecond(window: readonly RequestRow[], judging: Judging, startMs: number): string {
  const seconds = new Map<number, { all: number; failed: number }>()
  for (const request of window) {
    const second = Math.floor((request.dueMs - startMs) / 1_000)
    const counts = seconds.get(second) ?? { all: 0, failed: 0 }
    seconds.set(second, { all: counts.all + 1, failed: counts.failed + (failureOf(request, judging) === undefined ? 0 : 1) })
  }
  let [worst, share] = [0, 1]
  for (const [second, { all, failed }] of seconds) if (1 - failed / all < share) [worst, share] = [second, 1 - failed / all]
  return `${(share * 100).toFixed(1)} % (the ${worst + 1}.)`
}
