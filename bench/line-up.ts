/**
 * Who takes part in what. A library is a file under `peers/`, a workload one under `workloads/`, a study one under `studies/`; each is named here
 * and nowhere else.
 *
 * Peers are loaded one by one, each by the process that it runs in, so that no library shares a heap or compiled code with another.
 */
import type { Peer } from './harness/contestant.ts'
import type { Study } from './harness/study.ts'
import type { Entry, Workload } from './harness/workload.ts'
import { cartUpdates } from './workloads/cart-updates.ts'
import { hits } from './workloads/hits.ts'
import { journal } from './workloads/journal.ts'
import { misses } from './workloads/misses.ts'
import { nearHits } from './workloads/near-hits.ts'
import { writes } from './workloads/writes.ts'

export const PEERS: Readonly<Record<string, () => Promise<Peer>>> = {
  ringtail: async () => (await import('./peers/ringtail.ts')).ringtail,
  'ringtail-on-three': async () => (await import('./peers/ringtail.ts')).ringtailOnThree,
  'ringtail-near': async () => (await import('./peers/ringtail.ts')).ringtailNear,
  'ringtail-plain': async () => (await import('./peers/ringtail.ts')).ringtailPlain,
  ioredis: async () => (await import('./peers/ioredis.ts')).ioredis,
  'ioredis-auto-pipelining': async () => (await import('./peers/ioredis.ts')).ioredisAutoPipelining,
  'node-redis': async () => (await import('./peers/node-redis.ts')).nodeRedis,
  bentocache: async () => (await import('./peers/bentocache.ts')).bentoCache,
  'bentocache-memory': async () => (await import('./peers/bentocache.ts')).bentoCacheMemory,
  'ringtail-journal': async () => (await import('./peers/journal.ts')).ringtailJournal,
  'ringtail-write-behind': async () => (await import('./peers/carts.ts')).ringtailWriteBehind,
  postgres: async () => (await import('./peers/carts.ts')).postgres,
  'cache-manager': async () => (await import('./peers/cache-manager.ts')).cacheManager,
}

const OURS = ['ringtail', 'ringtail-on-three']
const CLIENTS = ['ioredis', 'ioredis-auto-pipelining', 'node-redis', 'bentocache', 'cache-manager']

/** Reads and writes over Redis: everybody. */
function overRedis(bars: Entry['bars'] = {}): Entry {
  return { entrants: [...OURS, ...CLIENTS], ours: OURS, reference: 'ioredis', bars }
}

const IN_MEMORY: Entry = {
  entrants: ['ringtail-near', 'bentocache-memory'],
  ours: ['ringtail-near'],
  reference: 'bentocache-memory',
  bars: { 'bentocache-memory': 5 },
}

/** Loads: those that have a call for it, and Ringtail without leases. */
const LOADING: Entry = {
  entrants: ['ringtail', 'ringtail-plain', 'bentocache', 'cache-manager'],
  ours: ['ringtail'],
  reference: 'ringtail-plain',
  bars: {},
}

const JOURNAL: Entry = { entrants: ['ringtail-journal'], ours: ['ringtail-journal'], reference: 'ringtail-journal', bars: {} }
const JOURNAL_ENTRIES_A_SECOND = 20_000

const CARTS: Entry = { entrants: ['ringtail-write-behind', 'postgres'], ours: ['ringtail-write-behind'], reference: 'postgres', bars: {} }

export const WORKLOADS: readonly Workload[] = [
  hits(256, overRedis({ ioredis: 3 })),
  hits(64, overRedis()),
  hits(1, overRedis()),
  writes(256, overRedis({ ioredis: 1.5 })),
  nearHits(IN_MEMORY),
  misses(64, LOADING),
  misses(1, LOADING),
  journal(256, JOURNAL, JOURNAL_ENTRIES_A_SECOND),
  cartUpdates(64, CARTS),
  cartUpdates(1, CARTS),
]

export const STUDIES: readonly Study[] = []
