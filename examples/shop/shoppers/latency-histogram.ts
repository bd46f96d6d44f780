/**
 * Latencies in logarithmic buckets, 16 an octave: percentiles within 4.5 %, in 2 kB, however many samples.
 *
 * A histogram is plain numbers, so it crosses to another process as it is, and two of them add and subtract.
 */
const PER_OCTAVE = 16
/** From 1 µs to 1000 s. */
const OCTAVES = 30

export class LatencyHistogram {
  readonly counts: Float64Array

  constructor(counts: Float64Array = new Float64Array(PER_OCTAVE * OCTAVES)) {
    this.counts = counts
  }

  record(ms: number): void {
    const bucket = Math.floor(Math.log2(Math.max(1, ms * 1_000)) * PER_OCTAVE)
    this.counts[Math.min(bucket, this.counts.length - 1)]!++
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0)
  }

  /** What came after `earlier`, a former state of this histogram. */
  since(earlier: LatencyHistogram): LatencyHistogram {
    return new LatencyHistogram(this.counts.map((count, bucket) => count - earlier.counts[bucket]!))
  }

  /** @returns ms, the middle of the bucket in which the percentile falls; null when there is no sample */
  percentile(fraction: number): number | null {
    const wanted = Math.ceil(this.total * fraction)
    if (wanted === 0) return null
    let bucket = 0
    for (let seen = this.counts[0]!; seen < wanted; seen += this.counts[bucket]!) bucket++
    return 2 ** ((bucket + 0.5) / PER_OCTAVE) / 1_000
  }
}
