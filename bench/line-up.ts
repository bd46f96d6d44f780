/**
 * Who takes part in what. A library is a file under `peers/`, a workload one under `workloads/`; each is named here and nowhere else.
 *
 * Peers are loaded one by one, each by the process that it runs in, so that no library shares a heap or compiled code with another.
 */
import type { Peer } from './harness/contestant.ts'
import type { Workload } from './harness/workload.ts'
import { hits } from './workloads/hits.ts'
import { writes } from './workloads/writes.ts'

/** Ringtail's own set-ups. Bars are for the first. */
export const OURS: readonly string[] = ['ringtail', 'ringtail-on-three']

/** What the table shows everybody's figures as a multiple of. */
export const REFERENCE = 'ioredis'

export const PEERS: Readonly<Record<string, () => Promise<Peer>>> = {
  ringtail: async () => (await import('./peers/ringtail.ts')).ringtail,
  'ringtail-on-three': async () => (await import('./peers/ringtail.ts')).ringtailOnThree,
  ioredis: async () => (await import('./peers/ioredis.ts')).ioredis,
  'ioredis-auto-pipelining': async () => (await import('./peers/ioredis.ts')).ioredisAutoPipelining,
  'node-redis': async () => (await import('./peers/node-redis.ts')).nodeRedis,
  bentocache: async () => (await import('./peers/bentocache.ts')).bentoCache,
  'cache-manager': async () => (await import('./peers/cache-manager.ts')).cacheManager,
}

export const WORKLOADS: readonly Workload[] = [hits(256, { [REFERENCE]: 3 }), hits(64), hits(1), writes(256)]
