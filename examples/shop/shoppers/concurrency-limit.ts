/**
 * How many requests may be under way: as many as are still answered promptly, up to a bound.
 *
 * Additive increase, multiplicative decrease, as TCP keeps to what a network bears (Jacobson, 1988): each prompt answer makes a little more room,
 * an answer slower than `SLOW_MS` takes a third of it away. So shoppers go as fast as the services answer, on a fast machine and on one
 * that is busy with something else, and do not pile up until answers come too late.
 */
const SLOW_MS = 150
const FIRST = 4
/** One slow moment is answered once, not once for every request that was under way in it. */
const CUT_AT_MOST_EVERY_MS = 250

export class ConcurrencyLimit {
  readonly #most: number
  readonly #now: () => number
  readonly #waiting: (() => void)[] = []
  #limit: number
  #underWay = 0
  #cutMs = Number.NEGATIVE_INFINITY

  constructor(most: number, now: () => number = () => performance.now()) {
    this.#most = most
    this.#limit = Math.min(FIRST, most)
    this.#now = now
  }

  get limit(): number {
    return Math.floor(this.#limit)
  }

  /** Waits for room. Those who wait are as many as there are shoppers, and go in the order they came. */
  async enter(): Promise<void> {
    while (this.#underWay >= this.limit) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#underWay++
  }

  /** @param ms how long the request took */
  leave(ms: number): void {
    this.#underWay--
    if (ms <= SLOW_MS) this.#limit = Math.min(this.#most, this.#limit + 1 / this.#limit)
    else if (this.#now() - this.#cutMs >= CUT_AT_MOST_EVERY_MS) {
      this.#limit = Math.max(1, (this.#limit * 2) / 3)
      this.#cutMs = this.#now()
    }
    for (let room = this.limit - this.#underWay; room > 0 && this.#waiting.length > 0; room--) this.#waiting.shift()!()
  }
}
