/**
 * Whether a key was invalidated since a read of it began.
 *
 * A read that was under way when its key changed may bring what was there before, and must not be kept. To register each read under its key
 * would cost every miss, and leak with every read that never comes back. So it is the drops that are remembered: each gets the next number,
 * written into a table at the key's hash; a read notes the number at its beginning, and is overtaken if the table now says a later one.
 * Two keys that share a place in the table make the answer err to one side: a read is taken for overtaken, and a copy not kept.
 */
import { keyHash } from '../eviction/key-hash.ts'

/** 64 KB. With 10,000 changes a second and reads of 5 ms, one read in 160 is taken for overtaken without need. */
const PLACES = 8_192

/** How far the drops had come when a read began. */
export type Reading = number

export class RecentDrops {
  readonly #last = new Float64Array(PLACES)
  #lastOfAll = 0
  #count = 0

  /** Now. */
  get reading(): Reading {
    return this.#count
  }

  drop(key: string): void {
    this.#last[keyHash(key) & (PLACES - 1)] = ++this.#count
  }

  dropAll(): void {
    this.#lastOfAll = ++this.#count
  }

  /** Never false when the key, or all, was dropped since. */
  hasOvertaken(reading: Reading, hash: number): boolean {
    return this.#lastOfAll > reading || this.#last[hash & (PLACES - 1)]! > reading
  }
}
