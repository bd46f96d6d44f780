/**
 * The contract of a strategy: how a cache and its store are read and written together.
 *
 * A strategy is chosen per cache and is the only place that knows both sides. Nothing below it knows which one runs, nothing above it
 * knows whether there is a store. Calls reject with a `RingtailError` (or with what a caller's own loader threw).
 */
import type { Clock, Random } from '../clock.ts'
import type { RingtailError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { FoundState, Keyspace, PutTimes } from '../keyspace.ts'
import type { ShardStats } from '../store/store.ts'

export type { PutTimes }

/** A caller's own way to load: given the keys that are missing, answers those it has. */
export type Loader<V> = (keys: readonly string[], context: LoadContext) => Promise<ReadonlyMap<string, V>>

export interface LoadContext {
  /** Aborted when the load has run into its deadline. */
  readonly signal: AbortSignal
}

export interface StrategyCall {
  /** Bound of what is asked of the nodes, ms. */
  readonly deadlineMs?: number | undefined
  readonly times?: PutTimes | undefined
}

export interface ReadCall<V> extends StrategyCall {
  /** Loads what is missing, instead of the store. */
  readonly loader?: Loader<V> | undefined
}

/** What a read came to. `state` is what the cache had; after a load, `value` is nevertheless what the load brought. */
export interface Read<V> {
  readonly state: FoundState
  readonly negative: boolean
  readonly value: V | undefined
  readonly node: string | undefined
}

/** A result a key, in order: an error where the key failed. */
export type Settled<T> = { readonly value: T } | { readonly error: RingtailError | Error }

/** Calls and rows of the store behind a cache. */
export interface StoreCounts {
  /** Calls made to the store's `load`, `save` and `remove`. */
  readonly queries: number
  readonly keysLoaded: number
  readonly shards: readonly ShardStats[]
}

export interface Strategy<V> {
  readonly name: string
  /** The hot path, hence no promise: one of the two is called exactly once, possibly before `read` returns; neither may throw. @throws ConfigurationError for a key that cannot be one */
  read(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void
  /** One result a key, in order; never rejects. */
  readMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]>
  /** Loads anew from the store (or loader), whatever is cached, and fills the cache. */
  refreshMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<V | undefined>[]>
  writeMany(entries: readonly (readonly [string, V])[], call?: StrategyCall): Promise<Settled<void>[]>
  removeMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<void>[]>
  /** Compare-and-set at the truth, retried a bounded number of times. @throws ConflictError when others were quicker each time */
  update(key: string, change: (current: V | undefined) => V | Promise<V>, call?: StrategyCall): Promise<V>
  /** Undefined where there is no store. */
  storeCounts(): StoreCounts | undefined
}

/** What a strategy is built of, handed in by the tier. */
export interface StrategyParts<V> {
  readonly cache: string
  readonly keyspace: Keyspace<V>
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** Bound of one load of the store or loader, ms. */
  readonly loadDeadlineMs: number
  /** Whether a missing row is remembered. */
  readonly negative: boolean
  /** Told when no owner could answer and the store was used without the cache. */
  readonly bypassed: (operation: 'read' | 'write' | 'delete', reason: string) => void
}

/** What `cacheAside()`, `writeThrough(store)` … return: a strategy yet to be joined to its cache. */
export interface StrategyChoice<V> {
  readonly name: string
  build(parts: StrategyParts<V>): Strategy<V>
}
