/**
 * What a tier counts of itself in this process, as a snapshot.
 */
import type { Cache, CacheReport } from './caches/cache.ts'
import type { ConsistencyCounts } from './consistency/consistency.ts'
import type { RunningCheck } from './consistency/running-check.ts'
import { type QueueTeller, queuesOf, type TierQueues } from './queues.ts'
import type { CountedReads } from './topology/topology.ts'

export interface TierMetrics {
  readonly caches: Readonly<Record<string, CacheReport>>
  /** Of the consistency checks made in this process, by cache; the last of each. */
  readonly consistency: Readonly<Record<string, ConsistencyCounts>>
  /** How much waits or is under way in this process now, and how much may: of each kind of queue the fullest. */
  readonly queues: TierQueues
}

interface TierParts {
  readonly caches: ReadonlyMap<string, Pick<Cache<unknown>, 'metrics'>>
  readonly checks: ReadonlyMap<string, Pick<RunningCheck<unknown>, 'counts'>>
  readonly queueing: Iterable<QueueTeller>
}

export function tierMetrics({ caches, checks, queueing }: TierParts): TierMetrics {
  return {
    caches: Object.fromEntries(Array.from(caches, ([name, cache]) => [name, cache.metrics()])),
    consistency: Object.fromEntries(Array.from(checks, ([name, check]) => [name, check.counts()])),
    queues: queuesOf(queueing),
  }
}

/** What all caches of this process have read from the nodes and loaded. Near hits ask no node. */
export function countedReads(caches: Iterable<Pick<Cache<unknown>, 'metrics' | 'isPlain'>>): CountedReads {
  const sums = { hits: 0, plainHits: 0, loads: 0 }
  for (const cache of caches) {
    const { byNode, store, misses } = cache.metrics()
    const hits = Object.values(byNode).reduce((sum, each) => sum + each.hits + each.stale + each.negativeHits, 0)
    sums.hits += hits
    if (cache.isPlain) sums.plainHits += hits
    sums.loads += store?.keysLoaded ?? misses
  }
  return sums
}
