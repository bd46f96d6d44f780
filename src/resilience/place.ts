import type { Clock, Timer } from '../clock.ts'

/** One of the places of those under way; left once. */
export class Place {
  readonly #clock: Clock
  readonly #left: () => void
  #timer: Timer | undefined
  #isLeft = false

  constructor(clock: Clock, left: () => void) {
    this.#clock = clock
    this.#left = left
  }

  leave(): void {
    if (this.#isLeft) return
    this.#isLeft = true
    this.#timer?.cancel()
    this.#left()
  }

  leaveLater(ms: number): void {
    if (!this.#isLeft) this.#timer ??= this.#clock.after(ms, () => this.leave())
  }
}
