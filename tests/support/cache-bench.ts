/**
 * A cache put together by hand over a `MapCluster`: strategy, keyspace and cache as the tier would build them, with a clock that stands still.
 */
import { Cache } from '../../src/caches/cache.ts'
import { type CacheOptions, checkedCacheOptions } from '../../src/caches/cache-options.ts'
import { createCodec } from '../../src/codec/envelope-codec.ts'
import { namespacedKey, plainKey } from '../../src/codec/key.ts'
import { plainCodec } from '../../src/codec/plain-codec.ts'
import type { Emit, EventName, TierEvents } from '../../src/events.ts'
import { Keyspace } from '../../src/keyspaces/keyspace.ts'
import { Outcomes } from '../../src/metrics/outcomes.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { seededRandom } from '../../src/testing/seeded-random.ts'
import { versionClock } from '../../src/version-clock.ts'
import { MapCluster } from './map-cluster.ts'

export interface Told {
  readonly name: EventName
  readonly payload: TierEvents[EventName]
}

/** @param seed of its chance: another for each process that shares a cluster, for writers differ by it */
export function cacheOn<V>(options: CacheOptions<V>, given?: MapCluster, clock = new FakeClock(), name = 'things', seed = 1) {
  const cluster = given ?? new MapCluster(clock)
  const checked = checkedCacheOptions(options, `cache '${name}'`)
  const random = seededRandom(seed)
  const told: Told[] = []
  const emit: Emit = (event, payload) => void told.push({ name: event, payload })
  const outcomes = new Outcomes()
  const keyspace = new Keyspace<V>({
    cache: name,
    cluster,
    codec: checked.plain ? plainCodec(checked.codec, name) : createCodec(checked.codec, name),
    keys: checked.plain ? plainKey(name) : namespacedKey(name),
    ttlMs: checked.ttlMs,
    graceMs: checked.graceMs,
    negativeTtlMs: checked.negativeTtlMs,
    jitter: checked.jitter,
    writes: checked.writes,
    tagsOf: checked.tagsOf,
    clock,
    random,
    emit,
    versions: versionClock(clock, random),
  })
  const strategy = checked.strategy.build({
    cache: name,
    keyspace,
    clock,
    random,
    emit,
    loadDeadlineMs: checked.loadDeadlineMs,
    softDeadlineMs: checked.softDeadlineMs,
    early: checked.early,
    sliding: checked.sliding,
    ttlMs: checked.ttlMs,
    negative: checked.negativeTtlMs > 0,
    bypassed: (operation, reason) => {
      outcomes.bypassed++
      emit('cache:bypassed', { cache: name, operation, reason })
    },
  })
  return { cache: new Cache<V>({ name, strategy, outcomes, clock }), keyspace, cluster, clock, told }
}

/** Lets everything that needs no time pass. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve))
