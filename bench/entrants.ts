/**
 * Who takes part in what. A library is a file under `peers/`, a workload one under `workloads/`; each is named here and nowhere else.
 *
 * Peers are loaded one by one, each by the process that it runs in, so that no library shares a heap or compiled code with another. That process
 * loads this file, so what else is heavy is loaded by those who use it too.
 */
import type { Peer } from './harness/contestant.ts'
import type { Entrant } from './harness/entrant.ts'
import type { Task } from './harness/task.ts'
import type { Entry, Workload } from './harness/workload.ts'
import { batches } from './workloads/batches.ts'
import { cartUpdates } from './workloads/cart-updates.ts'
import { hits } from './workloads/hits.ts'
import { journal } from './workloads/journal.ts'
import { misses } from './workloads/misses.ts'
import { mixed } from './workloads/mixed.ts'
import { nearHits } from './workloads/near-hits.ts'
import { nearPeeks } from './workloads/near-peeks.ts'
import { writes } from './workloads/writes.ts'

export const PEERS: Readonly<Record<string, () => Promise<Peer>>> = {
  ringtail: async () => (await import('./peers/ringtail.ts')).ringtail,
  'ringtail-on-three': async () => (await import('./peers/ringtail.ts')).ringtailOnThree,
  'ringtail-near': async () => (await import('./peers/ringtail.ts')).ringtailNear,
  'ringtail-plain': async () => (await import('./peers/ringtail.ts')).ringtailPlain,
  'ringtail-bare': async () => (await import('./peers/ringtail-bare.ts')).ringtailBare,
  ioredis: async () => (await import('./peers/ioredis.ts')).ioredis,
  'ioredis-auto-pipelining': async () => (await import('./peers/ioredis.ts')).ioredisAutoPipelining,
  'node-redis': async () => (await import('./peers/node-redis.ts')).nodeRedis,
  glide: async () => (await import('./peers/glide.ts')).glide,
  bentocache: async () => (await import('./peers/bentocache.ts')).bentoCache,
  'bentocache-memory': async () => (await import('./peers/bentocache.ts')).bentoCacheMemory,
  'bentocache-memory-shared': async () => (await import('./peers/bentocache.ts')).bentoCacheMemoryShared,
  'bentocache-on-two': async () => (await import('./peers/bentocache.ts')).bentoCacheOnTwo,
  cacheable: async () => (await import('./peers/cacheable.ts')).cacheable,
  'cacheable-memory': async () => (await import('./peers/cacheable.ts')).cacheableMemory,
  'cacheable-on-two': async () => (await import('./peers/cacheable.ts')).cacheableOnTwo,
  'cache-manager-memory': async () => (await import('./peers/cache-manager.ts')).cacheManagerMemory,
  'cache-manager-on-two': async () => (await import('./peers/cache-manager.ts')).cacheManagerOnTwo,
  'cache-manager': async () => (await import('./peers/cache-manager.ts')).cacheManager,
  'layered-loader': async () => (await import('./peers/layered-loader.ts')).layeredLoader,
  'layered-loader-memory': async () => (await import('./peers/layered-loader.ts')).layeredLoaderMemory,
  'layered-loader-on-two': async () => (await import('./peers/layered-loader.ts')).layeredLoaderOnTwo,
  'lru-cache': async () => (await import('./peers/lru-cache.ts')).lruCache,
  'ringtail-journal': async () => (await import('./peers/journal.ts')).ringtailJournal,
  'ringtail-write-behind': async () => (await import('./peers/carts.ts')).ringtailWriteBehind,
  postgres: async () => (await import('./peers/carts.ts')).postgres,
}

/** Programs that are processes themselves: what no library could exceed. */
export const LIMITS: Readonly<Record<string, () => Promise<Entrant>>> = {
  'redis-benchmark': async () => new (await import('./peers/redis-benchmark.ts')).RedisBenchmark(),
}

/** How many Redis servers whoever takes part needs, where that is not the one that all share. */
export const SERVERS_OF: Readonly<Record<string, number>> = {
  'ringtail-on-three': 3,
  'ringtail-journal': 0,
  'lru-cache': 0,
  'bentocache-memory': 0,
  'bentocache-memory-shared': 0,
  'cacheable-memory': 0,
  'cache-manager-memory': 0,
  'layered-loader-memory': 0,
  postgres: 0,
}

/** What studies have contestants do. */
export const TASKS: Readonly<Record<string, () => Promise<Task>>> = {
  arrivals: async () => (await import('./studies/open-loop.ts')).arrivals,
  weigh: async () => (await import('./studies/memory.ts')).weigh,
  fillTrace: async () => (await import('./studies/replay.ts')).fillTrace,
  replayTrace: async () => (await import('./studies/replay.ts')).replayTrace,
}

const OURS = ['ringtail', 'ringtail-on-three']
const CLIENTS = ['ioredis', 'ioredis-auto-pipelining', 'node-redis', 'glide', 'bentocache', 'cacheable', 'cache-manager', 'layered-loader']

/** Reads and writes over Redis: everybody. */
function onOne(bars: Entry['bars'] = {}): Entry {
  return { entrants: ['ringtail', ...CLIENTS], ours: ['ringtail'], reference: 'ioredis', bars }
}

/** And Ringtail with a copy of everything on each of three nodes. */
function onThreeToo(bars: Entry['bars'], limits: readonly string[] = []): Entry {
  return { entrants: [...OURS, ...CLIENTS, ...limits], ours: OURS, limits, reference: 'ioredis', bars }
}

const IN_MEMORY: Entry = {
  entrants: [
    'ringtail-near',
    'bentocache-memory',
    'bentocache-memory-shared',
    'cacheable-memory',
    'cache-manager-memory',
    'layered-loader-memory',
    'lru-cache',
  ],
  ours: ['ringtail-near'],
  limits: ['lru-cache'],
  reference: 'bentocache-memory',
  bars: { 'bentocache-memory': 10 },
}

const AT_ONCE: Entry = {
  entrants: ['ringtail-near', 'lru-cache'],
  ours: ['ringtail-near'],
  limits: ['lru-cache'],
  reference: 'lru-cache',
  bars: { 'lru-cache': 0.5 },
}

/** Loads: those that have a call for it, and Ringtail without leases. */
const LOADING: Entry = {
  entrants: ['ringtail', 'ringtail-plain', 'bentocache', 'cacheable', 'cache-manager', 'layered-loader'],
  ours: ['ringtail'],
  reference: 'ringtail-plain',
  bars: {},
}

const JOURNAL: Entry = { entrants: ['ringtail-journal'], ours: ['ringtail-journal'], reference: 'ringtail-journal', bars: {} }
const JOURNAL_ENTRIES_A_SECOND = 20_000

const CARTS: Entry = { entrants: ['ringtail-write-behind', 'postgres'], ours: ['ringtail-write-behind'], reference: 'postgres', bars: {} }

/** Within 10 % of its latency, where one call after the other is made. */
const WITHIN_A_TENTH = 1 / 1.1

export const WORKLOADS: readonly Workload[] = [
  hits(256, onThreeToo({ ioredis: 5, bentocache: 6, 'ioredis-auto-pipelining': 2.5, 'redis-benchmark': 0.15 }, ['redis-benchmark'])),
  hits(1_024, onOne()),
  hits(64, onOne()),
  hits(16, onOne()),
  hits(1, onOne({ ioredis: WITHIN_A_TENTH })),
  hits(256, onOne(), 2_048),
  hits(64, onOne(), 65_536),
  mixed(256, onOne({ ioredis: 3 })),
  batches(10, onOne()),
  batches(100, onOne({ bentocache: 3, cacheable: 3 })),
  batches(1_000, onOne()),
  writes(256, onThreeToo({ ioredis: 2, 'ioredis (ringtail-on-three)': 0.7 })),
  nearHits(IN_MEMORY),
  nearPeeks(AT_ONCE),
  misses(64, LOADING),
  misses(1, LOADING),
  journal(256, JOURNAL, JOURNAL_ENTRIES_A_SECOND),
  cartUpdates(64, CARTS),
  cartUpdates(1, CARTS),
]
