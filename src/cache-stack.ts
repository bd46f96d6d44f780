/**
 * What stands below one cache, each part on the one before: its place on the ring, its names and bytes, its groups, its keyspace, its strategy.
 *
 * A tier builds one for each of its caches, and so does whoever wants a cache without a tier (`testing/bare-cache.ts`); what is shared by the
 * caches of a tier is handed in.
 */
import type { CheckedCacheOptions } from './caches/cache-options.ts'
import type { Clock, Random } from './clock.ts'
import type { Cluster } from './cluster/cluster.ts'
import { type ClusterParts, RingCluster } from './cluster/ring-cluster.ts'
import type { Codec } from './codec/codec.ts'
import { type KeyCodec, namespacedKey, plainKey } from './codec/key.ts'
import type { Emit } from './events.ts'
import { Groups } from './invalidation/groups.ts'
import type { Invalidations } from './invalidation/invalidation.ts'
import { Keyspace, type KeyspaceParts } from './keyspaces/keyspace.ts'
import type { CacheNode } from './node/node.ts'
import type { QueueTeller } from './queues.ts'
import type { Ring } from './ring/ring.ts'
import type { Strategy, StrategyParts } from './strategy/strategy.ts'

export interface CacheStackParts<V>
  extends Pick<ClusterParts, 'zone' | 'hints' | 'nodeFailed' | 'isUninformed'>,
    Pick<KeyspaceParts<V>, 'versions' | 'readClock'>,
    Pick<StrategyParts<V>, 'guard' | 'behind'> {
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  readonly ring: Ring<CacheNode>
  readonly codec: Codec<V>
  readonly invalidations: Invalidations
  /** Told when no owner could answer and the store was used without the cache. Default: nobody is. */
  readonly bypassed?: StrategyParts<V>['bypassed'] | undefined
}

export interface CacheStack<V> {
  readonly cluster: Cluster
  readonly keys: KeyCodec
  /** Undefined where values are plain: they have none. */
  readonly groups: Groups | undefined
  readonly strategy: Strategy<V>
  /** In which of them something waits. */
  readonly queueing: readonly QueueTeller[]
}

/** @param name the cache's */
export function cacheStack<V>(name: string, options: CheckedCacheOptions<V>, given: CacheStackParts<V>): CacheStack<V> {
  const { clock, random, emit, codec, invalidations } = given
  const parts = { clock, random, emit }
  const { writes, ttlMs, negativeTtlMs } = options
  const cluster = new RingCluster(given.ring, {
    ...parts,
    read: options.reads,
    zone: given.zone,
    deadlineMs: options.callDeadlineMs,
    tryTimeoutMs: options.tryTimeoutMs,
    hints: given.hints,
    stands: options.strategy.name !== 'cache-aside',
    nodeFailed: given.nodeFailed,
    isUninformed: given.isUninformed,
  })
  const keys = options.plain ? plainKey(name) : namespacedKey(name)
  const groups = options.plain
    ? undefined
    : new Groups({ cluster, invalidations, writes, cache: name, clock, separator: options.namespaces })
  const keyspace = new Keyspace<V>({
    ...parts,
    readClock: given.readClock,
    cache: name,
    cluster,
    codec,
    keys,
    currency: groups,
    tagsOf: options.tagsOf,
    ttlMs,
    graceMs: options.graceMs,
    negativeTtlMs,
    jitter: options.jitter,
    writes,
    versions: given.versions,
  })
  const strategy = options.strategy.build({
    ...parts,
    cache: name,
    keyspace,
    loadDeadlineMs: options.loadDeadlineMs,
    softDeadlineMs: options.softDeadlineMs,
    early: options.early,
    sliding: options.sliding,
    ttlMs,
    negative: negativeTtlMs > 0,
    guard: given.guard,
    behind: given.behind,
    bypassed: given.bypassed ?? (() => {}),
  })
  const queueing = groups === undefined ? [cluster, strategy] : [cluster, strategy, groups]
  return { cluster, keys, groups, strategy, queueing }
}
