/**
 * Which keys a good part of all reads are of, in bounded room, and which owner of such a key to ask.
 *
 * One key that everybody reads makes its first owner the slowest of all nodes, whatever the ring does. It is found by the Space-Saving sketch
 * (Metwally, Agrawal and El Abbadi, 2005) over the few reads that are noted: it keeps `CAPACITY` keys, and a new one takes the place of the
 * least, and its count, as what it may be wrong by. So a key that more than one in `CAPACITY` of the noted reads are of is always among them,
 * and a key is never undercounted. Every so many reads all counts are halved: what was hot does not stay so.
 *
 * Reads of a hot key go to its owners in turn, but past one that has more than its part of the calls under way (consistent hashing with
 * bounded loads: Mirrokni, Thorup and Zadimoghaddam, 2018).
 */
import type { CacheNode } from '../node/node.ts'

/** Keys that are kept. */
const CAPACITY = 64
/** Noted reads after which counts are halved. */
const HALVED_EVERY = 1_024
/** Of the noted reads: from this part on, surely its own, a key is hot. */
const HOT_SHARE = 0.02
/** And from so many reads on: of few nothing follows. */
const HOT_COUNT = 8
/** An owner is past over that has so many times the mean calls under way. */
const BOUND = 1.25

export interface HotKey {
  readonly key: string
  /** Of the reads in this process, 0 to 1; too much by `uncertainty` at most. */
  readonly share: number
  readonly uncertainty: number
}

export class HotKeys {
  /** By slot: plain arrays, for the least of them is looked for at most reads that are noted. */
  readonly #keys: string[] = []
  readonly #counts = new Float64Array(CAPACITY)
  /** How much of the count may be others'. */
  readonly #errors = new Float64Array(CAPACITY)
  readonly #slots = new Map<string, number>()
  #total = 0
  #sinceHalved = 0
  #turn = 0

  /** Counts a read; a few of all, chosen without regard to the key, are enough. */
  note(key: string): void {
    this.#total++
    const slot = this.#slots.get(key)
    if (slot !== undefined) this.#counts[slot]!++
    else if (this.#keys.length < CAPACITY) this.#put(key, this.#keys.length, 0)
    else this.#replaceLeast(key)
    if (++this.#sinceHalved === HALVED_EVERY) this.#halve()
  }

  isHot(key: string): boolean {
    const slot = this.#slots.get(key)
    return slot !== undefined && this.#isHot(slot)
  }

  /** The hot keys, the most read first. */
  list(): readonly HotKey[] {
    const hot = Array.from(this.#keys.keys()).filter((slot) => this.#isHot(slot))
    return hot
      .sort((a, b) => this.#counts[b]! - this.#counts[a]!)
      .map((slot) => ({
        key: this.#keys[slot]!,
        share: this.#counts[slot]! / this.#total,
        uncertainty: this.#errors[slot]! / this.#total,
      }))
  }

  /** @returns the position of the owner whose turn it is, but for those that look dead or have more than their part to do */
  spread(owners: readonly CacheNode[]): number {
    const turn = this.#turn++ % owners.length
    let calls = 0
    for (const owner of owners) calls += owner.load ?? 0
    const most = Math.ceil((BOUND * (calls + 1)) / owners.length)
    for (let nth = 0; nth < owners.length; nth++) {
      const at = (turn + nth) % owners.length
      const owner = owners[at]!
      if (owner.standing?.avoided !== true && (owner.load ?? 0) < most) return at
    }
    return turn
  }

  #isHot(slot: number): boolean {
    const sure = this.#counts[slot]! - this.#errors[slot]!
    return sure >= HOT_COUNT && sure >= this.#total * HOT_SHARE
  }

  #put(key: string, slot: number, error: number): void {
    this.#keys[slot] = key
    this.#counts[slot] = error + 1
    this.#errors[slot] = error
    this.#slots.set(key, slot)
  }

  #replaceLeast(key: string): void {
    const counts = this.#counts
    let least = 0
    for (let slot = 1; slot < CAPACITY; slot++) if (counts[slot]! < counts[least]!) least = slot
    this.#slots.delete(this.#keys[least]!)
    this.#put(key, least, counts[least]!)
  }

  #halve(): void {
    this.#sinceHalved = 0
    this.#total /= 2
    for (let slot = 0; slot < CAPACITY; slot++) {
      this.#counts[slot]! /= 2
      this.#errors[slot]! /= 2
    }
  }
}
