/**
 * The contract of a strategy: how a cache and its store are read and written together.
 *
 * A strategy is chosen per cache and is the only place that knows both sides. Nothing below it knows which one runs, nothing above it
 * knows whether there is a store. Calls reject with a `RingtailError` (or with what a caller's own loader threw).
 */
import type { Clock, Random } from '../clock.ts'
import type { Version } from '../entry.ts'
import type { LoadError, RingtailError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { JournalStats } from '../journal/journal.ts'
import type { Found, Keyspace, KeyspaceCall, PutTimes, Replicated } from '../keyspaces/keyspace.ts'
import type { Duration } from '../options.ts'
import type { QueueTeller } from '../queues.ts'
import type { ShardStats, StoreReader } from '../store/store.ts'

export type { PutTimes, Replicated }

/** A caller's own way to load: given the keys that are missing, answers those it has. */
export type Loader<V> = (keys: readonly string[], context: LoadContext<V>) => Promise<ReadonlyMap<string, V>>

/** What a loader may say of the value of one key while it loads it. */
export interface LoadControls<V> {
  /** The old value, where there is one that may still be served; undefined where there is none. */
  readonly stale: V | undefined
  /** How long the value is fresh, and how long after that it may be served; instead of the cache's own. @throws ConfigurationError */
  setTtl(ttl: Duration, grace?: Duration): void
  /** The groups that the value belongs to, instead of what the cache's `tags` option says. @throws ConfigurationError */
  setTags(tags: readonly string[]): void
  /** The value is for those who wait for it, and is not kept. @returns what it was given, to be returned in turn */
  skip<T = undefined>(value?: T): T
  /** The load of this key failed: a stale value is served where there is one, else the readers get this error. @returns the error */
  fail(reason: string): LoadError
}

export interface LoadContext<V> {
  /** Aborted when the load has run into its deadline. */
  readonly signal: AbortSignal
  /** What may be said of the value of one key while it is loaded. */
  readonly of: (key: string) => LoadControls<V>
}

export interface StrategyCall extends KeyspaceCall {
  readonly times?: PutTimes | undefined
  /** Instead of what the cache's own `tags` option says. */
  readonly tags?: readonly string[] | undefined
}

export interface ReadCall<V> extends StrategyCall {
  /** Loads what is missing, instead of the store. */
  readonly loader?: Loader<V> | undefined
}

/** What a read came to. `state` is what the cache had; after a load, `value` is nevertheless what the load brought. */
export type Read<V> = Pick<Found<V>, 'state' | 'negative' | 'value' | 'node'> & {
  /** Where the value is an entry that was found on the nodes. */
  readonly entry: Found<V>['entry']
  readonly sizeBytes: number
}

/** A result a key, in order: an error where the key failed. */
export type Settled<T> = { readonly value: T } | { readonly error: RingtailError | Error }

/** Acknowledged writes on their way to the store. */
export interface PendingCounts {
  readonly writes: number
  readonly bytes: number
  /** For how long the one that waits longest has waited, ms. */
  readonly oldestMs: number
  readonly flushed: number
  /** Whose place a later one took before they were saved. */
  readonly coalesced: number
  /** That met a newer row, and were forgotten. */
  readonly overtaken: number
  /** That the store refused for good. */
  readonly buried: number
  readonly journal: JournalStats
}

/** A change of a row that its database has committed, whoever made it: what a follower of the database hears. */
export interface RowChange<V> {
  readonly key: string
  readonly op: 'insert' | 'update' | 'delete'
  /** Of the row as it now is; of a deleted row as it last was. undefined: it is not known. */
  readonly version: Version | undefined
  /** Whether each change of a row, whoever makes it, gives it a higher version. */
  readonly rising: boolean
  /** The row's value as it now is, to be cached unless it is told late. undefined: what is cached is removed. */
  readonly row?: { readonly value: V } | undefined
  /** When it was committed, ms since the epoch: by the database's clock, but with a `row` by the clock of who tells it. */
  readonly committedMs: number
}

/** Calls and rows of the store behind a cache. */
export interface StoreCounts {
  /** Of write-behind: what the store does not have yet, and what became of the rest. */
  readonly pending?: PendingCounts | undefined
  /** Calls made to the store's `load`, `save` and `remove`. */
  readonly queries: number
  readonly keysLoaded: number
  readonly shards: readonly ShardStats[]
}

/** Where the truth behind a cache lies, for who compares the copies with it. */
export interface Truth<V> {
  readonly reader: StoreReader<V>
  /** Whether copies carry the versions of their rows. */
  readonly ordered: boolean
}

export interface Strategy<V> extends QueueTeller {
  readonly name: string
  /** Undefined where there is no store. */
  readonly truth?: Truth<V> | undefined
  /** The hot path, hence no promise: one of the two is called exactly once, possibly before `read` returns; neither may throw. @throws ConfigurationError for a key that cannot be one */
  read(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void
  /** One result a key, in order; never rejects. */
  readMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]>
  /** Loads anew from the store (or loader), whatever is cached, and fills the cache. */
  refreshMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<V | undefined>[]>
  /** `writeMany` of one, without a promise where that is possible: one of the two is called exactly once. @throws what the entry cannot be made for */
  write(key: string, value: V, settle: () => void, fail: (error: unknown) => void, call?: StrategyCall): void
  writeMany(entries: readonly (readonly [string, V])[], call?: StrategyCall): Promise<Settled<void>[]>
  removeMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<void>[]>
  /** Compare-and-set at the truth, retried a bounded number of times. @throws ConflictError when others were quicker each time */
  update(key: string, change: (current: V | undefined) => V | Promise<V>, call?: StrategyCall): Promise<V>
  /** Brings the cached copies in line with changes that others made to the store. One result a change, in order; each key once. */
  applyMany(changes: readonly RowChange<V>[], call?: KeyspaceCall): Promise<Settled<void>[]>
  /** Makes cached values fresh for a TTL from now. One result a key: whether there was one. */
  touchMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<boolean>[]>
  /** For a tier that is closed. Resolves when what goes on behind callers is over, within its deadlines: loads have filled the cache. Leaves no timer. */
  drained(): Promise<void>
  /** Undefined where there is no store. */
  storeCounts(): StoreCounts | undefined
}

/** When a value is loaded before it has to be. */
export interface Freshness {
  /** Bound of one load of the store or loader, ms. It is what a lease lasts, too. */
  readonly loadDeadlineMs: number
  /** How long a stale value is held back for a fresh one, ms. 0: it is served at once. */
  readonly softDeadlineMs: number
  /** XFetch; or the fraction of the TTL that has to be over; or never. */
  readonly early: 'xfetch' | number | false
  /** Whether a value that is read stays fresh for a TTL from then. */
  readonly sliding: boolean
  /** The cache's own TTL. */
  readonly ttlMs: number
}

/** What a strategy is built of, handed in by the tier. */
export interface StrategyParts<V> extends Freshness {
  readonly cache: string
  readonly keyspace: Keyspace<V>
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** Whether a missing row is remembered. */
  readonly negative: boolean
  /** Puts a guard before the database behind the cache. Default: it is asked as it is. */
  readonly guard?: (<S extends StoreReader<V>>(store: S) => S) | undefined
  /** Why what no owner answered is not to be asked of the store: this process is behind, and more work is the last thing it needs. Default: never. */
  readonly behind?: (() => RingtailError | undefined) | undefined
  /** Told when no owner could answer and the store was used without the cache. */
  readonly bypassed: (operation: 'read' | 'write' | 'delete', reason: string) => void
}

/** What `cacheAside()`, `writeThrough(store)` … return: a strategy yet to be joined to its cache. */
export interface StrategyChoice<V> {
  readonly name: string
  build(parts: StrategyParts<V>): Strategy<V>
}
