/**
 * What a tier can tell of its nodes: where they stand on the ring, what they hold, what they have answered.
 */
import type { CacheReport } from './caches/cache.ts'
import type { CacheNode } from './node/node.ts'
import type { Health, NodeState } from './resilience/health.ts'
import { sharesOf } from './ring/moved-ranges.ts'
import type { Ring } from './ring/ring.ts'

export interface NodeReport {
  readonly id: string
  readonly zone: string | undefined
  /** As it was decided last: see `Tier.changeRing`. */
  readonly weight: number
  readonly engine: string
  readonly engineVersion: string | undefined
  /** Whether it answered when it was last spoken to. */
  readonly up: boolean
  /** What this process thinks of it, which steers its reads. */
  readonly state: NodeState
  /** The part of all keys of which it is the first owner by the tier's own ring, 0 to 1. */
  readonly share: number
  /** Entries of all kinds; undefined, like the three below, when the node did not answer. */
  readonly entries: number | undefined
  readonly usedBytes: number | undefined
  /** 0: no limit. */
  readonly maxBytes: number | undefined
  readonly evicted: number | undefined
  /** Reads that it answered, and the hits (stale and negative ones too) among them. */
  readonly reads: number
  readonly hits: number
  /** Tries that it failed and changes it missed. */
  readonly errors: number
}

export async function reportNodes(
  ring: Ring<CacheNode>,
  health: Pick<Health, 'isDown' | 'stateOf'>,
  members: readonly Pick<CacheNode, 'id' | 'weight'>[],
  caches: readonly CacheReport[],
): Promise<NodeReport[]> {
  const shares = sharesOf(ring)
  return Promise.all(
    ring.members.map(async (node): Promise<NodeReport> => {
      const stats = await node.stats().catch(() => undefined)
      return {
        id: node.id,
        zone: node.zone,
        weight: members.find(({ id }) => id === node.id)?.weight ?? node.weight,
        engine: stats?.engine ?? node.engine,
        engineVersion: stats?.engineVersion,
        up: stats !== undefined && !health.isDown(node.id),
        state: health.stateOf(node.id),
        share: shares.get(node.id)?.primaries ?? 0,
        entries: stats?.entries,
        usedBytes: stats?.usedBytes,
        maxBytes: stats?.maxBytes,
        evicted: stats?.evicted,
        ...answersOf(node.id, caches),
      }
    }),
  )
}

function answersOf(node: string, caches: readonly CacheReport[]): Pick<NodeReport, 'reads' | 'hits' | 'errors'> {
  const sums = { reads: 0, hits: 0, errors: 0 }
  for (const cache of caches) {
    const counts = Object.hasOwn(cache.byNode, node) ? cache.byNode[node] : undefined
    if (counts === undefined) continue
    const hits = counts.hits + counts.stale + counts.negativeHits
    sums.hits += hits
    sums.reads += hits + counts.misses
    sums.errors += counts.errors
  }
  return sums
}
