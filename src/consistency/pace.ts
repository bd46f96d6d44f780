/**
 * Keeps work at a rate: what was done is paid for by waiting before the next, and what was not used is not saved up.
 */
import type { Clock } from '../clock.ts'

export class Pace {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #perSecond: number
  #freeMs = 0

  constructor(clock: Pick<Clock, 'monotonic'>, perSecond: number) {
    this.#clock = clock
    this.#perSecond = perSecond
  }

  /** Until more may be done, ms. */
  get waitMs(): number {
    return Math.max(0, this.#freeMs - this.#clock.monotonic())
  }

  spend(count: number): void {
    this.#freeMs = Math.max(this.#freeMs, this.#clock.monotonic()) + (count * 1_000) / this.#perSecond
  }
}
