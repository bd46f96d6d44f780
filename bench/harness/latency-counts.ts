/** Latencies counted in steps of 5 µs up to 100 ms: a few additions each, and no memory that grows while it is measured. */

const STEP_MS = 0.005
const STEPS = 20_000

export class LatencyCounts {
  readonly #counts = new Uint32Array(STEPS + 1)
  count = 0

  add(ms: number): void {
    const step = Math.min(STEPS, Math.max(0, Math.floor(ms / STEP_MS)))
    this.#counts[step]!++
    this.count++
  }

  /** What so large a share of all took at most, ms, rounded up to a step; Infinity beyond 100 ms, NaN of none. */
  atMost(share: number): number {
    if (this.count === 0) return Number.NaN
    const rank = Math.ceil(this.count * share)
    let seen = 0
    for (let step = 0; step < STEPS; step++) {
      seen += this.#counts[step]!
      if (seen >= rank) return (step + 1) * STEP_MS
    }
    return Number.POSITIVE_INFINITY
  }
}
