/**
 * The contract of change data capture: a follower of a PostgreSQL database that tells caches of every row that anybody has changed.
 *
 * A cache that only hears of its own writers serves what others have changed until its TTL is over. The database knows of every change: by
 * its log (`mode: 'replication'`), or by a table that triggers fill (`mode: 'outbox'`). What was committed is told to the caches in its
 * order, at least once, and nothing is let go of in the database before the nodes have it: so a follower that dies goes on where it was.
 * One follows at a time, others wait to take its place, also when it is alive but reaches no nodes; and where changes may have been missed all caches are emptied rather than trusted.
 */
import type { HistogramSnapshot } from '../metrics/histogram.ts'
import type { Duration } from '../options.ts'
import type { PostgresTableOptions } from '../store/postgres-table.ts'
import type { RowChange } from '../strategy/strategy.ts'

/** A row as the database tells of it: by column; of a deleted row mostly its key alone. Not there: a large value that did not change. */
export type CapturedRow = Readonly<Record<string, unknown>>

/** What is used of a cache. */
export interface CapturedCache {
  readonly name: string
  /** Of plain keys: such a cache cannot be cleared, and is refused. */
  readonly isPlain?: boolean | undefined
  /** `writes: 'all'`: acknowledged only when every owner of a key has it; else at the cache's own level. */
  applyChanges(
    changes: readonly RowChange<never>[],
    options?: { readonly writes?: 'all' | undefined },
  ): Promise<ReadonlyMap<string, { readonly ok: boolean; readonly error?: Error }>>
  deleteByTag(tags: readonly string[]): Promise<void>
  clear(): Promise<void>
}

/** Which table is told to which cache; table, key, version and value as its `postgresStore` has them. */
export interface CapturedTableOptions extends PostgresTableOptions {
  readonly cache: CapturedCache
  /**
   * `invalidate`: what is cached of a changed row is removed, and the next read loads it. `refresh`: the row as it now is is cached, where
   * the database tells it whole, and it is not told late. Default `invalidate`.
   */
  readonly apply?: 'invalidate' | 'refresh' | undefined
  /** The cache's keys that a row is part of, where they are not the key column: of a page the product that a review is about. */
  readonly keys?: ((row: CapturedRow) => string | readonly string[]) | undefined
  /** Tags to delete by as well. The old row is known whole where the table's replica identity is full. */
  readonly tags?: ((row: CapturedRow, oldRow: CapturedRow | undefined) => readonly string[]) | undefined
  /** Whether every change of a row raises its version, whoever makes it. Default: whether the table has the trigger of `postgresVersionTrigger`. */
  readonly rising?: boolean | undefined
}

export interface CaptureOptions {
  /** `postgres://…`, or what a `Client` of `pg` takes. A direct connection: a pooler cannot replicate. */
  readonly database: string | Readonly<Record<string, unknown>>
  readonly tables: readonly CapturedTableOptions[]
  /** How changes are heard of; `ringtail-capture up` prepares the database for either. Default `replication`. */
  readonly mode?: 'replication' | 'outbox' | undefined
  /** Its name: of the replication slot, and in events. Default `ringtail`. */
  readonly slot?: string | undefined
  /** Default `ringtail`. */
  readonly publication?: string | undefined
  /** How much of its log the database may keep for a follower that does not keep up: beyond it, the place is given up. Default 1 GiB. */
  readonly maxWalBytes?: number | undefined
  /** Changes that may wait here before the database has to. Default 4,096. */
  readonly maxWaiting?: number | undefined
  /** From which lag on `capture:lagging` is told; several times `every`. Default 5 s. */
  readonly laggingAfter?: Duration | undefined
  /** How often the database is asked how far it is, and in outbox mode for changes. Default 500 ms; outbox: 100 ms. */
  readonly every?: Duration | undefined
}

/** `connecting`: or connecting again. `waiting`: another follows, or is to, because this process does not reach most nodes. */
export type CaptureState = 'connecting' | 'waiting' | 'following' | 'closed'

export interface CaptureStats {
  readonly state: CaptureState
  /**
   * All that was committed longer ago than this is told, ms; it grows until the database has said again how far it is, at least every
   * `every`. undefined while another follows, and before it is first known.
   */
  readonly lagMs: number | undefined
  /** How much of the log is yet to be told. undefined in outbox mode, and as `lagMs`. */
  readonly lagBytes: number | undefined
  /** How much of its log the database keeps for this follower, by when it was last asked. */
  readonly walBytes: number | undefined
  /** Changes of rows told to caches since the start. */
  readonly changes: number
  /** Changes that wait here. */
  readonly waiting: number
  /** Keys whose change some node of theirs has missed; it is told again until it has it, and so long nothing counts as told. */
  readonly owed: number
  /** How far the log was told, `16/B374D848`. undefined in outbox mode. */
  readonly lastLsn: string | undefined
  /** How often caches were emptied because changes may have been missed. */
  readonly losses: number
  /** Of each transaction, from its commit to when the caches' nodes had it. */
  readonly latency: HistogramSnapshot
}

export interface Capture {
  readonly name: string
  stats(): CaptureStats
  /**
   * Resolves when all that was committed before this call is told to the caches; by this follower, so it waits for as long as another has
   * the place. @param call its bound; default 10 s @throws DeadlineError
   */
  caughtUp(call?: { readonly deadline?: Duration | undefined }): Promise<void>
  /** Lets go of the place, so that another takes it. What was heard and not yet told is told by that one. */
  close(): Promise<void>
}
