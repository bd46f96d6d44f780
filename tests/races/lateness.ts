/**
 * How old what was read really was: what a bound promises at most, measured.
 *
 * A read is late by the time from the acknowledgement of the first write or delete that came after what it saw until its own call. What came
 * after is told by versions where both are known, and by real time where they did not overlap. Reads that found nothing
 * are not measured.
 */
import type { History, HistoryValue, Operation } from '../../src/testing/index.ts'

export interface Lateness {
  /** That saw a value. */
  readonly reads: number
  /** Of these: of something that was overtaken when they were called. */
  readonly late: number
  /** Over those that were late; 0 where none was. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** Writes of one key in an order, and from each on the earliest acknowledgement. */
interface Ranked<T extends number | bigint> {
  readonly ranks: readonly T[]
  readonly firstReturnMs: readonly number[]
}

export function latenessOf(history: History): Lateness {
  const written = new Map<HistoryValue, Operation>()
  const changes = new Map<string, Operation[]>()
  const reads: Operation[] = []
  for (let at = 0; at < history.size; at++) {
    const operation = history.at(at)
    if (operation.outcome !== 'ok') continue
    if (operation.kind === 'read') {
      if (operation.value !== undefined) reads.push(operation)
      continue
    }
    if (operation.value !== undefined) written.set(operation.value, operation)
    const ofKey = changes.get(operation.key)
    if (ofKey === undefined) changes.set(operation.key, [operation])
    else ofKey.push(operation)
  }
  const orders = new Map(Array.from(changes, ([key, ofKey]) => [key, { byVersion: byVersion(ofKey), byTime: byTime(ofKey) }]))
  const lateMs: number[] = []
  for (const read of reads) {
    const source = written.get(read.value!)
    const order = source && orders.get(read.key)
    if (order === undefined) continue
    const { version, returnMs } = source!
    const overtakenMs = Math.min(
      firstAfter(order.byTime, returnMs),
      version === undefined ? Number.POSITIVE_INFINITY : firstAfter(order.byVersion, version),
    )
    if (overtakenMs < read.callMs) lateMs.push(read.callMs - overtakenMs)
  }
  lateMs.sort((a, b) => a - b)
  const quantile = (fraction: number): number => lateMs[Math.min(lateMs.length - 1, Math.floor(fraction * lateMs.length))] ?? 0
  return { reads: reads.length, late: lateMs.length, p50Ms: quantile(0.5), p99Ms: quantile(0.99), maxMs: lateMs.at(-1) ?? 0 }
}

function byVersion(changes: readonly Operation[]): Ranked<bigint> {
  const known = changes.flatMap((each) => (each.version === undefined ? [] : [{ rank: each.version, returnMs: each.returnMs }]))
  return ranked(known.sort((a, b) => (a.rank < b.rank ? -1 : 1)))
}

/** By their calls: what was called after another had returned came after it. */
function byTime(changes: readonly Operation[]): Ranked<number> {
  return ranked(changes.map(({ callMs, returnMs }) => ({ rank: callMs, returnMs })).sort((a, b) => a.rank - b.rank))
}

function ranked<T extends number | bigint>(sorted: readonly { readonly rank: T; readonly returnMs: number }[]): Ranked<T> {
  const firstReturnMs = sorted.map(({ returnMs }) => returnMs)
  for (let nth = firstReturnMs.length - 2; nth >= 0; nth--) firstReturnMs[nth] = Math.min(firstReturnMs[nth]!, firstReturnMs[nth + 1]!)
  return { ranks: sorted.map(({ rank }) => rank), firstReturnMs }
}

/** The earliest acknowledgement among those that rank above; Infinity where there is none. */
function firstAfter<T extends number | bigint>({ ranks, firstReturnMs }: Ranked<T>, rank: T): number {
  let [low, high] = [0, ranks.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (ranks[middle]! > rank) high = middle
    else low = middle + 1
  }
  return firstReturnMs[low] ?? Number.POSITIVE_INFINITY
}
