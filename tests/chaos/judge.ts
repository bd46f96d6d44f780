/**
 * Says of a row whether the tier kept what is demanded, and why not.
 *
 * A request fails if it has no answer, a wrong one, or a late one, counted from when it was due; what was never sent has failed too. What was
 * read and acknowledged is judged by the history checker. A measurement that the machine spoilt is void: not a pass, whatever it came to.
 */
import { checkHistory, type Violation, violationText } from '../../src/testing/index.ts'
import { type ChaosPlan, DEADLINE_MS, MOST_IN_FLIGHT, VOID_LAG_MS } from './chaos-plan.ts'
import type { Observed } from './observed.ts'
import { type RequestRow, requestsOf } from './request-log.ts'
import type { Demand, FaultRow } from './row.ts'
import type { RowName } from './row-names.ts'

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

/** What can be kept or not. `requests`: their share that must not fail. `hits`: how long they took. `bounds`: of memory, sockets, loads. */
export const DEMANDS = ['requests', 'hits', 'recovery', 'stale', 'lost', 'bounds'] as const
export type DemandName = (typeof DEMANDS)[number]

export interface RowVerdict extends RowReport {
  /** The machine spoilt the measurement. */
  readonly isVoid: boolean
  readonly isMeasured: boolean
  /** What was not kept. */
  readonly missed: readonly DemandName[]
  /** For who looks into it. */
  readonly details: readonly string[]
}

const MOST_HEAP_GROWTH_MB = 256
/** Five nodes with their links and watches, and the pools of three shards. */
const MOST_SOCKETS = 120
/** Nearly the 10 minutes that are ordered. */
const LEAST_WALL_JUMP_MS = 500_000
/** Of the share of reads that hit. */
const MOST_DIP = 0.01
const MOST_VIOLATIONS = 10_000
const TOLD_VIOLATIONS = 5

/** A row, or a soak. */
interface Judged extends Pick<FaultRow, 'clients' | 'signs' | 'setting'> {
  readonly name: RowName | 'soak'
}

/** A row of which nothing was measured. */
export function unmeasured(name: RowName | 'soak', why: string): RowVerdict {
  return {
    ...{ name, ok: false, requests: 0, failed: 0, success: 0, p999Ms: null, recoveryMs: null, stale: 0, lost: 0, why },
    isVoid: false,
    isMeasured: false,
    missed: [],
    details: [],
  }
}

export function judge(row: Judged, demand: Demand, plan: ChaosPlan, observed: Observed): RowVerdict {
  const { loadMs, injectedMs, healed, reports } = observed
  const requests = reports.flatMap((report) => [...requestsOf(report.requests)])
  const before = requests.filter(({ dueMs }) => dueMs >= loadMs && dueMs < injectedMs)
  const window = requests.filter(({ dueMs }) => dueMs >= injectedMs && dueMs < healed.healedMs)
  const after = requests.filter(({ dueMs }) => dueMs >= healed.healedMs)
  const failures = window.filter((request) => failureOf(request, demand, true) !== undefined)
  const lastMs = Math.max(
    0,
    ...after.filter((each) => failureOf(each, demand, false) !== undefined).map(({ dueMs }) => dueMs - healed.healedMs),
  )
  const hits = window.filter(({ kind, result }) => kind === 'read' && (result === 'hit' || result === 'stale')).map(({ tookMs }) => tookMs)
  const p999Ms = hits.length === 0 ? null : round(quantile(hits, 0.999))
  const { stale, lost, told } = judgedHistory(observed)
  const success = window.length === 0 ? 0 : 1 - failures.length / window.length
  const why: string[] = []
  const missed: DemandName[] = []
  const miss = (name: DemandName, text: string): void => {
    missed.push(name)
    why.push(text)
  }
  const isVoid = voidness(row, before, window, observed, demand)
  if (isVoid !== undefined) why.push(`void: ${isVoid}`)
  const least = Math.ceil(plan.leastRequests * (row.clients?.do === 'kill' ? 0.5 : 1))
  if (window.length < least) miss('requests', `only ${window.length} requests of ${least} in the window`)
  const isEnough = plan.noneMayFail && demand.success > 0 ? failures.length === 0 : success >= demand.success
  if (!isEnough) {
    const reasons = reasonsText(window, demand, true)
    miss('requests', `${failures.length} failed (${reasons}), worst second ${worstSecond(window, demand, injectedMs)}`)
  }
  if (p999Ms !== null && p999Ms > demand.hitP999Ms) miss('hits', `p99.9 of hits ${p999Ms} ms`)
  if (lastMs > demand.recoveryMs) miss('recovery', `still failing ${round(lastMs)} ms after healing (${reasonsText(after, demand, false)})`)
  if (stale > 0) miss('stale', `${stale} reads past their bound`)
  if (lost > 0) miss('lost', `${lost} acknowledged writes lost`)
  if (demand.asEver && isVoid === undefined) for (const text of unlikeEver(window, [...before, ...after], observed)) miss('bounds', text)
  for (const text of unbounded(observed, demand, plan)) miss('bounds', text)
  return {
    ...{ name: row.name, ok: why.length === 0, requests: window.length, failed: failures.length, success, p999Ms },
    ...{ recoveryMs: round(lastMs), stale, lost, why: why.join('; ') },
    ...{ isVoid: isVoid !== undefined, isMeasured: true, missed },
    details: [...reports.map(({ peaks, events, messages }) => JSON.stringify({ peaks, events, messages })), ...told],
  }
}

/** @param excusing whether what the row allows to be refused may be: not after healing @returns why it failed; undefined: it did not */
function failureOf(request: RequestRow, demand: Demand, excusing: boolean): string | undefined {
  const { kind, result, tookMs, code } = request
  if (result === 'refused') {
    const isExcused = excusing && tookMs <= DEADLINE_MS.stored && (demand.mayShed || needsWhatIsAway(request, demand))
    return isExcused ? undefined : `${kind} refused with ${code}`
  }
  if (result === 'broken') return `${kind} broken by ${code}`
  if (result === 'wrong' || result === 'unsent' || result === 'unanswered') return `${kind} ${result}`
  // Of several keys that are changed one may have been waited for while another process loaded it.
  const isHeld = (result === 'hit' || result === 'stale') && (kind === 'read' || (request.isSteady && !demand.emptied))
  return tookMs <= (isHeld ? DEADLINE_MS.held : DEADLINE_MS.stored) ? undefined : `${kind} ${result} late`
}

function needsWhatIsAway({ kind, isSteady, shard }: RequestRow, { away }: Demand): boolean {
  if (away === 'none' || isSteady) return false
  return away === 'all' || shard === 0 || kind === 'many'
}

/** Of a surge the generator may be late: it is asked for more than can be done. */
function voidness(
  row: Judged,
  before: readonly RequestRow[],
  window: readonly RequestRow[],
  { reports, healed }: Observed,
  demand: Demand,
): string | undefined {
  const early = reasonsText(before, demand, false)
  if (early !== '') return `of ${before.length} requests some failed before there was a fault (${early})`
  if (row.signs !== undefined && !row.signs.some((sign) => reports.some(({ events }) => events[sign] !== undefined)))
    return `nobody felt the fault: no ${row.signs.join(', no ')}`
  if (row.setting?.fakeClock === true && reports.every(({ wallJumpMs }) => wallJumpMs < LEAST_WALL_JUMP_MS)) return 'no wall clock jumped'
  if (row.clients?.do === 'surge') return undefined
  const lagMs = quantile(
    window.map((each) => each.lagMs),
    0.999,
  )
  if (lagMs > VOID_LAG_MS) return `a generator lagged by ${round(lagMs)} ms (p99.9)`
  if (healed.lagMs > VOID_LAG_MS) return `the proxies lagged by ${round(healed.lagMs)} ms (p99.9)`
  return undefined
}

function judgedHistory({ history }: Observed): { stale: number; lost: number; told: string[] } {
  const { counts, violations } = checkHistory(history, { store: true, maxViolations: MOST_VIOLATIONS })
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

function unbounded({ reports, injectedMs, healed }: Observed, demand: Demand, plan: ChaosPlan): string[] {
  const why: string[] = []
  let loaded = 0
  for (const { peaks, loads } of reports) {
    if (peaks.heapMb - peaks.firstHeapMb > MOST_HEAP_GROWTH_MB) why.push(`a heap grew from ${peaks.firstHeapMb} to ${peaks.heapMb} MB`)
    if (peaks.sockets > MOST_SOCKETS) why.push(`a client had ${peaks.sockets} sockets`)
    if (peaks.inFlight >= MOST_IN_FLIGHT) why.push(`a client had ${peaks.inFlight} requests under way`)
    const until = (ms: number): number => loads.findLast(([atMs]) => atMs <= ms)?.[1] ?? 0
    loaded += until(healed.healedMs) - until(injectedMs)
  }
  const most = demand.mostLoads(plan.faultMs)
  if (loaded > most) why.push(`the database was asked for ${loaded} rows, and ${Math.round(most)} would do`)
  return why
}

/** The share of hits and the loads, in the window and outside of it; a difference that chance explains says nothing. */
function unlikeEver(window: readonly RequestRow[], outside: readonly RequestRow[], { reports, injectedMs, healed }: Observed): string[] {
  const reads = (requests: readonly RequestRow[]): RequestRow[] => requests.filter(({ kind }) => kind === 'read')
  const missed = (requests: readonly RequestRow[]): number =>
    1 - requests.filter(({ result }) => result === 'hit' || result === 'stale').length / Math.max(1, requests.length)
  const [inside, usual] = [missed(reads(window)), missed(reads(outside))]
  const chance = Math.sqrt(
    (usual * (1 - usual)) / Math.max(1, reads(window).length) + (usual * (1 - usual)) / Math.max(1, reads(outside).length),
  )
  const why: string[] = []
  if (inside > usual + MOST_DIP + 3 * chance) why.push(`${percent(inside)} of reads missed, and outside of the window ${percent(usual)}`)
  let [loads, usualLoads, usualMs] = [0, 0, 0]
  for (const { loads: looks } of reports) {
    const until = (ms: number): number => looks.findLast(([atMs]) => atMs <= ms)?.[1] ?? 0
    const all = (looks.at(-1)?.[1] ?? 0) - (looks[0]?.[1] ?? 0)
    loads += until(healed.healedMs) - until(injectedMs)
    usualLoads += all - (until(healed.healedMs) - until(injectedMs))
    usualMs = (looks.at(-1)?.[0] ?? 0) - (looks[0]?.[0] ?? 0) - (healed.healedMs - injectedMs)
  }
  const expected = (usualLoads * (healed.healedMs - injectedMs)) / Math.max(1, usualMs)
  if (loads > 2 * expected + 3 * Math.sqrt(expected))
    why.push(`the database was asked for ${loads} rows, where ${Math.round(expected)} are usual`)
  return why
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`

/** The most frequent ones; '' where none failed. */
function reasonsText(requests: readonly RequestRow[], demand: Demand, excusing: boolean): string {
  const counts = new Map<string, number>()
  for (const request of requests) {
    const reason = failureOf(request, demand, excusing)
    if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
  const sorted = [...counts].sort(([, one], [, other]) => other - one)
  return sorted
    .slice(0, 4)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ')
}

function worstSecond(window: readonly RequestRow[], demand: Demand, startMs: number): string {
  const seconds = new Map<number, { all: number; failed: number }>()
  for (const request of window) {
    const second = Math.floor((request.dueMs - startMs) / 1_000)
    const counts = seconds.get(second) ?? { all: 0, failed: 0 }
    seconds.set(second, { all: counts.all + 1, failed: counts.failed + (failureOf(request, demand, true) === undefined ? 0 : 1) })
  }
  let [worst, share] = [0, 1]
  for (const [second, { all, failed }] of seconds) if (1 - failed / all < share) [worst, share] = [second, 1 - failed / all]
  return `${(share * 100).toFixed(1)} % (the ${worst + 1}.)`
}

function quantile(values: readonly number[], fraction: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? 0
}

const round = (ms: number): number => Math.round(ms * 10) / 10
