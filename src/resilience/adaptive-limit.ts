/**
 * How many calls a database takes at once before more of them only make each slower.
 *
 * Nobody knows that number: it changes with the rows, the disk and whoever else asks. But time tells it: below the number an answer takes as
 * long as ever, above it longer. So answers are gathered in windows, and the window's median is compared with what is usual:
 *
 *     gradient = usual × 2 / median, from 0.5 to 1          limit ← limit × gradient + √limit
 *
 * as in Envoy's adaptive concurrency filter and Netflix's concurrency-limits (Gradient2; "Performance Under Load", 2018). A gradient rather
 * than AIMD on a threshold, for a threshold right for one table is wrong for the next; a median, for a batch of a thousand rows between
 * single ones is no sign of overload. A call that failed or came too late halves the limit, once a window. A limit that is not used says nothing.
 *
 * It begins low, for what is usual has yet to be learned and an empty cache asks most of all, and is at a cap of 16 after five windows.
 */
import type { Clock } from '../clock.ts'

export interface LimitBounds {
  readonly floor: number
  /** Never more at once than this, however quickly answers come. */
  readonly cap: number
}

/** A window ends with so many answers… */
const WINDOW_CALLS = 16
/** …or with the first that comes this long after it began, ms. */
const WINDOW_MS = 250
/** It begins with so many, or a quarter of its cap. */
const BEGIN = 4
/** Answers may take so many times as long as is usual. */
const TOLERANCE = 2
/** A database that has become slower for good is believed within a minute or two; one that is quicker within two windows. */
const SLOWER_MS = 60_000
const STRAINED_MS = 5_000

export class AdaptiveLimit {
  readonly #bounds: LimitBounds
  readonly #clock: Clock
  readonly #tookMs = new Float64Array(WINDOW_CALLS)
  #calls = 0
  #sinceMs: number
  #mostUnderWay = 0
  #limit: number
  /** A median in quiet times, ms; 0: nothing is known yet. */
  #usualMs = 0
  #meanMs = 0
  #cutMs = Number.NEGATIVE_INFINITY
  #strainedMs = Number.NEGATIVE_INFINITY

  constructor(bounds: LimitBounds, clock: Clock) {
    this.#bounds = bounds
    this.#clock = clock
    this.#limit = Math.max(bounds.floor, Math.min(BEGIN, bounds.cap / 4))
    this.#sinceMs = clock.monotonic()
  }

  /** How many may be under way, a whole number from the floor to the cap. */
  get current(): number {
    return Math.floor(this.#limit)
  }

  /** How long an answer takes of late, ms; 0 while nothing is known. */
  get meanMs(): number {
    return this.#meanMs
  }

  /** Whether calls were slow or failed a short while ago. */
  get isStrained(): boolean {
    return this.#clock.monotonic() - this.#strainedMs < STRAINED_MS
  }

  /** A call was answered. @param underWay how many were under way when it began, itself among them */
  answered(tookMs: number, underWay: number): void {
    const now = this.#clock.monotonic()
    this.#meanMs = this.#meanMs === 0 ? tookMs : this.#meanMs + (tookMs - this.#meanMs) / 8
    this.#tookMs[this.#calls++] = tookMs
    if (underWay > this.#mostUnderWay) this.#mostUnderWay = underWay
    if (this.#calls === WINDOW_CALLS || now - this.#sinceMs >= WINDOW_MS) this.#endWindow(now)
  }

  /** A call failed for the database's own sake, or was not answered in time. */
  dropped(): void {
    const now = this.#clock.monotonic()
    if (now - this.#cutMs < WINDOW_MS) return
    this.#cutMs = now
    this.#strainedMs = now
    this.#set(this.#limit / 2)
    this.#beginWindow(now)
  }

  #endWindow(now: number): void {
    const medianMs = Math.max(0.01, this.#tookMs.subarray(0, this.#calls).toSorted()[this.#calls >> 1]!)
    const elapsedMs = now - this.#sinceMs
    if (this.#usualMs === 0) this.#usualMs = medianMs
    const gradient = Math.min(1, Math.max(0.5, (this.#usualMs * TOLERANCE) / medianMs))
    if (gradient < 1) this.#strainedMs = now
    const weight = medianMs < this.#usualMs ? 0.5 : 1 - Math.exp(-elapsedMs / SLOWER_MS)
    this.#usualMs += (medianMs - this.#usualMs) * weight
    // What was not used to the half says nothing of what more would do.
    if (this.#mostUnderWay * 2 >= this.current) this.#set(this.#limit * gradient + Math.sqrt(this.#limit))
    this.#beginWindow(now)
  }

  #beginWindow(now: number): void {
    this.#calls = 0
    this.#mostUnderWay = 0
    this.#sinceMs = now
  }

  #set(limit: number): void {
    this.#limit = Math.min(this.#bounds.cap, Math.max(this.#bounds.floor, limit))
  }
}
