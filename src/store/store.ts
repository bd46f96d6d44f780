/**
 * The contract of a store: the primary database behind a cache, which holds the truth.
 *
 * Everything is asked in batches, and a batch is one statement a shard. Where the table has a version column the store orders the
 * writes: each save and remove returns the row's new version, at least `greatest(version + 1, floor)`, from the statement itself; caches
 * keep whatever is newest by it. A store without versions (`versioned: false`) cannot order, and is treated with more care above.
 *
 * `testing/store-conformance.ts` is this contract as tests.
 */

import type { Version } from '../entry.ts'
import type { RingtailError } from '../errors.ts'

export interface StoreCall {
  readonly signal?: AbortSignal | undefined
  /** How long the caller waits at most, ms from now: what stands in line for longer need not be begun. */
  readonly withinMs?: number | undefined
  /**
   * A store that answers while the database is still at work, as the call was aborted or the rest concerns no caller, hands that work over here,
   * before it answers: whoever counts what runs at once (`shardedStore`) counts it until it settles. A store that answers only when its work is
   * done has nothing to tell.
   */
  readonly leftRunning?: ((work: Promise<unknown>) => void) | undefined
}

export interface Row<V> {
  readonly value: V
  /** 0n in a store without versions. */
  readonly version: Version
}

export interface Save<V> {
  readonly key: string
  readonly value: V
  /** The row's new version is at least this: the tier's clock, so that versions of all origins compare. */
  readonly floor: Version
  /** Saves only if the row's version is exactly this (0n: only if there is no row). Not with `ifOlder`. */
  readonly expected?: Version | undefined
  /**
   * Saves only a row that is not there or of a version below `floor`, and under just `floor`: a write that was ordered before it got here. Of a
   * row that is of just that version already it is `saved`, for it was; so it may be sent again. Of a newer one it is a `conflict`, and also of a
   * newer removal, where they are remembered.
   */
  readonly ifOlder?: boolean | undefined
}

export interface Removal {
  readonly key: string
  readonly floor: Version
  /** Removes only a row whose version is not above `floor`. A newer one is a `conflict`; where there is none it is `saved`, and `absent`. */
  readonly ifOlder?: boolean | undefined
  /**
   * Only with `ifOlder`: this very removal found no row, `floor` is the version that it was given, and it is sent once more for what was made below
   * it meanwhile. Where removals are remembered it is then on record, so that one look is enough.
   */
  readonly again?: true | undefined
}

/**
 * What became of one save or removal. `absent`: of a removal, that it found no row; a row that another transaction was making meanwhile may
 * be there after it all the same, and of a lower version, until the removal is sent `again`. `conflict`: the row is not of the `expected` version but of `version` (0n: there is none);
 * with `ifOlder`, the row or its removal is of `version`, which is above the floor.
 * `unknown`: the statement was sent and no answer came; it may have been carried out. `failed` `forGood`: the row itself is refused, however
 * often it is sent.
 */
export type SaveStatus =
  | { readonly state: 'saved'; readonly version: Version; readonly absent?: true | undefined }
  | { readonly state: 'conflict'; readonly version: Version }
  | { readonly state: 'failed'; readonly error: RingtailError; readonly forGood?: true | undefined }
  | { readonly state: 'unknown'; readonly error: RingtailError }

/** What a read-through cache needs of its store. */
export interface StoreReader<V> {
  /** For messages and metrics: `postgres:products`. */
  readonly name: string
  /**
   * @returns the rows found; a key without a row is absent. Keys of shards that did not answer are in `failed`: the others' rows still count.
   * Rejects only if nothing could be asked at all.
   */
  load(keys: readonly string[], call?: StoreCall): Promise<Loaded<V>>
  /** Statements made since it was built, by shard. */
  stats(): readonly ShardStats[]
  /** Which of several databases a key lies in, for whoever wants one that fails not to hold up the others. Default: all in one. */
  shardOf?(key: string): string
  /** Resolves once `shardOf` may be asked. Default: it may be from the start. */
  prepare?(): Promise<void>
  /** What each of them takes, for whoever guards it. */
  readonly limits?: StoreLimits | undefined
}

/** Of one shard. */
export interface StoreLimits {
  /** Calls under way at once. */
  readonly concurrency: number
  /** Calls waiting in line. */
  readonly queue: number
}

export interface Loaded<V> {
  readonly rows: ReadonlyMap<string, Row<V>>
  readonly failed?: ReadonlyMap<string, RingtailError> | undefined
}

export interface ShardStats {
  readonly id: string
  /** Statements sent. */
  readonly queries: number
  readonly rowsLoaded: number
  readonly rowsSaved: number
  /** Of a store that a tier guards. */
  readonly guard?: ShardGuardStats | undefined
}

/**
 * How a shard is, as far as its calls tell: `suspect` while a part of them fails or they take far longer than is usual, and it is asked as ever;
 * `down` while it is not asked, but by a few that try; `returning` while it is so, and tries are answered. There is no `draining`: nobody takes another's database out.
 */
export type ShardState = 'up' | 'suspect' | 'down' | 'returning'

export interface ShardGuardStats {
  /** As the events `shard:up`, `shard:suspect`, `shard:down` and `shard:returning` have told last. */
  readonly state: ShardState
  /** Calls that may be under way at once now, that are, and that wait in line. */
  readonly limit: number
  readonly underWay: number
  readonly waiting: number
  /** Calls so far that failed for the shard's sake, that took more than half of their time, and that were shed. */
  readonly failed: number
  readonly slow: number
  readonly shed: number
}

export interface Store<V> extends StoreReader<V> {
  /** Whether rows carry versions, and so writes are ordered by the store. */
  readonly versioned: boolean
  /**
   * Whether a removal outlives its row: a save with `ifOlder` that finds no row, and whose floor is below the version of a removal of the key, is a
   * `conflict` of that version, however the two meet; also where the removal found no row, once a plain one was sent `again`. A store forgets removals after a time (a week, as a
   * rule). A save from before it that finds no row is then `failed` `forGood`, for what spoke against it may be forgotten. Other saves are not
   * held against removals. Default: false, and a late save brings a removed row back.
   */
  readonly remembersRemovals?: boolean | undefined
  /** One status a save, in order; never rejects. No key twice in one call. */
  save(saves: readonly Save<V>[], call?: StoreCall): Promise<SaveStatus[]>
  /** Like `save`; a key without a row is 'saved' too, with a version that no later row of the key will be below. */
  remove(removals: readonly Removal[], call?: StoreCall): Promise<SaveStatus[]>
}
