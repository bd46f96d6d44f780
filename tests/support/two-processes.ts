import type { CacheOptions } from '../../src/caches/cache-options.ts'
import { readThrough } from '../../src/strategy/read-through.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { cacheOn, settled } from './cache-bench.ts'
import { HeldReader } from './held-reader.ts'
import { MapCluster } from './map-cluster.ts'

/** Two processes with one cluster and one database, which answers when the test says so. */
export function twoProcesses(options: Partial<CacheOptions<string>> = {}) {
  const clock = new FakeClock()
  const cluster = new MapCluster(clock)
  const reader = new HeldReader()
  const all = { strategy: readThrough(reader), ttl: '10s', jitter: 0, earlyRefresh: false, ...options } as const
  const [one, other] = [1, 2].map((seed) => cacheOn<string>(all, cluster, clock, 'things', seed))
  return { clock, cluster, reader, one: one!, other: other! }
}

/** What a promise came to by now; undefined while it is pending. */
export async function byNow<T>(promise: Promise<T>): Promise<{ value: T } | undefined> {
  let now: { value: T } | undefined
  void promise.then((value) => {
    now = { value }
  })
  await settled()
  return now
}
