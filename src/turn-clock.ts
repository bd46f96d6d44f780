/**
 * The fleet's time, read once for what happens together.
 *
 * A read asks three times what time it is: when it began, whether its value is fresh, how long it took. Reads come by the batch, and reading
 * the machine's clock for each question costs more than all else that is done with the answer. So one reading serves what follows it without
 * the event loop turning (the answers of a batch; the callers that they wake), yet no more than `ASKINGS` questions, so that a turn that goes
 * on for long does not stand still. Where the answers come one by one, as a near cache's do, few are kept to be shared. It is never ahead of the clock, so that what goes by it may be taken for a little younger than it is, and
 * no deadline and no timer does.
 */
import type { Clock, Timer } from './clock.ts'

/** Of which the last is late by what the others took: with small values some µs each. */
const ASKINGS = 16
/** After a reading that served one question alone, so many are made for one each: to forget one costs half as much as to make it. */
const ALONE = 15

const SETTLED = Promise.resolve()

/** What it is made on: a `FleetClock`. */
export interface BaseClock extends Clock {
  /** What is added to `monotonic()` for `now()`, ms. */
  readonly offsetMs: number
}

export class TurnClock implements Clock {
  readonly #base: BaseClock
  #readMs = 0
  #left = 0
  /** Readings that are not kept. */
  #alone = 0
  /** Readings kept in this turn. */
  #kept = 0

  constructor(base: BaseClock) {
    this.#base = base
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
    this.#kept++
    // Behind the promises that are settled already: what they wake goes by this reading, what comes after them by another.
    void SETTLED.then(this.#forget)
    return nowMs
  }

  readonly #forget = (): void => {
    if (this.#kept === 1 && this.#left === ASKINGS - 1) this.#alone = ALONE
    this.#kept = 0
    this.#left = 0
  }
}
