/**
 * When a read that has no answer yet is worth asking of another node too, and how often that may be done.
 *
 * A hedge sent after the time within which the node answers 95 of 100 reads cuts off the tail for a few requests more (Dean and Barroso,
 * "The Tail at Scale", CACM 2013). What a node's usual time is, it shows itself: its recent times are counted in buckets that grow by a
 * fifth each, which fade, so that a quantile costs a walk over some dozens of numbers and a time an addition.
 */
import type { RetryBudgetOptions } from './retry-budget.ts'

/** The extra load of hedges, at most: nothing at the start, so that it holds over any stretch of time. */
export const HEDGES: RetryBudgetOptions = { share: 0.05, burst: 64, initial: 0 }

/** Of a node's times: what takes longer is late. */
export const LATE_QUANTILE = 0.95

const BUCKETS = 80
/** The upper bound of the first bucket, ms. */
const FIRST_MS = 0.05
const BUCKETS_PER_DOUBLING = 4

export class RecentTimes {
  readonly #counts = new Float64Array(BUCKETS)
  #total = 0

  /** How many times it remembers, faded ones in part. */
  get total(): number {
    return this.#total
  }

  /** @param count how many calls took so long */
  add(ms: number, count = 1): void {
    const doublings = Math.log2(Math.max(ms, FIRST_MS) / FIRST_MS)
    this.#counts[Math.min(BUCKETS - 1, Math.ceil(doublings * BUCKETS_PER_DOUBLING))]! += count
    this.#total += count
  }

  /** @param q 0 to 1 @returns ms, too much by a fifth at most; 0 while there are none */
  quantile(q: number): number {
    let left = q * this.#total
    if (this.#total === 0) return 0
    for (let at = 0; at < BUCKETS; at++) {
      left -= this.#counts[at]!
      if (left <= 1e-9) return FIRST_MS * 2 ** (at / BUCKETS_PER_DOUBLING)
    }
    return FIRST_MS * 2 ** ((BUCKETS - 1) / BUCKETS_PER_DOUBLING)
  }

  /** Lets all of them count for less. @param kept the part that is left of each, 0 to 1 */
  fade(kept: number): void {
    let total = 0
    for (let at = 0; at < BUCKETS; at++) total += this.#counts[at]! *= kept
    this.#total = total
  }
}
