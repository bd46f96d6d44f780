/**
 * What must stay bounded whatever happens: memory, sockets, requests under way, the tier's own queues, what the database and one node are asked for;
 * and what is left in queues at rest, and once a client has closed.
 */
import { type ChaosPlan, MOST_IN_FLIGHT } from './chaos-plan.ts'
import type { Observed } from './observed.ts'
import { overfull } from './queue-depths.ts'
import type { Demand } from './row.ts'

const MOST_HEAP_GROWTH_MB = 256
/** Of buffers, outside of the heap: those of sockets, and entries on their way. */
const MOST_EXTERNAL_GROWTH_MB = 128
/** Of all that the process has. Node keeps heap that it has freed, so it is above the two together. */
const MOST_RSS_GROWTH_MB = 448
/** Five nodes with their links and watches, and the pools of three shards. */
const MOST_SOCKETS = 120
/** Of one node for another: beyond it one says that anything may have been missed. */
const MOST_HINTS = 100_000

/**
 * A key is hot from the eighth of its reads on that is noted, and one read in 16 is: until then, some 250 reads, the herd's go to one owner. Of
 * few more, as in the short form, nothing follows.
 */
const LEAST_HERD_READS = 2_000

/** @returns what was not */
export function unbounded({ reports, waiting, hintsLeft, left, injectedMs, healed }: Observed, demand: Demand, plan: ChaosPlan): string[] {
  const why: string[] = []
  for (const { peaks, queues } of reports) {
    why.push(...overfull(queues))
    for (const [what, first, most, bound] of [
      ['heap', peaks.firstHeapMb, peaks.heapMb, MOST_HEAP_GROWTH_MB],
      ['memory outside of the heap', peaks.firstExternalMb, peaks.externalMb, MOST_EXTERNAL_GROWTH_MB],
      ['resident memory', peaks.firstRssMb, peaks.rssMb, MOST_RSS_GROWTH_MB],
    ] as const)
      if (most - first > bound) why.push(`a client's ${what} grew from ${first} to ${most} MB`)
    if (peaks.sockets > MOST_SOCKETS) why.push(`a client had ${peaks.sockets} sockets`)
    if (peaks.inFlight >= MOST_IN_FLIGHT) why.push(`a client had ${peaks.inFlight} requests under way`)
  }
  for (const { herdReads } of reports) {
    const all = Object.values(herdReads).reduce((sum, reads) => sum + reads, 0)
    for (const [id, reads] of Object.entries(herdReads))
      if (all >= LEAST_HERD_READS && reads > demand.mostOfOneNode * all)
        why.push(`${id} answered ${reads} of the ${all} reads of a client while there was a herd`)
  }
  for (const depths of waiting) for (const [kind, depth] of Object.entries(depths)) why.push(`at rest a client has ${depth} in ${kind}`)
  if (healed.hintsKept > MOST_HINTS) why.push(`a node kept ${healed.hintsKept} hints for another`)
  if (hintsLeft > 0) why.push(`at rest a node keeps ${hintsLeft} hints for another`)
  for (const resources of left) if (resources.length > 0) why.push(`a closed client has ${countedText(resources)}`)
  const loaded = loadsBetween(reports, injectedMs, healed.healedMs)
  const most = demand.mostLoads(plan.faultMs)
  if (loaded > most) why.push(`the database was asked for ${loaded} rows, and ${Math.round(most)} would do`)
  return why
}

function countedText(names: readonly string[]): string {
  return [...new Set(names)].map((name) => `${names.filter((each) => each === name).length} ${name}`).join(', ')
}

/** Rows that all clients asked the store for, as looked at every 100 ms. */
export function loadsBetween(reports: Observed['reports'], fromMs: number, toMs: number): number {
  let sum = 0
  for (const { loads } of reports) {
    const until = (ms: number): number => loads.findLast(([atMs]) => atMs <= ms)?.[1] ?? 0
    sum += until(toMs) - until(fromMs)
  }
  return sum
}
