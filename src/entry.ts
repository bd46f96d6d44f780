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
  /**
   * Whether a version that is newer than `own` may all the same have been issued before it, by another process: clocks of a fleet differ by
   * less than half a second.
   */
  isDoubtful(newer: Version, own: Version): boolean
  /** The same as far as clocks really differ, where each follows the nodes' time: by less than 25 ms. */
  isSimultaneous(newer: Version, own: Version): boolean
  /** Whether a version is from ahead of this process's wall clock: what another process, or a clock set back, leaves. */
  isAhead(version: Version): boolean
  /** Whether a version was issued here; with a chance of one in some thousand also of another process's. */
  isOwn(version: Version): boolean
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

/**
 * The place of an entry in its key's order: by version; of one version by when the load or write that made it began; of that by
 * fresh-until, which a touch moves. `NO_STAMP` where nothing lies.
 */
export interface Stamp {
  readonly version: Version
  /** Low 32 bits of ms since the epoch, compared as serial numbers: entries live for less than 24 days beyond one another. */
  readonly begun: number
  readonly freshUntilMs: number
}

export const NO_STAMP: Stamp = Object.freeze({ version: 0n, begun: 0, freshUntilMs: 0 })

/** The later of what two looks at a key have found, in the order of `compareStamps` (`codec/envelope.ts`); `NO_STAMP` is earlier than everything. */
export function laterStamp(a: Stamp, b: Stamp): Stamp {
  if (a === NO_STAMP || b === NO_STAMP) return a === NO_STAMP ? b : a
  if (a.version !== b.version) return a.version > b.version ? a : b
  return ((a.begun - b.begun) | 0 || a.freshUntilMs - b.freshUntilMs) >= 0 ? a : b
}

/** What of an entry decides whether it is current. */
export type Membership = Pick<Entry<unknown>, 'begun' | 'tags'>

/**
 * Whether entries are still current: an entry is, if it began later than the last delete of each group that it belongs to (its tags, its
 * namespace, its whole cache). Implemented by `invalidation/`, handed to the keyspace and the near cache.
 */
export interface Currency {
  /** The `begun` of a load or write that begins now, ms since the epoch: by the clock, and later than every delete that is known here. */
  nowMs(): number
  /** By what is known in this process; undefined when some group's last delete is not: then `learn` answers instead. */
  isCurrent(entry: Membership, key: string): boolean | undefined
  /** In order, whether each entry is current, by what the nodes hold of its groups, in one request a node. Never rejects; what could not be learnt is not current. */
  learn(entries: readonly { readonly entry: Membership; readonly key: string }[]): Promise<boolean[]>
  /**
   * Comes before each put: makes sure that the nodes have the records of the entry's groups, which mostly costs nothing.
   * @param begunMs from `nowMs`, of when the load or write began
   * @returns whether the entry will be current; one that will not be need not be put. Never rejects.
   */
  prepare(tags: readonly string[], key: string, begunMs: number): boolean | Promise<boolean>
  /** @throws ConfigurationError for a tag that cannot be one: text of 1 to 256 bytes, well-formed */
  checkTags(tags: readonly string[]): void
}
