/** Latencies counted in steps of 5 µs up to 100 ms and of 1 ms up to 10 s: a few additions each, and no memory that grows while it is measured. */

const FINE_MS = 0.005
const FINE_STEPS = 20_000
const FINE_UP_TO_MS = FINE_MS * FINE_STEPS
const COARSE_MS = 1
const COARSE_STEPS = 9_900

export class LatencyCounts {
  readonly #counts = new Uint32Array(FINE_STEPS + COARSE_STEPS + 1)
  count = 0

  add(ms: number): void {
    const step = ms < FINE_UP_TO_MS ? Math.max(0, Math.floor(ms / FINE_MS)) : FINE_STEPS + Math.floor((ms - FINE_UP_TO_MS) / COARSE_MS)
    this.#counts[Math.min(step, FINE_STEPS + COARSE_STEPS)]!++
    this.count++
  }

  /** What so large a share of all took at most, ms, rounded up to a step; Infinity beyond 10 s, NaN of none. */
  atMost(share: number): number {
    if (this.count === 0) return Number.NaN
    const rank = Math.ceil(this.count * share)
    let seen = 0
    for (let step = 0; step < FINE_STEPS + COARSE_STEPS; step++) {
      seen += this.#counts[step]!
      if (seen >= rank) return step < FINE_STEPS ? (step + 1) * FINE_MS : FINE_UP_TO_MS + (step - FINE_STEPS + 1) * COARSE_MS
    }
    return Number.POSITIVE_INFINITY
  }
}
