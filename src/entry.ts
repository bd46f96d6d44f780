/**
 * What lies under a key: a value with its version and times.
 *
 * The words here are those of the envelope (`codec/envelope.ts`), which is the same thing as bytes on a node. Times are milliseconds.
 */

/** What an entry says. `negative`: the store has no such row. `pending`: acknowledged, not yet in the store. `vacant`: leased, no value yet. */
export type EntryKind = 'value' | 'negative' | 'pending' | 'tombstone' | 'vacant'

/**
 * Orders the writes of one key: the higher version is the newer write. 63 bits: 44 of milliseconds since the epoch, 8 of a logical
 * counter, 11 of the writer's number; so it fits a database's `bigint`, and two writers do not tie.
 */
export type Version = bigint

/** Where versions come from: see `version-clock.ts`. */
export interface VersionClock {
  /** Newer than all that was issued or observed here. */
  next(): Version
  /** Goes on from a version that another process issued; one from more than an hour ahead is no clock's, and is left aside. */
  observe(version: Version): void
  /** Whether a version is from ahead of this process's wall clock: what another process, or a clock set back, leaves. */
  isAhead(version: Version): boolean
}

export interface EntryTimes {
  /** Wall time until which the value is fresh, ms since the epoch. */
  readonly freshUntilMs: number
  /** How long after that it may still be served stale. 0: not at all. */
  readonly graceMs: number
}

export interface Entry<V> extends EntryTimes {
  readonly kind: EntryKind
  /** Undefined unless `kind` is 'value' or 'pending'. */
  readonly value: V | undefined
  readonly version: Version
  /** What loading it took, ms; 0 when unknown. */
  readonly loadCostMs: number
  /** When the load or write that made it began, low 32 bits of ms since the epoch. */
  readonly begun: number
  readonly tags: readonly string[]
}
