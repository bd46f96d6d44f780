/**
 * A histogram of durations that costs about as much as a counter.
 *
 * Log-linear buckets, as in HdrHistogram: 32 linear buckets in each power of two of microseconds, so that any percentile is right within
 * 1/32 (3.1 %) from 1 µs to 67 s; what is longer counts as 67 s. Memory is one array of 768 numbers, recording one shift and one addition.
 */

const SUB_BITS = 5
const SUB_BUCKETS = 1 << SUB_BITS
const LARGEST_BITS = 26
const LARGEST_US = 2 ** LARGEST_BITS - 1
const BUCKETS = (LARGEST_BITS - SUB_BITS + 1) * SUB_BUCKETS

/** Durations in ms; all 0 when nothing was recorded. */
export interface HistogramSnapshot {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  readonly sum: number
  /** How many durations were at most `upToMs`, by the bounds of `BUCKETS_MS`: cumulative, as Prometheus has it. */
  readonly buckets: readonly HistogramBucket[]
}

export interface HistogramBucket {
  readonly upToMs: number
  readonly count: number
}

/** Bounds that histograms are told by, ms; each count is right within the 3.1 % of a bucket. */
const BUCKETS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000]

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sumMs = 0
  #maxMs = 0

  record(ms: number): void {
    const us = ms * 1000
    this.#counts[bucketOf(us >= LARGEST_US ? LARGEST_US : us < 0 ? 0 : us | 0)]!++
    this.#count++
    this.#sumMs += ms
    if (ms > this.#maxMs) this.#maxMs = ms
  }

  get count(): number {
    return this.#count
  }

  get sumMs(): number {
    return this.#sumMs
  }

  /** @param quantile 0..1 @returns ms, the upper bound of the bucket in which the quantile lies; 0 when nothing was recorded */
  percentile(quantile: number): number {
    if (this.#count === 0) return 0
    const rank = Math.max(1, Math.ceil(this.#count * quantile))
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!
      if (seen >= rank) return Math.min(upperUsOf(bucket) / 1000, this.#maxMs)
    }
    return this.#maxMs
  }

  /** How many recorded durations were at most `ms`: exact where `ms` is a bucket's bound, else by whole buckets. */
  countUpTo(ms: number): number {
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS && upperUsOf(bucket) <= ms * 1000; bucket++) seen += this.#counts[bucket]!
    return seen
  }

  /** Adds all that another has recorded. */
  add(other: Histogram): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#counts[bucket]! += other.#counts[bucket]!
    this.#count += other.#count
    this.#sumMs += other.#sumMs
    this.#maxMs = Math.max(this.#maxMs, other.#maxMs)
  }

  snapshot(): HistogramSnapshot {
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : this.#sumMs / this.#count,
      p50: this.percentile(0.5),
      p90: this.percentile(0.9),
      p99: this.percentile(0.99),
      p999: this.percentile(0.999),
      max: this.#maxMs,
      sum: this.#sumMs,
      buckets: BUCKETS_MS.map((upToMs) => ({ upToMs, count: this.countUpTo(upToMs) })),
    }
  }
}

function bucketOf(us: number): number {
  const shift = 31 - Math.clz32(us | SUB_BUCKETS) - SUB_BITS
  return shift * SUB_BUCKETS + (us >>> shift)
}

/** The largest duration, in µs, that falls into a bucket. */
function upperUsOf(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return bucket
  const shift = (bucket >>> SUB_BITS) - 1
  return (((bucket & (SUB_BUCKETS - 1)) | SUB_BUCKETS) + 1) * 2 ** shift - 1
}
