/**
 * The contract of a write-behind journal: the last write of each key that was acknowledged and the store does not have yet.
 *
 * What a call has resolved for is on the disk. A journal belongs to one process, and what it holds outlives it: whoever opens it next goes on
 * from there. Each cache's part is taken up by that cache alone. `disk-journal.ts` is the one there is.
 */
import type { Version } from '../entry.ts'

export interface JournalRecord {
  /** The cache's name. */
  readonly cache: string
  readonly key: string
  readonly version: Version
  readonly op: 'save' | 'remove'
  /** The entry as it lies on the nodes; of a removal its tombstone. */
  readonly body: Uint8Array
}

/** A write that the store refused for good. */
export interface DeadLetter extends JournalRecord {
  /** For `retry` and `drop`. */
  readonly id: number
  /** What the store said. */
  readonly reason: string
  /** When it was given up, ms since the epoch. */
  readonly atMs: number
}

/**
 * What is done to a journal, one step: all of a group happen or none. `write` takes the place of an older write of the key, and does nothing
 * beside a newer one. `forget` takes the key's write of this version or an older one out, `bury` that of just this version.
 */
export type JournalStep =
  | { readonly do: 'write'; readonly record: JournalRecord }
  | { readonly do: 'forget'; readonly cache: string; readonly key: string; readonly version: Version }
  | {
      readonly do: 'bury'
      readonly cache: string
      readonly key: string
      readonly version: Version
      readonly reason: string
      readonly atMs: number
    }
  | { readonly do: 'retry' | 'drop'; readonly id: number }

export interface JournalCounts {
  /** Writes that the store does not have. */
  readonly records: number
  readonly deadLetters: number
  /** Of both. */
  readonly bytes: number
}

export interface JournalStats extends JournalCounts {
  readonly directory: string
  readonly maxBytes: number
  /** `full`: the last write was refused for lack of room. `broken`: the disk failed it; open it anew, by a restart. */
  readonly state: 'open' | 'full' | 'broken' | 'closed'
  /** Steps acknowledged, and the groups in which they went to the disk. */
  readonly steps: number
  readonly groups: number
}

/** Who saves what a journal holds of one cache. */
export interface JournalUser {
  /** A dead letter is to be saved again. */
  again(record: JournalRecord): void
}

/** Which write a step is about. */
export type RecordName = Pick<JournalRecord, 'cache' | 'key' | 'version'>

/** Calls reject with a JournalError, an OverloadError where too much waits for the disk, or a ClosedError. */
export interface Journal {
  /**
   * The cache's writes that the store does not have, in the order of their versions. Once for each cache.
   * @throws ConfigurationError when another uses the journal for a cache of this name
   */
  use(cache: string, user: JournalUser): { readonly records: readonly JournalRecord[] }
  /** Takes the place of an older write of the key. Where the journal holds a newer one it is not needed: that resolves as well. */
  write(record: JournalRecord): Promise<void>
  /**
   * The store has the key under this version, or something newer: the write of this version goes, and an older one; a newer one stays.
   * It is never refused for lack of room, and neither are `bury` and `drop`: they wait for it.
   */
  forget(name: RecordName): Promise<void>
  /** The store refuses this version for good: it becomes a dead letter. Nothing happens where the key's write is another. @param atMs since the epoch */
  bury(name: RecordName, reason: string, atMs: number): Promise<void>
  /** Writes that the store has refused for good, the oldest first, at most 1,000. @param after the id of the last one known */
  deadLetters(after?: number): Promise<readonly DeadLetter[]>
  /** Dead letters are saved again, unless a newer write of the key waits. @returns how many there were */
  retry(ids: readonly number[]): Promise<number>
  /** Dead letters are given up. @returns how many there were */
  drop(ids: readonly number[]): Promise<number>
  stats(): JournalStats
  /** Once what was given is on the disk. Close the tier before: it saves what waits. */
  close(): Promise<void>
}
