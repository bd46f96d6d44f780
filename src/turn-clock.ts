/**
 * The fleet's time, read once for what happens together.
 *
 * A read asks three times what time it is: when it began, whether its value is fresh, how long it took. Reads come by the batch, and reading
 * the machine's clock for each question costs more than all else that is done with the answer. So one reading serves what follows it, yet no
 * more than `ASKINGS` questions, so that a turn that goes on for long does not stand still. It is forgotten behind the promises that are
 * settled by then (the answers of a batch; the callers that they wake); or, where answers come one by one as a near cache's do, at the end of
 * the event loop's round. Where it then turns out to have served too few, the next are not kept, for forgetting costs something too. It is
 * never ahead of the clock, so that what goes by it may be taken for a little younger than it is, and no deadline and no timer does.
 */
import type { Clock, Timer } from './clock.ts'

/** Of which the last is late by what the others took: with small values some µs each. */
const ASKINGS = 16
/**
 * After a reading that served too few, so many are made for one question each. To forget one behind promises costs half as much as to make it, and
 * at the end of a round as much as to make ten.
 */
const ALONE = 15

const SETTLED = Promise.resolve()

/** What it is made on: a `FleetClock`. */
export interface BaseClock extends Clock {
  /** What is added to `monotonic()` for `now()`, ms. */
  readonly offsetMs: number
}

export class TurnClock implements Clock {
  readonly #base: BaseClock
  readonly #isForRound: boolean
  #readMs = 0
  #left = 0
  /** Readings that are not kept. */
  #alone = 0
  /** Readings kept since one was last forgotten. */
  #kept = 0

  /** @param until when a reading is forgotten: behind the promises that are settled, or at the end of the event loop's round */
  constructor(base: BaseClock, until: 'settled' | 'round' = 'settled') {
    this.#base = base
    this.#isForRound = until === 'round'
  }

  now(): number {
    return Math.floor(this.monotonic() + this.#base.offsetMs)
  }

  monotonic(): number {
    if (this.#left === 0) return this.#read()
    this.#left--
    return this.#readMs
  }

  after(delayMs: number, task: () => void, options?: { readonly keepAlive?: boolean }): Timer {
    return this.#base.after(delayMs, task, options)
  }

  soon(task: () => void): void {
    this.#base.soon(task)
  }

  #read(): number {
    const nowMs = this.#base.monotonic()
    if (this.#alone > 0) {
      this.#alone--
      return nowMs
    }
    this.#readMs = nowMs
    this.#left = ASKINGS - 1
    // What settled promises wake goes by this reading, what comes after them by another.
    if (!this.#isForRound) void SETTLED.then(this.#forget)
    else if (this.#kept === 0) this.#base.soon(this.#forget)
    this.#kept++
    return nowMs
  }

  readonly #forget = (): void => {
    const isTooFew = this.#kept === 1 && (this.#isForRound || this.#left === ASKINGS - 1)
    if (isTooFew) this.#alone = ALONE
    this.#kept = 0
    this.#left = 0
  }
}
