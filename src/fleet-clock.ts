/**
 * The time of the fleet: what the cache nodes' own clocks say, by their median.
 *
 * Versions, fresh-until and the age of changes are compared between processes and nodes, so that all should read one clock. A wall clock
 * is the machine's own affair: it may be off, and it may jump. This one is carried on by the monotonic clock and set right, every second,
 * by the median of (node's TIME − the middle of the ping that asked for it); one node that is wrong moves it by no more than the right ones
 * differ. A process whose wall clock jumps is not noticed. The error of one measurement is at most half a ping's round trip, and half the
 * millisecond to which nodes cut their time (Cristian, "Probabilistic Clock Synchronization", 1989); so of the last pings of each node the
 * quickest counts, unless a later one contradicts it, which shows that the node's clock was set (as NTP filters its samples: Mills, RFC 5905).
 *
 * `now()` is set, not slewed: like any wall clock it may step, also back. `monotonic()` is the base clock's, and does not.
 */
import type { Clock, Timer } from './clock.ts'
import { type Emit, noEmit } from './events.ts'
import type { CacheNode } from './node/node.ts'

/** What a node may take to say its time, ms. */
const PING_TIMEOUT_MS = 250
/** By what two measurements of one clock differ because its time was cut to whole milliseconds. */
const CUT_MS = 1
/** Pings that took longer count only where none was quicker, ms. */
const QUICK_MS = 100
/** Pings of one node that are compared. */
const KEPT = 8
/** At the start so many pings are made one after the other, for the first may have had to connect first; fewer if one takes no longer than this, ms. */
const FIRST_ROUNDS = 3
const GOOD_MS = 4
/** And no more once they have taken so long, ms. */
const FIRST_ROUNDS_MS = 100
/** A node that is off by more is told of, ms. */
const TOLERATED_MS = 1_000

export interface FleetClockOptions {
  /** Between two measurements, ms. Default 1,000. */
  readonly intervalMs?: number | undefined
  /** Hears `node:misconfigured`, once, of a node that is off by more than a second, and again when it was right in between. */
  readonly emit?: Emit | undefined
}

interface Sample {
  readonly node: string
  readonly rttMs: number
  /** What is added to the monotonic clock for the node's time. */
  readonly offsetMs: number
}

export class FleetClock implements Clock {
  readonly #base: Clock
  readonly #nodes: readonly CacheNode[]
  readonly #intervalMs: number
  readonly #emit: Emit
  readonly #suspects = new Set<string>()
  /** By node, its last ones, the newest last. */
  readonly #samples = new Map<string, Sample[]>()
  #deviations: ReadonlyMap<string, number> = new Map()
  #offsetMs: number
  #timer: Timer | undefined
  #run = 0

  /**
   * The base clock's time until `start` has measured.
   * @param nodes must take their own time from elsewhere: nodes in this process from `base`
   */
  constructor(base: Clock, nodes: readonly CacheNode[], options: FleetClockOptions = {}) {
    this.#base = base
    this.#nodes = nodes
    this.#intervalMs = options.intervalMs ?? 1_000
    this.#emit = options.emit ?? noEmit
    this.#offsetMs = base.now() - base.monotonic()
  }

  now(): number {
    return Math.floor(this.#base.monotonic() + this.#offsetMs)
  }

  monotonic(): number {
    return this.#base.monotonic()
  }

  after(delayMs: number, task: () => void, options?: { readonly keepAlive?: boolean }): Timer {
    return this.#base.after(delayMs, task, options)
  }

  soon(task: () => void): void {
    this.#base.soon(task)
  }

  /** What is added to `monotonic()`, ms. */
  get offsetMs(): number {
    return this.#offsetMs
  }

  /** By how much each node that answered last is ahead of the median, ms, by its id. */
  get deviations(): ReadonlyMap<string, number> {
    return this.#deviations
  }

  /** Measures, and goes on measuring until `stop`. Resolves after the first measurement, at the latest after 350 ms; never rejects. */
  async start(): Promise<void> {
    this.stop()
    const run = this.#run
    const startMs = this.#base.monotonic()
    let slowestMs = Number.POSITIVE_INFINITY
    for (let round = 1; round <= FIRST_ROUNDS && slowestMs > GOOD_MS && run === this.#run; round++) {
      slowestMs = await this.#measure(run)
      if (this.#base.monotonic() - startMs >= FIRST_ROUNDS_MS) break
    }
    this.#repeat(run)
  }

  /** Leaves no timer; the clock goes on with the last offset. */
  stop(): void {
    this.#run++
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #repeat(run: number): void {
    if (run !== this.#run) return
    this.#timer = this.#base.after(this.#intervalMs, () => void this.#measure(run).then(() => this.#repeat(run)))
  }

  /** @returns what the slowest of those that answered took, ms; Infinity where none did */
  async #measure(run: number): Promise<number> {
    const samples = await Promise.all(this.#nodes.map((node) => this.#sample(node)))
    const answered = samples.filter((sample) => sample !== undefined)
    if (run === this.#run) this.#take(answered.map((sample) => this.#best(sample)))
    return answered.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...answered.map(({ rttMs }) => rttMs))
  }

  /** The quickest of a node's last samples that the newest does not contradict. */
  #best(newest: Sample): Sample {
    const agreeing = (this.#samples.get(newest.node) ?? []).filter(
      ({ rttMs, offsetMs }) => Math.abs(offsetMs - newest.offsetMs) <= (rttMs + newest.rttMs) / 2 + CUT_MS,
    )
    const kept = [...agreeing, newest].slice(-KEPT)
    this.#samples.set(newest.node, kept)
    return kept.reduce((best, sample) => (sample.rttMs <= best.rttMs ? sample : best))
  }

  async #sample(node: CacheNode): Promise<Sample | undefined> {
    const sentMs = this.#base.monotonic()
    try {
      const { timeMs } = await node.ping({ timeoutMs: PING_TIMEOUT_MS })
      const answeredMs = this.#base.monotonic()
      // A node's time was cut to whole milliseconds, by half of one on average.
      return { node: node.id, rttMs: answeredMs - sentMs, offsetMs: timeMs + 0.5 - (sentMs + answeredMs) / 2 }
    } catch {
      return undefined
    }
  }

  #take(samples: readonly Sample[]): void {
    const quick = samples.filter(({ rttMs }) => rttMs <= QUICK_MS)
    const used = quick.length > 0 ? quick : samples
    if (used.length === 0) return
    const medianMs = medianOf(used.map(({ offsetMs }) => offsetMs))
    this.#offsetMs = medianMs
    this.#deviations = new Map(samples.map(({ node, offsetMs }) => [node, offsetMs - medianMs]))
    for (const sample of samples) this.#judge(sample, medianMs)
  }

  #judge({ node, rttMs, offsetMs }: Sample, medianMs: number): void {
    const deviationMs = Math.round(offsetMs - medianMs)
    // What the way of the ping may have added is not the node's fault.
    const isOff = Math.abs(deviationMs) - rttMs / 2 > TOLERATED_MS
    if (!isOff) this.#suspects.delete(node)
    else if (!this.#suspects.has(node)) {
      this.#suspects.add(node)
      const reason = `its clock needs to be within ${TOLERATED_MS} ms of the nodes' median, but is ${Math.abs(deviationMs)} ms ${deviationMs > 0 ? 'ahead' : 'behind'}`
      this.#emit('node:misconfigured', { node, reason })
    }
  }
}

/** @param values at least one @returns of an even number of them the mean of the two in the middle */
function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
