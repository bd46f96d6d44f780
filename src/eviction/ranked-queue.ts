/**
 * Entries in order of arrival, linked through themselves, with the sum of their sizes.
 *
 * An entry is in one queue at a time, and carries what the policy knows of it, so that a read touches the entry and nothing else.
 */

export interface Ranked<E> {
  /** Of its key: two keys of one hash share a frequency once they are gone. */
  readonly hash: number
  readonly sizeBytes: number
  /** Reads lately, as of `epoch`. */
  frequency: number
  epoch: number
  /** Read since a hand last passed. */
  visited: boolean
  /** Set by the policy: it has left the window. */
  inMain: boolean
  older: E | undefined
  newer: E | undefined
}

export class RankedQueue<E extends Ranked<E>> {
  oldest: E | undefined
  #newest: E | undefined
  sizeBytes = 0
  length = 0

  append(entry: E): void {
    entry.older = this.#newest
    entry.newer = undefined
    if (this.#newest === undefined) this.oldest = entry
    else this.#newest.newer = entry
    this.#newest = entry
    this.sizeBytes += entry.sizeBytes
    this.length++
  }

  remove(entry: E): void {
    if (entry.older === undefined) this.oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === undefined) this.#newest = entry.older
    else entry.newer.older = entry.older
    entry.older = undefined
    entry.newer = undefined
    this.sizeBytes -= entry.sizeBytes
    this.length--
  }
}
