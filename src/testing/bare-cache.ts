/**
 * A cache-aside cache on one node without what watches over it: no guard before the node, no breaker, no health, no admission, no counts.
 *
 * It is there to be measured beside a cache of a tier, which shows what those cost. Everything between a call and the node's connection is
 * what a tier has; nothing here is fit for use, for a node that fails is asked for ever.
 */
import { cacheStack } from '../cache-stack.ts'
import { Cache } from '../caches/cache.ts'
import { checkedCacheOptions } from '../caches/cache-options.ts'
import { type Clock, systemClock, systemRandom } from '../clock.ts'
import { LiveRing } from '../cluster/live-ring.ts'
import { createCodec } from '../codec/envelope-codec.ts'
import { noEmit } from '../events.ts'
import { Tracking } from '../invalidation/tracking.ts'
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
  const invalidations = new Tracking({ ...parts, nodes: [node] })
  const { strategy, groups } = cacheStack<V>(name, options, {
    ...parts,
    ring: new LiveRing(ring.build([node], 1)),
    codec: createCodec(options.codec, `cache '${name}'`),
    invalidations,
    versions: versionClock(clock, systemRandom),
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
