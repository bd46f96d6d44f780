/**
 * What a change of the ring would come to: computed from the two rings, from what the nodes say that they hold, and from what was read and loaded while
 * that was measured, without looking at a value.
 *
 * Which part of all keys moves between which nodes follows exactly from the rings; how many keys there are is taken from the nodes' own counts, as if
 * every cache lay by the tier's own ring. What the database would be asked is that part of the hits that were measured, beside the loads that were.
 */
import { movedShares } from '../ring/moved-ranges.ts'
import type { Ring } from '../ring/ring.ts'
import { MOST_FAILED } from './entry-copies.ts'
import type { Measured, SeenReads } from './plan-measuring.ts'
import type { DatabaseOutlook, ExpectedLoads, Member, RingPlan } from './topology.ts'
import { AHEAD_MS, SETTLED_AFTER_MS } from './topology-watch.ts'
import { BATCH } from './walked-nodes.ts'

/** Calls, one after the other, for a batch of keys on one node: a scan, and what a step does with them. */
const TRIPS = { copying: 3, checking: 2, cleaning: 2 } as const

/** Parts of all keys, 0 to 1. */
interface Parts {
  /** With another first owner. */
  readonly moved: number
  /** Whose hits a change that just succeeds may have lost. */
  readonly lost: number
}

/** @param rate entries looked at a second */
export function planOf(before: Ring<Member>, after: Ring<Member>, measured: Measured, rate: number): RingPlan {
  const { primaries, copies } = movedShares(before, after)
  const { nodes, plainShare } = measured
  const entries = nodes.reduce((sum, { stats }) => sum + stats.entries, 0)
  const usedBytes = nodes.reduce((sum, { stats }) => sum + stats.usedBytes, 0)
  // One that does not answer is taken to hold what the others do.
  const all = nodes.length === 0 ? 0 : (entries * before.members.length) / nodes.length
  const keys = all / before.replicas
  const entryBytes = entries === 0 ? 0 : usedBytes / entries
  const moves = copies.moves.flatMap(({ from, to, share }) => (to === undefined ? [] : [{ from, to, copies: Math.round(share * keys) }]))
  const gained = new Map<string, number>()
  for (const { to, share } of copies.moves) if (to !== undefined) gained.set(to, (gained.get(to) ?? 0) + share * keys)
  const withoutRoom = Array.from(gained, ([id, some]) => Math.max(0, some - roomOf(id, measured, entryBytes))).reduce((a, b) => a + b, 0)
  const lost = keys === 0 ? 0 : Math.min(primaries.share, MOST_FAILED * copies.share) + withoutRoom / keys
  const parts = { moved: primaries.share, lost: Math.min(1, lost) }
  return {
    keys: Math.round(keys),
    loadsWithoutCopying: Math.round(primaries.share * keys),
    keysNotCopied: Math.round(primaries.share * keys * plainShare),
    entriesWithoutRoom: Math.round(withoutRoom),
    copies: Math.round(copies.share * keys),
    bytes: Math.round(copies.share * keys * entryBytes),
    moves,
    expectedMs: expectedMsOf(before.members, after.members, gained, measured, rate),
    database: { ofThisProcess: outlookOf(measured.ofThisProcess, parts), ofAllProcesses: outlookOf(measured.ofAllProcesses, parts) },
  }
}

/** Entries that a node takes without evicting any; no bound where it does not say. */
function roomOf(id: string, { nodes, joining }: Measured, entryBytes: number): number {
  const stats = [...nodes, ...joining].find((node) => node.id === id)?.stats
  if (stats === undefined || stats.maxBytes === 0 || entryBytes === 0) return Number.POSITIVE_INFINITY
  return Math.max(0, stats.maxBytes - stats.usedBytes) / entryBytes
}

function expectedMsOf(
  before: readonly Member[],
  after: readonly Member[],
  gained: ReadonlyMap<string, number>,
  { nodes }: Measured,
  rate: number,
): RingPlan['expectedMs'] {
  const mean = nodes.reduce((sum, { stats }) => sum + stats.entries, 0) / Math.max(1, nodes.length)
  const heldBy = ({ id }: Member): number => nodes.find((node) => node.id === id)?.stats.entries ?? mean
  const heldLaterBy = (member: Member): number => (before.includes(member) ? heldBy(member) : 0) + (gained.get(member.id) ?? 0)
  const walkMs = (members: readonly Member[], held: (member: Member) => number, trips: number): number => {
    const tripsMs = members.map(
      (member) => Math.ceil(held(member) / BATCH) * trips * (nodes.find(({ id }) => id === member.id)?.rttMs ?? 0),
    )
    return Math.max((members.reduce((sum, member) => sum + held(member), 0) * 1_000) / rate, ...tripsMs)
  }
  const staying = before.filter(({ id }) => after.some((member) => member.id === id))
  const joining = after.filter(({ id }) => !before.some((member) => member.id === id))
  const stepMs = AHEAD_MS + SETTLED_AFTER_MS
  const steps = {
    cleaning: Math.round(walkMs(staying, heldBy, TRIPS.cleaning) + walkMs([...before, ...joining], heldLaterBy, TRIPS.cleaning)),
    moving: stepMs,
    copying: Math.round(walkMs(before, heldBy, TRIPS.copying)),
    switching: stepMs,
    checking: Math.round(walkMs(before, heldLaterBy, TRIPS.checking)),
    settling: stepMs,
  }
  return { ...steps, total: Object.values(steps).reduce((sum, ms) => sum + ms, 0) }
}

function outlookOf(seen: SeenReads | undefined, { moved, lost }: Parts): DatabaseOutlook | undefined {
  if (seen === undefined) return undefined
  const { measuredMs, hits, plainHits, loads } = seen
  const expected = (some: number): ExpectedLoads => ({
    loadsPerSecond: (some * 1_000) / measuredMs,
    timesNow: loads === 0 ? undefined : some / loads,
  })
  const switched = loads + plainHits * moved
  return {
    measuredMs,
    hitsSeen: Math.round(hits),
    loadsSeen: Math.round(loads),
    now: expected(loads),
    copying: expected(loads),
    switched: expected(switched),
    atMost: expected(switched + (hits - plainHits) * lost + loads * moved),
    withoutCopying: expected(loads + hits * moved),
  }
}
