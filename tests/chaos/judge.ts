/**
 * Says of a row whether the tier kept its promises, and if not which and by how much.
 *
 * A request has failed that has no answer, a wrong one, or a late one (`failures.ts`). What was read and acknowledged is judged by the history
 * checker. Nothing is excused but by a lag that was measured, of a generator or of the proxies, and then only what depends on speed: not a
 * wrong answer, a stale read or a lost write, and not a fault that never came about.
 */
import { checkHistory, type Violation, violationText } from '../../src/testing/index.ts'
import { unbounded } from './bounds.ts'
import { type ChaosPlan, CLIENTS, VOID_LAG_MS } from './chaos-plan.ts'
import { failureOf, isNeverRight, type Judging, reasonsText, worstSecond } from './failures.ts'
import { NODES } from './ground.ts'
import type { FaultSpan, Observed } from './observed.ts'
import { lowGoodput, notOffered } from './overload.ts'
import { depthsText } from './queue-depths.ts'
import { withQuietReads } from './quiet-reads.ts'
import { type RequestRow, requestsOf } from './request-log.ts'
import type { Demand, FaultRow } from './row.ts'
import type { RowName } from './row-names.ts'
import { unspared } from './spared.ts'

export interface RowReport {
  readonly name: RowName | 'soak'
  readonly ok: boolean
  /** Due within the fault's window. */
  readonly requests: number
  readonly failed: number
  /** The share that did not fail. */
  readonly success: number
  /** Of reads that nodes answered in the window, from when they were due; ms. Null where they answered none. */
  readonly p999Ms: number | null
  /** From healing to the last request that failed; ms. */
  readonly recoveryMs: number | null
  /** Reads past their bound, resurrected or of what nobody wrote. */
  readonly stale: number
  /** Acknowledged writes that the database does not have. */
  readonly lost: number
  /** What was not as demanded; '' where all was. */
  readonly why: string
}

/**
 * What can be kept or not. `felt`: the fault came about. `before`: nothing failed before it. `offered`: as many requests were sent as say
 * something. `right`: none hung, no answer was wrong, no error another's than the library's. `requests`: their share that must not fail.
 * `goodput`: right answers a second where more is asked than can be done. `hits`: how long they took. `spared`: nodes answered what they hold.
 * `returned`: every node is up again, to every client. `bounds`: of memory, sockets, queues, loads, and what is left at rest and after closing.
 */
export const DEMANDS = [
  'felt',
  'before',
  'offered',
  'right',
  'requests',
  'goodput',
  'hits',
  'spared',
  'recovery',
  'returned',
  'stale',
  'lost',
  'bounds',
] as const
export type DemandName = (typeof DEMANDS)[number]

export interface RowVerdict extends RowReport {
  readonly isMeasured: boolean
  /** What was not kept. */
  readonly missed: readonly DemandName[]
  /** Of that, what depends on speed where the machine was measured to be late: it says nothing of the tier. */
  readonly excused: readonly DemandName[]
  /** For who looks into it. */
  readonly details: readonly string[]
}

/** Nearly the 10 minutes that are ordered. */
const LEAST_WALL_JUMP_MS = 500_000
const MOST_VIOLATIONS = 10_000
const TOLD_VIOLATIONS = 5

/** A row, or a soak. */
interface Judged extends Pick<FaultRow, 'clients' | 'signs' | 'proof' | 'setting'> {
  readonly name: RowName | 'soak'
}

/** A row of which nothing was measured. */
export function unmeasured(name: RowName | 'soak', why: string): RowVerdict {
  return {
    ...{ name, ok: false, requests: 0, failed: 0, success: 0, p999Ms: null, recoveryMs: null, stale: 0, lost: 0, why },
    ...{ isMeasured: false, missed: ['felt'], excused: [], details: [] },
  }
}

/** Whether all that was missed may be the machine's doing, or the fault's own: then one more run may tell. */
export function isVoid({ missed, excused }: RowVerdict): boolean {
  return missed.length > 0 && missed.every((each) => each === 'felt' || excused.includes(each))
}

export function judge(row: Judged, demand: Demand, plan: ChaosPlan, observed: Observed): RowVerdict {
  const { loadMs, injectedMs, healed, reports } = observed
  // Who asked a process that was killed is gone with it, so that what was under way in it then has nobody to fail.
  const killed = (observed.killed ?? []).flatMap((client) => [...requestsOf(client.requests)])
  const answered = [
    ...reports.flatMap((report) => [...requestsOf(report.requests)]),
    ...killed.filter(({ result }) => result !== 'unanswered'),
  ]
  const requests = answered.filter(({ dueMs }) => dueMs >= loadMs)
  // What was under way when the fault began has met it.
  const hasEnded = ({ dueMs, tookMs }: RequestRow): boolean => dueMs + tookMs < injectedMs
  const before = requests.filter(hasEnded)
  const window = requests.filter((each) => !hasEnded(each) && each.dueMs < healed.healedMs)
  const after = requests.filter(({ dueMs }) => dueMs >= healed.healedMs)
  const generatorMs = lagOf(window)
  const inWindow: Judging = { demand, isExcusing: true, lagMs: demand.mayShed ? generatorMs : 0 }
  const outside: Judging = { demand, isExcusing: false, lagMs: 0 }
  const failures = window.filter((each) => failureOf(each, inWindow) !== undefined)
  const recoveries = recoveriesOf(requests, observed.faults ?? [{ name: row.name, injectedMs, healedMs: healed.healedMs }], outside)
  const recoveryMs = recoveries.reduce((most, { afterMs }) => Math.max(most, afterMs), 0)
  const hits = window.filter(({ kind, result }) => kind === 'read' && (result === 'hit' || result === 'stale')).map(({ tookMs }) => tookMs)
  const p999Ms = hits.length === 0 ? null : round(quantile(hits, 0.999))
  const { stale, lost, told } = judgedHistory(observed, demand)
  const success = window.length === 0 ? 0 : 1 - failures.length / window.length
  const tally = new Tally()

  const unfelt = notFelt(row, demand, before, window, observed)
  if (unfelt !== undefined) tally.miss('felt', unfelt)
  const lagBefore = lagText(lagOf(before), observed.lagMs.before)
  const early = reasonsText(before, outside)
  if (early !== '') tally.miss('before', `of ${before.length} requests some failed before there was a fault (${early})`, lagBefore)

  const neverRight = requests.filter(isNeverRight)
  if (neverRight.length > 0) tally.miss('right', `${neverRight.length} never right: ${reasonsText(neverRight, outside)}`)
  // More is asked of the generator then than can be done: that it is late is part of it.
  const lagIn = demand.mayShed ? undefined : lagText(generatorMs, healed.lagMs)
  if (window.length < plan.leastRequests)
    tally.miss('offered', `only ${window.length} requests of ${plan.leastRequests} in the window`, lagIn)
  if (plan.noneMayFail ? failures.length > 0 : success < demand.success) {
    const reasons = reasonsText(window, inWindow)
    tally.miss('requests', `${failures.length} failed (${reasons}), worst second ${worstSecond(window, inWindow, injectedMs)}`, lagIn)
  }
  if (demand.mayShed) {
    const unsent = notOffered(window)
    if (unsent !== undefined) tally.miss('offered', unsent)
    const undone = lowGoodput(window, healed.healedMs - injectedMs, plan.rate, inWindow)
    if (undone !== undefined) tally.miss('goodput', undone)
  }
  if (p999Ms !== null && p999Ms > demand.hitP999Ms) tally.miss('hits', `p99.9 of hits ${p999Ms} ms`, lagIn)
  if (!demand.emptied && !demand.mayShed)
    for (const text of unspared(window, before, after, observed, demand)) tally.miss('spared', text, lagIn)

  const lagAfter = lagIn ?? lagText(lagOf(after.filter(({ dueMs }) => dueMs - healed.healedMs > demand.recoveryMs)), observed.lagMs.after)
  for (const { name, afterMs, reasons } of recoveries)
    if (afterMs > demand.recoveryMs)
      tally.miss('recovery', `still failing ${round(afterMs)} ms after ${name} was healed (${reasons})`, lagAfter)
  for (const text of notReturned(row, reports)) tally.miss('returned', text, lagAfter)
  if (stale > 0) tally.miss('stale', `${stale} reads past their bound`)
  if (lost > 0) tally.miss('lost', `${lost} acknowledged writes lost`)
  for (const text of unbounded(observed, demand, plan)) tally.miss('bounds', text)
  const { missed, excused, why } = tally
  return {
    ...{ name: row.name, ok: missed.size === 0, requests: window.length, failed: failures.length, success, p999Ms },
    ...{ recoveryMs: round(recoveryMs), stale, lost, why: why.join('; ') },
    ...{ isMeasured: true, missed: [...missed], excused: [...excused] },
    details: [
      ...[countsText('before', before), countsText('window', window), countsText('after', after)],
      JSON.stringify({
        saw: healed.saw,
        hintsKept: healed.hintsKept,
        left: observed.left,
        lagMs: { ...observed.lagMs, window: healed.lagMs, generator: generatorMs },
      }),
      ...reports.map(({ queues }) => `queues at most: ${depthsText(queues)}`),
      ...reports.map(({ peaks, events, messages, nodes, herdReads }) =>
        JSON.stringify({ peaks, events, messages, herdReads, upAfterMs: upAfter(nodes, healed.healedMs) }),
      ),
      ...uncountedTexts(observed, plan),
      ...told,
    ],
  }
}

class Tally {
  readonly missed = new Set<DemandName>()
  readonly excused = new Set<DemandName>()
  readonly why: string[] = []

  /** @param lag what the machine was late by meanwhile, of what depends on its speed */
  miss(name: DemandName, text: string, lag?: string): void {
    if (lag === undefined) this.excused.delete(name)
    else if (!this.missed.has(name)) this.excused.add(name)
    this.missed.add(name)
    this.why.push(lag === undefined ? text : `void, for ${lag}: ${text}`)
  }
}

/** @returns why there was no fault to speak of */
function notFelt(
  row: Judged,
  demand: Demand,
  before: readonly RequestRow[],
  window: readonly RequestRow[],
  observed: Observed,
): string | undefined {
  const { reports } = observed
  if (row.signs !== undefined && !row.signs.some((sign) => reports.some(({ events }) => events[sign] !== undefined)))
    return `nobody felt the fault: no ${row.signs.join(', no ')}`
  if (row.setting?.fakeClock === true && reports.every(({ wallJumpMs }) => wallJumpMs < LEAST_WALL_JUMP_MS)) return 'no wall clock jumped'
  const { full = 0, evicted = 0 } = observed.healed.saw
  if (row.setting?.full === true && full < NODES.length) return `of ${NODES.length} nodes only ${full} were full when the fault came`
  // Of those that the fault has left; where it has left none they were full until then.
  if (row.setting?.full === true && !demand.emptied && evicted === 0) return 'no node evicted while the fault lasted'
  return row.proof?.({ before, window, observed })
}

/** @returns of each fault when the last request failed that was due after its healing and ended before the next fault, ms from its healing */
function recoveriesOf(requests: readonly RequestRow[], faults: readonly FaultSpan[], judging: Judging) {
  return faults.map(({ name, healedMs }, nth) => {
    const nextMs = faults[nth + 1]?.injectedMs ?? Number.POSITIVE_INFINITY
    const between = requests.filter(({ dueMs, tookMs }) => dueMs >= healedMs && dueMs + tookMs < nextMs)
    const failed = between.filter((each) => failureOf(each, judging) !== undefined)
    return { name, afterMs: failed.reduce((most, { dueMs }) => Math.max(most, dueMs - healedMs), 0), reasons: reasonsText(failed, judging) }
  })
}

/** @returns nodes that a client does not have, or not `up`, when all is over: others may answer for them for ever */
function notReturned({ clients }: Judged, reports: Observed['reports']): string[] {
  const [added, removed] = clients?.do === 'change-ring' ? [clients.add, clients.remove] : [[], []]
  const wanted = [...NODES.map(({ id }) => id), ...added].filter((id) => !removed.includes(id))
  return reports.flatMap(({ nodes }) => {
    const known = new Set(nodes.map(({ id }) => id))
    return [
      ...wanted.filter((id) => !known.has(id)).map((id) => `a client has no ${id}`),
      ...removed.filter((id) => known.has(id)).map((id) => `a client still has ${id}`),
      ...nodes.filter(({ state }) => state !== 'up').map(({ id, state }) => `to a client ${id} is ${state} when all is over`),
    ]
  })
}

/** Of nodes that came up after healing, how long it took, ms. */
function upAfter(nodes: Observed['reports'][number]['nodes'], healedMs: number): Record<string, number> {
  return Object.fromEntries(nodes.flatMap(({ id, upMs }) => (upMs !== undefined && upMs >= healedMs ? [[id, round(upMs - healedMs)]] : [])))
}

/** @returns what was late; undefined where it was on time */
function lagText(generatorMs: number, proxiesMs: number): string | undefined {
  if (generatorMs > VOID_LAG_MS) return `a generator lagged by ${round(generatorMs)} ms (p99.9)`
  if (proxiesMs > VOID_LAG_MS) return `the proxies lagged by ${round(proxiesMs)} ms (p99.9)`
  return undefined
}

function lagOf(requests: readonly RequestRow[]): number {
  return quantile(
    requests.map(({ lagMs }) => lagMs),
    0.999,
  )
}

function judgedHistory(observed: Observed, { recoveryMs }: Demand): { stale: number; lost: number; told: string[] } {
  const { counts, violations } = checkHistory(withQuietReads(observed, recoveryMs), { store: true, maxViolations: MOST_VIOLATIONS })
  const losses = violations.filter(isLoss)
  const others = violations.filter((each) => !isLoss(each))
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const told = [...losses, ...others].slice(0, TOLD_VIOLATIONS).map(violationText)
  return { stale: all - losses.length, lost: losses.length, told }
}

/** What the database has against what a read found says nothing of writes: it may be the read that was wrong. */
function isLoss({ operations: [accused, , newer] }: Violation): boolean {
  return accused?.level === 'database' && newer?.kind !== 'read'
}

/** What is no request of the row's: of a client that was killed, and of the time until there was another in its place. */
function uncountedTexts({ killed = [] }: Observed, plan: ChaosPlan): string[] {
  return killed.map(({ requests, killedMs, replacedMs }) => {
    const underWay = [...requestsOf(requests)].filter(({ result }) => result === 'unanswered').length
    const unsent = Math.round(((replacedMs - killedMs) * plan.rate) / CLIENTS / 1_000)
    return `not counted: ${underWay} requests under way in a client that was killed, and about ${unsent} that were due before its successor could be asked`
  })
}

/** How many requests ended how, and the longest of each. */
function countsText(name: string, requests: readonly RequestRow[]): string {
  const counts = new Map<string, { n: number; mostMs: number }>()
  for (const { kind, result, isSteady, tookMs, code } of requests) {
    const how = `${isSteady ? 'steady ' : ''}${kind} ${result}${code && ` ${code}`}`
    const { n, mostMs } = counts.get(how) ?? { n: 0, mostMs: 0 }
    counts.set(how, { n: n + 1, mostMs: Math.max(mostMs, tookMs) })
  }
  const texts = [...counts].sort().map(([how, { n, mostMs }]) => `${n} ${how} (to ${round(mostMs)} ms)`)
  return `${name}: ${texts.join(', ')}`
}

function quantile(values: readonly number[], fraction: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? 0
}

const round = (ms: number): number => Math.round(ms * 10) / 10
