/**
 * Chance with a seed: the same seed draws the same numbers on every machine.
 *
 * mulberry32 (a 32-bit generator by Tommy Ettinger, public domain) is enough for shaping demonstration data.
 */
export class Draws {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A number in [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number in [min, max]. */
  whole(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1))
  }

  /** Log-normal: `median × e^(sigma × N(0, 1))`. */
  logNormal(median: number, sigma: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.fraction()))
    return median * Math.exp(sigma * radius * Math.cos(2 * Math.PI * this.fraction()))
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.fraction() * choices.length)]!
  }
}

/**
 * Ranks drawn by the Zipf–Mandelbrot law: rank k (from 0) has the weight 1 / (k + 1 + shift × ranks) ^ exponent.
 * Drawn by bisecting the cumulated weights: 8 bytes a rank.
 */
export class RankLaw {
  readonly #cumulated: Float64Array

  constructor(ranks: number, exponent: number, shift: number) {
    this.#cumulated = new Float64Array(ranks)
    let sum = 0
    for (let rank = 0; rank < ranks; rank++) {
      sum += 1 / (rank + 1 + shift * ranks) ** exponent
      this.#cumulated[rank] = sum
    }
  }

  draw(draws: Draws): number {
    const target = draws.fraction() * this.#cumulated[this.#cumulated.length - 1]!
    let low = 0
    let high = this.#cumulated.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#cumulated[middle]! > target) high = middle
      else low = middle + 1
    }
    return low
  }
}
