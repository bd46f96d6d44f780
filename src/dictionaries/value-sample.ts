/**
 * A sample of a cache's values, bounded in bytes: each that was offered is as likely to be in it as any other (Vitter's algorithm R).
 *
 * Most offers cost a random number, and the longer it goes on the fewer are copied. Jeffrey S. Vitter, Random Sampling with a Reservoir, 1985.
 */
import type { Random } from '../clock.ts'

/** What small values have in common matters; of large ones there are few, and they shrink without. */
const MOST_BYTES_A_VALUE = 16_384

export class ValueSample {
  readonly #maxBytes: number
  readonly #random: Random
  readonly #values: Uint8Array[] = []
  #offered = 0
  bytes = 0

  constructor(maxBytes: number, random: Random) {
    this.#maxBytes = maxBytes
    this.#random = random
  }

  /** How many values were offered. */
  get offered(): number {
    return this.#offered
  }

  offer(value: Uint8Array): void {
    if (value.length > MOST_BYTES_A_VALUE) return
    this.#offered++
    if (this.bytes + value.length <= this.#maxBytes && this.#offered === this.#values.length + 1) {
      this.#values.push(copyOf(value))
      this.bytes += value.length
      return
    }
    const at = Math.floor(this.#random() * this.#offered)
    if (at >= this.#values.length) return
    this.bytes += value.length - this.#values[at]!.length
    this.#values[at] = copyOf(value)
    while (this.bytes > this.#maxBytes && this.#values.length > 1) this.#removeAny()
  }

  /** In the order in which they came, as far as they were not replaced. */
  values(): readonly Uint8Array[] {
    return [...this.#values]
  }

  clear(): void {
    this.#values.length = 0
    this.#offered = 0
    this.bytes = 0
  }

  #removeAny(): void {
    const at = Math.floor(this.#random() * this.#values.length)
    this.bytes -= this.#values[at]!.length
    this.#values[at] = this.#values.at(-1)!
    this.#values.pop()
  }
}

function copyOf(value: Uint8Array): Uint8Array {
  return Uint8Array.prototype.slice.call(value)
}
