/**
 * The verdict on a simulated row, in the words of the verdict on the real one: what was not kept, of what both can show.
 *
 * The checks of the simulation say what was read, written and left behind. What is added here is what the real row demands of requests: while
 * nodes or the store can answer none fails, none is late in the window, and past the recovery none fails at all. A fault that nobody felt
 * has shown nothing here either.
 */
import type { EventName } from '../../src/events.ts'
import type { Rule } from '../simulation/checks.ts'
import { CACHES, type CacheKind, type CacheName, type OperationName } from '../simulation/operations.ts'
import type { Plan } from '../simulation/plan.ts'
import { type Ended, runPlan } from '../simulation/simulation.ts'
import { DEADLINE_MS } from './chaos-plan.ts'
import type { DemandName } from './judge.ts'
import type { Demand, FaultRow } from './row.ts'
import { FAULT_MS } from './simulated-rows.ts'

/** What both verdicts speak of. How quick hits are, and what the database is spared, is of load: the simulation has next to none. */
export const COMMON: readonly DemandName[] = ['felt', 'right', 'requests', 'recovery', 'stale', 'lost', 'bounds']

export interface SimulatedVerdict {
  readonly missed: readonly DemandName[]
  readonly why: readonly string[]
  /** Requests of the window that were judged. */
  readonly requests: number
}

const DEMAND_OF: Readonly<Record<Rule, DemandName>> = {
  ...{ overtaken: 'stale', 'came back': 'stale', outlived: 'stale', 'old load': 'stale', 'old refresh': 'stale', session: 'stale' },
  ...{ phantom: 'stale', backwards: 'stale', apart: 'stale', lease: 'right', 'wrong error': 'right' },
  ...{ unsaved: 'lost', 'lost update': 'lost', unacknowledged: 'lost' },
  ...{ late: 'requests', hung: 'right', unhealed: 'recovery', leak: 'bounds' },
}

/** As in the real rows there is a database, which answers where nodes do not. */
const hasDatabase = (cache: CacheName): boolean => (CACHES[cache] as CacheKind).versioned !== undefined
const READS: readonly OperationName[] = ['get', 'getMany']
const CHANGES: readonly OperationName[] = ['set', 'delete']
/** A message of the simulated network may be lost, and sent again after 200 ms, on each of its ways. */
const NETWORK_MS = 1_000

export async function simulatedVerdict(plan: Plan, row: FaultRow, demand: Demand): Promise<SimulatedVerdict> {
  const startMs = Math.min(...plan.faults.map(({ atMs }) => atMs))
  // What is over at once is looked on at for as long as the others.
  const endMs = Math.max(startMs + FAULT_MS, ...plan.faults.map(({ atMs, forMs }) => atMs + forMs))
  const why: string[] = []
  const missed = new Set<DemandName>()
  const miss = (name: DemandName, text: string): void => {
    missed.add(name)
    why.push(`${name}: ${text}`)
  }
  const told = new Set<EventName>()
  const ended: Ended[] = []
  const { violations } = await runPlan(plan, {
    opened: ({ members }) => {
      for (const sign of row.signs ?? []) for (const { tier } of members) tier.on(sign, () => void told.add(sign))
    },
    ended: (each) => void ended.push(each),
  })
  for (const { rule, key, what } of violations) miss(DEMAND_OF[rule], `${rule} of ${key}: ${what}`)
  if (row.signs !== undefined && told.size === 0) miss('felt', `no ${row.signs.join(', no ')}`)
  const of = ended.filter(({ planned: { cache, name } }) => hasDatabase(cache) && (READS.includes(name) || CHANGES.includes(name)))
  const window = of.filter(({ callMs }) => callMs >= startMs && callMs < endMs)
  for (const each of window) {
    const reason = failureOf(each, demand)
    if (reason !== undefined) miss('requests', `${reason} in the window`)
  }
  for (const each of of.filter(({ callMs }) => callMs >= endMs + demand.recoveryMs)) {
    if (each.error !== undefined) miss('recovery', `${textOf(each)} ${(each.callMs - endMs).toFixed(0)} ms after healing`)
  }
  return { missed: COMMON.filter((each) => missed.has(each)), why, requests: window.length }
}

function failureOf(each: Ended, { away }: Demand): string | undefined {
  // The database of the simulation is one: where a shard of it is away, it all is, and what it alone can answer is refused.
  if (each.error !== undefined) return away === 'none' ? textOf(each) : undefined
  const mostMs = DEADLINE_MS.stored + NETWORK_MS
  return each.tookMs <= mostMs ? undefined : `${textOf(each)} after ${each.tookMs.toFixed(0)} ms`
}

function textOf({ planned: { name, cache, keys }, error }: Ended): string {
  return `${name} of ${cache}${keys[0]} ${error === undefined ? 'was answered' : `failed: ${error}`}`
}
