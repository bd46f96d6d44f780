/**
 * What became of each operation of one cache, counted: by outcome, by the node that answered, with latencies.
 *
 * The cache class reports each operation exactly once, at its end, by one call; nothing else counts it again. A hit costs a few additions
 * and no allocation.
 */
import { Histogram, type HistogramSnapshot } from './histogram.ts'

/**
 * `hit`: a fresh value from the cache. `stale`: an old one within grace. `negative`: the cache knew that there is no row.
 * `miss`: the store or loader was asked (or, without one, there was nothing). `error`: the caller got an error.
 */
export type Outcome = 'hit' | 'stale' | 'negative' | 'miss' | 'error'

export interface OutcomeCounts {
  hits: number
  stale: number
  misses: number
  negativeHits: number
  errors: number
}

export interface CacheMetrics extends Readonly<OutcomeCounts> {
  /** Of the hits and negative hits, those of the near cache. They take no part in `byNode` and `latencyMs`. */
  readonly nearHits: number
  readonly writes: number
  readonly deletes: number
  /** Writes and deletes that rejected. Reads that did are `errors`. */
  readonly failedWrites: number
  /** Operations for which no owner could answer, so that the store was used without the cache. */
  readonly bypassed: number
  /** Undefined where values are not packed by dictionaries. */
  readonly packing?: PackingReport | undefined
  /** By node id: what this node answered. Misses asked of no node (all down) are in the cache's counts alone. */
  readonly byNode: Readonly<Record<string, Readonly<OutcomeCounts>>>
  /** Durations of whole calls, ms. `hit` holds hits, stale and negative hits; `miss` what waited for a load. */
  readonly latencyMs: { readonly hit: HistogramSnapshot; readonly miss: HistogramSnapshot; readonly write: HistogramSnapshot }
}

/** How a cache's values are packed by dictionaries, in this process. */
export interface PackingReport {
  /** By which at present; undefined: by none. */
  readonly dictionary: number | undefined
  readonly level: number
  /** Bytes of all values that were encoded, and what they became. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** What packing took, ms in all. */
  readonly tookMs: number
  /** Dictionaries known here; of them, trained here. */
  readonly known: number
  readonly trained: number
  /** Times that a dictionary could not be had which entries name: each a miss, or several at once. */
  readonly notFound: number
}

export class Outcomes {
  readonly #totals = noCounts()
  readonly #byNode = new Map<string, OutcomeCounts>()
  /** Answers come in batches, so mostly the node is that of the last one. */
  #lastNode: string | undefined
  #lastCounts = this.#totals
  readonly hit = new Histogram()
  readonly miss = new Histogram()
  readonly write = new Histogram()
  nearHits = 0
  writes = 0
  deletes = 0
  failedWrites = 0
  bypassed = 0
  packing: (() => PackingReport | undefined) | undefined

  /** One read. @param node the id of the node that answered, if one did @param ms how long the whole call took */
  record(outcome: Outcome, node: string | undefined, ms: number): void {
    count(this.#totals, outcome)
    if (node !== undefined) count(this.#countsOf(node), outcome)
    if (outcome === 'miss') this.miss.record(ms)
    else if (outcome !== 'error') this.hit.record(ms)
  }

  /** One read that the near cache answered. @param negative whether it knew that there is no row */
  recordNear(negative: boolean): void {
    this.nearHits++
    if (negative) this.#totals.negativeHits++
    else this.#totals.hits++
  }

  /** A try that a node failed, or a change that it missed, whatever became of the call. */
  recordNodeError(node: string): void {
    this.#countsOf(node).errors++
  }

  recordWrite(kind: 'write' | 'delete', succeeded: boolean, ms: number): void {
    if (kind === 'write') this.writes++
    else this.deletes++
    if (!succeeded) this.failedWrites++
    this.write.record(ms)
  }

  #countsOf(node: string): OutcomeCounts {
    if (node === this.#lastNode) return this.#lastCounts
    let counts = this.#byNode.get(node)
    if (counts === undefined) {
      counts = noCounts()
      this.#byNode.set(node, counts)
    }
    this.#lastNode = node
    this.#lastCounts = counts
    return counts
  }

  snapshot(): CacheMetrics {
    // A node's id may be any text, '__proto__' too: fromEntries makes it a property like any other.
    const byNode = Object.fromEntries(Array.from(this.#byNode, ([node, counts]) => [node, { ...counts }]))
    return {
      ...this.#totals,
      nearHits: this.nearHits,
      writes: this.writes,
      deletes: this.deletes,
      failedWrites: this.failedWrites,
      bypassed: this.bypassed,
      packing: this.packing?.(),
      byNode,
      latencyMs: { hit: this.hit.snapshot(), miss: this.miss.snapshot(), write: this.write.snapshot() },
    }
  }
}

function noCounts(): OutcomeCounts {
  return { hits: 0, stale: 0, misses: 0, negativeHits: 0, errors: 0 }
}

function count(counts: OutcomeCounts, outcome: Outcome): void {
  if (outcome === 'hit') counts.hits++
  else if (outcome === 'miss') counts.misses++
  else if (outcome === 'stale') counts.stale++
  else if (outcome === 'negative') counts.negativeHits++
  else counts.errors++
}
