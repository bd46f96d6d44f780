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

interface Counter {
  count: number
  /** How much of the count may be others'. */
  error: number
}

export class HotKeys {
  readonly #counters = new Map<string, Counter>()
  #total = 0
  #sinceHalved = 0
  #turn = 0

  /** Counts a read; a few of all, chosen without regard to the key, are enough. */
  note(key: string): void {
    this.#total++
    const counter = this.#counters.get(key)
    if (counter !== undefined) counter.count++
    else if (this.#counters.size < CAPACITY) this.#counters.set(key, { count: 1, error: 0 })
    else this.#replaceLeast(key)
    if (++this.#sinceHalved === HALVED_EVERY) this.#halve()
  }

  isHot(key: string): boolean {
    const counter = this.#counters.get(key)
    return counter !== undefined && this.#isHot(counter)
  }

  /** The hot keys, the most read first. */
  list(): readonly HotKey[] {
    const hot = [...this.#counters].filter(([, counter]) => this.#isHot(counter)).sort(([, a], [, b]) => b.count - a.count)
    return hot.map(([key, { count, error }]) => ({ key, share: count / this.#total, uncertainty: error / this.#total }))
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

  #isHot({ count, error }: Counter): boolean {
    const sure = count - error
    return sure >= HOT_COUNT && sure >= this.#total * HOT_SHARE
  }

  #replaceLeast(key: string): void {
    let least: string | undefined
    let leastCount = Number.POSITIVE_INFINITY
    for (const [each, { count }] of this.#counters) {
      if (count >= leastCount) continue
      least = each
      leastCount = count
    }
    this.#counters.delete(least!)
    this.#counters.set(key, { count: leastCount + 1, error: leastCount })
  }

  #halve(): void {
    this.#sinceHalved = 0
    this.#total /= 2
    for (const counter of this.#counters.values()) {
      counter.count /= 2
      counter.error /= 2
    }
  }
}
