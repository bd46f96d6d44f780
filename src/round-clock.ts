/**
 * The time as a near cache needs it: read once for up to 16 of the look-ups that come in one round of the event loop.
 *
 * Look-ups that are awaited one by one share nothing that ends behind a promise, as a reading of `TurnClock` does, for each is behind the promise of
 * the one before. So where a round has many, a reading is kept until the round's end, for so many of them. To be told of that end costs as much as ten
 * readings: where rounds turn out to have few, or what is done between look-ups to take long, none is kept for a while, the longer the more often that
 * was so, and each look-up is told what the clock behind this one says.
 *
 * What is told is late by what was done since the reading: as a rule some µs, and with work between look-ups once in that while for as long as 15 of
 * them take. It is never ahead.
 */
import type { Clock } from './clock.ts'

const ASKINGS = 16
/** From one reading to the next more is not look-ups alone, ms. */
const LONG_MS = 1
/** Askings for which nothing is kept: after the first time that it was not worth it, and at most. */
const FIRST_PAUSE = 16
const LONGEST_PAUSE = 4_096

type BaseClock = Pick<Clock, 'now' | 'monotonic' | 'soon'>

export class RoundClock implements Pick<Clock, 'now' | 'monotonic'> {
  readonly #base: BaseClock
  #readMs = 0
  #left = 0
  /** Readings kept in this round. */
  #kept = 0
  #paused = 0
  #pause = FIRST_PAUSE

  constructor(base: BaseClock) {
    this.#base = base
  }

  now(): number {
    return this.#base.now()
  }

  monotonic(): number {
    if (this.#left === 0) return this.#read()
    this.#left--
    return this.#readMs
  }

  #read(): number {
    const nowMs = this.#base.monotonic()
    if (this.#paused > 0) {
      this.#paused--
      return nowMs
    }
    // Also where the round's end was never told.
    if (this.#kept > 0 && nowMs - this.#readMs > LONG_MS) {
      this.#rest()
      return nowMs
    }
    this.#readMs = nowMs
    this.#left = ASKINGS - 1
    if (this.#kept++ === 0) this.#base.soon(this.#endRound)
    return nowMs
  }

  readonly #endRound = (): void => {
    if (this.#kept === 1) this.#rest()
    else if (this.#kept > 1) this.#pause = FIRST_PAUSE
    this.#kept = 0
    this.#left = 0
  }

  #rest(): void {
    this.#kept = 0
    this.#left = 0
    this.#paused = this.#pause
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE)
  }
}
