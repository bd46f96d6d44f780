/**
 * What a race is about: which caches are raced for, how, and what each promises.
 *
 * A cache of each kind: rows that the cache writes itself, rows that it writes and then forgets, values without a store, and rows that the
 * application writes with SQL of its own and then tells the cache to forget; of each level that a cache can be read and written at; and of
 * each layer that answers without asking: the near cache, and groups. Each is raced for on few and hot keys, and judged by the rules that it
 * promises to keep. What was lately overtaken may be read where a level or a layer says so, within its bound; by who wrote it, nowhere.
 */
import type { ReadLevel } from '../../src/cluster/cluster.ts'
import type { Duration, NearOptions, WriteLevel } from '../../src/index.ts'
import type { HistoryCheck } from '../../src/testing/index.ts'

export interface RacePlan {
  readonly seed: number
  /** Of all processes together, at most. */
  readonly operations: number
  /** With so many it ends when its time is over. */
  readonly enough: number
  readonly enoughAfterMs: number
  readonly processes: number
  /** Callers at once in each process. */
  readonly lanes: number
  readonly keys: number
  /** The fraction of loads and saves that are held until another process has changed the row. */
  readonly holds: number
  /** Clients whose requests go from process to process, with a session. */
  readonly clients: number
  /** A race that has not ended by then is ended, ms. */
  readonly withinMs: number
}

export interface RacedCache {
  readonly name: string
  readonly kind: 'write-through' | 'write-around' | 'cache-aside' | 'sql'
  readonly writes: WriteLevel
  /** Default: the tier's. */
  readonly reads?: Exclude<ReadLevel, 'all'>
  /** In each process. */
  readonly near?: NearOptions
  /** Every value has one of `TAGS`, by its key; deletes are of all that have it. */
  readonly tagged?: boolean
  readonly times: { readonly ttl: Duration; readonly grace?: Duration; readonly negativeTtl?: Duration }
  /** What may be old, by how much, and what is certain: as the cache's documentation promises. */
  readonly rules: HistoryCheck
  /** Fractions of its operations that are writes, updates and deletes; the rest are reads. */
  readonly mix: { readonly writes: number; readonly updates: number; readonly deletes: number }
}

/** Versions drawn by processes are of whole milliseconds. */
const CLOCK_MS = 2
/** Until a change that not all owners have acknowledged has reached them, on a machine under load. */
const SPREAD_MS = 2_000
/** Until other processes have heard of a change: a push, or what a connection that died without a sign takes to be noticed. */
const HEARD_MS = 2_000
const ROWS = { store: true, orderSlackMs: CLOCK_MS }
const VALUES = { orderSlackMs: CLOCK_MS }
const MIX = { writes: 0.12, updates: 0.08, deletes: 0.05 }
const ONLY_LOADED = { writes: 0.15, updates: 0, deletes: 0.05 }
/** Mostly read, for what is changed all the time is never near. */
const MOSTLY_READ = { writes: 0.04, updates: 0.02, deletes: 0.02 }
/** Loaded all the time, for it is soon stale; yet kept, so that what is stale still says what is older. */
const SOON_STALE = { ttl: '100ms', grace: '1h', negativeTtl: '1h' } as const
const LASTING = { ttl: '1h' } as const
const NEAR = { maxBytes: 1_048_576 }

/** Strict: not a moment old. */
const STRICT: readonly RacedCache[] = [
  { name: 'rows', kind: 'write-through', writes: 'quorum', times: SOON_STALE, rules: ROWS, mix: MIX },
  { name: 'rows-quorum', kind: 'write-through', writes: 'quorum', reads: 'quorum', times: SOON_STALE, rules: ROWS, mix: MIX },
  { name: 'around', kind: 'write-around', writes: 'quorum', times: SOON_STALE, rules: ROWS, mix: MIX },
  { name: 'sql', kind: 'sql', writes: 'quorum', times: SOON_STALE, rules: ROWS, mix: ONLY_LOADED },
  { name: 'values', kind: 'cache-aside', writes: 'quorum', times: LASTING, rules: VALUES, mix: MIX },
  { name: 'values-quorum', kind: 'cache-aside', writes: 'quorum', reads: 'quorum', times: LASTING, rules: VALUES, mix: MIX },
]

/** Within a bound. */
const BOUNDED: readonly RacedCache[] = [
  {
    name: 'rows-nearest',
    kind: 'write-through',
    writes: 'quorum',
    reads: 'nearest',
    times: SOON_STALE,
    rules: { ...ROWS, bounds: { nearest: SPREAD_MS } },
    mix: MIX,
  },
  {
    name: 'rows-near',
    kind: 'write-through',
    writes: 'quorum',
    near: NEAR,
    times: LASTING,
    rules: { ...ROWS, bounds: { near: HEARD_MS } },
    mix: MOSTLY_READ,
  },
  { name: 'values-one', kind: 'cache-aside', writes: 'one', times: LASTING, rules: { ...VALUES, bounds: { one: SPREAD_MS } }, mix: MIX },
  {
    name: 'values-tagged',
    kind: 'cache-aside',
    writes: 'quorum',
    tagged: true,
    times: LASTING,
    rules: { ...VALUES, bounds: { tagged: HEARD_MS } },
    mix: MIX,
  },
]

export const RACED_CACHES: readonly RacedCache[] = [...STRICT, ...BOUNDED]

/** What reads of a cache are recorded at: what their bound hangs on. */
export function levelOf({ near, tagged, reads, writes }: RacedCache): string | undefined {
  if (near !== undefined) return 'near'
  if (tagged === true) return 'tagged'
  return reads ?? (writes === 'one' ? 'one' : undefined)
}

export const keyOf = (nth: number): string => `k${nth}`

/** Of the keys k0, k1, k2 … in turn. */
export const TAGS: readonly string[] = ['red', 'green', 'blue']

export const tagOf = (key: string): string => TAGS[Number(key.slice(1)) % TAGS.length]!

export const RACE: RacePlan = {
  seed: 1,
  operations: 1_000_000,
  enough: 1_000_000,
  enoughAfterMs: 0,
  processes: 4,
  lanes: 24,
  keys: 12,
  holds: 0.02,
  clients: 8,
  withinMs: 2_700_000,
}

export const SHORT_RACE: RacePlan = { ...RACE, operations: 30_000, enough: 10_000, enoughAfterMs: 7_000, holds: 0.05, withinMs: 70_000 }
