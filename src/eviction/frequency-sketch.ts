/**
 * How often keys were read lately, of keys that are not held, in 16 to 32 bytes a held entry, or in fewer.
 *
 * A count-min sketch (Cormode and Muthukrishnan, 2005) of four rows of small counters, raised conservatively: a key's estimate is the
 * smallest of its four counters, and raising it touches none that is above. It errs upward only, when another key shares all four. What was
 * popular must not stay so for ever: `age` halves everything, as TinyLFU does (Einziger, Friedman and Manes, ACM ToS 2017).
 *
 * It grows by doubling, and keeps its estimates: a row's second half is a copy of its first, and counters part as they are raised.
 */

/** The largest frequency that is told apart. */
export const MOST_FREQUENT = 15

const ROWS = 4
/** Counters a row for each entry, at least. */
const COUNTERS_PER_ENTRY = 4
const SMALLEST_ROW = 64

export class FrequencySketch {
  readonly #countersPerEntry: number
  #rowLength = SMALLEST_ROW
  #counters = new Uint8Array(ROWS * SMALLEST_ROW)

  /** @param countersPerEntry of each row, at least. Fewer: less memory, and more keys that are taken for more popular than they are. Default 4. */
  constructor(countersPerEntry: number = COUNTERS_PER_ENTRY) {
    this.#countersPerEntry = countersPerEntry
  }

  get sizeBytes(): number {
    return this.#counters.length
  }

  /** @returns 0 to `MOST_FREQUENT`, never less than what the key was raised to, halved as often as all was since */
  estimate(hash: number): number {
    const mask = this.#rowLength - 1
    const step = stepOf(hash)
    let least = MOST_FREQUENT
    for (let row = 0, at = hash; row < ROWS; row++, at = (at + step) | 0) {
      const counter = this.#counters[row * this.#rowLength + (at & mask)]!
      if (counter < least) least = counter
    }
    return least
  }

  /** Makes the key's estimate at least this. */
  raise(hash: number, frequency: number): void {
    const mask = this.#rowLength - 1
    const step = stepOf(hash)
    for (let row = 0, at = hash; row < ROWS; row++, at = (at + step) | 0) {
      const index = row * this.#rowLength + (at & mask)
      if (this.#counters[index]! < frequency) this.#counters[index] = frequency
    }
  }

  /** Halves all estimates; four counters at a time. */
  age(): void {
    const words = new Uint32Array(this.#counters.buffer)
    for (let index = 0; index < words.length; index++) words[index] = (words[index]! >>> 1) & 0x07_07_07_07
  }

  /** Grows, when there are more entries than it is made for; it never shrinks. */
  makeFor(entries: number): void {
    while (this.#rowLength < entries * this.#countersPerEntry) {
      const half = this.#rowLength
      const grown = new Uint8Array(ROWS * half * 2)
      for (let row = 0; row < ROWS; row++) {
        const counters = this.#counters.subarray(row * half, (row + 1) * half)
        grown.set(counters, row * half * 2)
        grown.set(counters, row * half * 2 + half)
      }
      this.#rowLength = half * 2
      this.#counters = grown
    }
  }
}

/** Odd, so that each row looks elsewhere. */
function stepOf(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x735a2d97)
  return (mixed ^ (mixed >>> 15)) | 1
}
