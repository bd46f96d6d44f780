/**
 * What a plan goes by: what the nodes hold, and what was read and loaded between two looks at what nodes and this process have counted.
 *
 * Counts since a start say what was, on the mean of hours or weeks; what the database sees now is their difference over some seconds. This process knows
 * exactly what it loaded, and nothing of others. The nodes are asked by everybody, but count lookups: of a load with leases the read's miss, the lease's, and one
 * at each owner but the first that is given the value, and a hit at the first, where the lease lies; of a plain value, that has none of these, the read's alone.
 */
import type { Clock } from '../clock.ts'
import type { CacheNode, NodeStats } from '../node/node.ts'
import type { CountedReads } from './topology.ts'

/** Of one look at one node, ms. */
const CALL = { timeoutMs: 1_000 }
/** Keys of one node that are looked at for which are plain. */
const SAMPLED = 1_000
/** Of one look for hints, for each node that may have missed something. */
const LOOKS_FOR_HINTS = 2
/** What the keys of entries and records begin with, and plain keys do not. */
const OURS = 'rt:'

export interface SeenReads extends CountedReads {
  readonly measuredMs: number
}

interface NodeFacts {
  readonly id: string
  readonly stats: NodeStats
  /** Of a ping; 0 where it did not answer. */
  readonly rttMs: number
}

export interface Measured {
  /** Of the ring that is read, those that answered. */
  readonly nodes: readonly NodeFacts[]
  /** Nodes that are to be added, as far as they answer before they are connected. */
  readonly joining: readonly Pick<NodeFacts, 'id' | 'stats'>[]
  /** Part of the keys that are plain, 0 to 1. */
  readonly plainShare: number
  /** Undefined: nothing was read. */
  readonly ofThisProcess: SeenReads | undefined
  readonly ofAllProcesses: SeenReads | undefined
}

export interface Measuring {
  /** Of the ring that is read. */
  readonly nodes: readonly CacheNode[]
  readonly joining: readonly CacheNode[]
  readonly replicas: number
  /** Whether the nodes have a record of the ring: every process asks for it, as it does for hints, which servers count like any other lookup. */
  readonly isRecorded: boolean
  readonly clock: Pick<Clock, 'monotonic'>
  /** What this process has counted so far. */
  readonly reads: () => CountedReads
  /** Waits for as long as is to be measured; undefined: nothing is measured. */
  readonly wait: (() => Promise<void>) | undefined
}

/** @throws what `wait` throws */
export async function measured({ nodes, joining, replicas, isRecorded, clock, reads, wait }: Measuring): Promise<Measured> {
  const read = reads()
  const earlier = wait && (await statsOf(nodes))
  const startMs = clock.monotonic()
  await wait?.()
  const measuredMs = clock.monotonic() - startMs
  const later = await statsOf(nodes)
  const now = reads()
  const [rtts, plain, ofJoining] = await Promise.all([
    Promise.all(
      nodes.map((node) =>
        node.ping(CALL).then(
          ({ rttMs }) => rttMs,
          () => 0,
        ),
      ),
    ),
    Promise.all(nodes.map(plainShareOf)),
    statsOf(joining),
  ])
  const plainShare = meanBy(
    plain,
    later.map((stats) => stats?.entries ?? 0),
  )
  const factsOf = (stats: NodeStats | undefined, at: number) =>
    stats === undefined ? [] : [{ id: nodes[at]!.id, stats, rttMs: rtts[at]! }]
  const isMeasured = earlier !== undefined && measuredMs > 0
  const ofNodes = isMeasured ? lookedUp(earlier, later, isRecorded) : { hits: 0, misses: 0 }
  const loads = ofNodes.misses / (1 + (1 - plainShare) * replicas)
  // The fill of a lease finds the vacant entry that holds it.
  const hits = Math.max(0, ofNodes.hits - loads * (1 - plainShare))
  const all = { hits, plainHits: hits * plainShare, loads }
  const own = { hits: now.hits - read.hits, plainHits: now.plainHits - read.plainHits, loads: now.loads - read.loads }
  const seen = (counted: CountedReads): SeenReads | undefined =>
    isMeasured && counted.hits + counted.loads > 0 ? { ...counted, measuredMs } : undefined
  return {
    nodes: later.flatMap(factsOf),
    joining: ofJoining.flatMap((stats, at) => (stats === undefined ? [] : [{ id: joining[at]!.id, stats }])),
    plainShare,
    ofThisProcess: seen(own),
    ofAllProcesses: seen(all),
  }
}

function statsOf(nodes: readonly CacheNode[]): Promise<(NodeStats | undefined)[]> {
  return Promise.all(nodes.map((node) => node.stats(CALL).catch(() => undefined)))
}

/** Keys looked up between two looks. A node that did not answer twice, or began anew, is taken to be asked for what the others are. */
function lookedUp(
  earlier: readonly (NodeStats | undefined)[],
  later: readonly (NodeStats | undefined)[],
  isRecorded: boolean,
): { readonly hits: number; readonly misses: number } {
  const sums = { hits: 0, misses: 0, nodes: 0 }
  for (const [at, before] of earlier.entries()) {
    const after = later[at]
    if (before === undefined || after === undefined) continue
    const hits = after.hits - before.hits
    const misses = after.misses - before.misses
    const records = after.controlReads - before.controlReads
    const hints = after.hintReads - before.hintReads
    if (hits < 0 || misses < 0 || records < 0 || hints < 0) continue
    // With each look for hints, which as a rule are not there, goes one at the node's own record, which is.
    const present = isRecorded ? records : Math.min(records, hints / (LOOKS_FOR_HINTS * earlier.length))
    sums.hits += Math.max(0, hits - present)
    sums.misses += Math.max(0, misses - hints - (records - present))
    sums.nodes++
  }
  const scale = sums.nodes === 0 ? 0 : earlier.length / sums.nodes
  return { hits: sums.hits * scale, misses: sums.misses * scale }
}

/** @returns undefined where none can be looked at */
async function plainShareOf(node: CacheNode): Promise<number | undefined> {
  try {
    let looked = 0
    let plain = 0
    for await (const keys of node.scan('', { batch: SAMPLED })) {
      looked += keys.length
      plain += keys.filter((key) => !key.startsWith(OURS)).length
      if (looked >= SAMPLED) break
    }
    return looked === 0 ? undefined : plain / looked
  } catch {
    return undefined
  }
}

function meanBy(values: readonly (number | undefined)[], weights: readonly number[]): number {
  const sums = { value: 0, weight: 0 }
  for (const [at, value] of values.entries()) {
    if (value === undefined) continue
    sums.value += value * weights[at]!
    sums.weight += weights[at]!
  }
  return sums.weight === 0 ? 0 : sums.value / sums.weight
}
