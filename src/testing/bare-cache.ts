/**
 * A cache-aside cache on one node without what watches over it: no guard before the node, no breaker, no health, no admission, no counts.
 *
 * It is there to be measured beside a cache of a tier, which shows what those cost. Everything between a call and the node's connection is
 * what a tier has; nothing here is fit for use, for a node that fails is asked for ever.
 */
import { Cache } from '../caches/cache.ts'
import { checkedCacheOptions } from '../caches/cache-options.ts'
import { type Clock, systemClock, systemRandom } from '../clock.ts'
import { LiveRing } from '../cluster/live-ring.ts'
import { RingCluster } from '../cluster/ring-cluster.ts'
import { createCodec } from '../codec/envelope-codec.ts'
import { namespacedKey } from '../codec/key.ts'
import { noEmit } from '../events.ts'
import { Groups } from '../invalidation/groups.ts'
import { Tracking } from '../invalidation/tracking.ts'
import { Keyspace } from '../keyspaces/keyspace.ts'
import { Outcomes } from '../metrics/outcomes.ts'
import type { CacheNode } from '../node/node.ts'
import type { Duration } from '../options.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { cacheAside } from '../strategy/cache-aside.ts'
import { versionClock } from '../version-clock.ts'

export interface BareCache<V> {
  readonly cache: Cache<V>
  close(): Promise<void>
}

/** @throws ConfigurationError for a node that is misconfigured */
export async function bareCache<V>(
  node: CacheNode,
  { name, ttl }: { readonly name: string; readonly ttl: Duration },
): Promise<BareCache<V>> {
  const ring = hashRing()
  await ring.prepare()
  const clock = systemClock
  const parts = { clock, random: systemRandom, emit: noEmit }
  await node.connect(parts)
  const options = checkedCacheOptions<V>({ strategy: cacheAside(), ttl }, `cache '${name}'`)
  const cluster = new RingCluster(new LiveRing(ring.build([node], 1)), {
    ...parts,
    read: options.reads,
    deadlineMs: options.callDeadlineMs,
    tryTimeoutMs: options.tryTimeoutMs,
  })
  const keys = namespacedKey(name)
  const invalidations = new Tracking({ ...parts, nodes: [node] })
  const groups = new Groups({ cluster, invalidations, writes: options.writes, cache: name, clock, separator: options.namespaces })
  const keyspace = new Keyspace<V>({
    ...parts,
    cache: name,
    cluster,
    codec: createCodec(options.codec, `cache '${name}'`),
    keys,
    currency: groups,
    tagsOf: options.tagsOf,
    ttlMs: options.ttlMs,
    graceMs: options.graceMs,
    negativeTtlMs: options.negativeTtlMs,
    jitter: options.jitter,
    writes: options.writes,
    versions: versionClock(clock, systemRandom),
  })
  const strategy = options.strategy.build({
    ...parts,
    cache: name,
    keyspace,
    loadDeadlineMs: options.loadDeadlineMs,
    softDeadlineMs: options.softDeadlineMs,
    early: options.early,
    sliding: options.sliding,
    ttlMs: options.ttlMs,
    negative: options.negativeTtlMs > 0,
    bypassed: () => {},
  })
  const cache = new Cache<V>({ name, strategy, outcomes: new NoOutcomes(), clock: UNTIMED, groups })
  const close = async (): Promise<void> => {
    await cache.drained()
    await invalidations.close()
    await node.close()
  }
  return { cache, close }
}

/** What calls are timed by to be counted, which costs too. */
const UNTIMED: Clock = { ...systemClock, monotonic: () => 0 }

class NoOutcomes extends Outcomes {
  override record(): void {}
  override recordNear(): void {}
  override recordNodeError(): void {}
  override recordWrite(): void {}
}
