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
 * What makes a database slow may also be nothing that fewer calls would mend: a lock, a disk, a longer way. Half the places at such answers
 * are half the calls, and shed what the database would have done. So the time of calls that began almost alone counts as usual at once; and
 * where none do, that of all, once the limit is half of what it was when answers became slow and they are no quicker for it. (Envoy lowers its
 * limit now and then to learn that.)
 *
 * It begins low, for what is usual has yet to be learned and an empty cache asks most of all. Where all of it is used and more is wanted it
 * doubles at once, and again a window later, until answers become slow: what is not overloaded is not to keep anybody waiting.
 */
import type { Clock } from '../clock.ts'

export interface LimitBounds {
  readonly floor: number
  /** Never more at once than this, however quickly answers come. */
  readonly cap: number
}

/** @param medianMs of its answers @param calls how many they were */
export type WindowEnded = (medianMs: number, calls: number) => void

/** A window ends with as many answers as may be under way, from 4 to 16… */
const WINDOW_CALLS = 16
const LEAST_CALLS = 4
/** …or, this long after it began, with the fourth; and in any case with the first after the longest, ms. */
const WINDOW_MS = 250
const LONGEST_WINDOW_MS = 1_000
/** It begins with so many, or a quarter of its cap. */
const BEGIN = 4
/** Answers may take so many times as long as is usual. */
const TOLERANCE = 2
/** A database that has become slower for good is believed within a minute or two; one that is quicker within two windows. */
const SLOWER_MS = 60_000
const STRAINED_MS = 5_000
/** A call is almost alone that begins with no more than this share of the limit under way, itself among them. One says little, two in a row enough. */
const ALONE = 0.34
/** Of a limit, with which it is known whether fewer calls are answered more quickly. */
const LOWERED = 0.5
/** Of the median; above it the lowering did not help. */
const HELPED = 0.75

export class AdaptiveLimit {
  readonly #bounds: LimitBounds
  readonly #clock: Clock
  readonly #windowEnded: WindowEnded | undefined
  readonly #tookMs = new Float64Array(WINDOW_CALLS)
  #calls = 0
  #sinceMs: number
  #mostUnderWay = 0
  /** Of the last two that began almost alone, the last first, ms; and whether one of them is of this window. */
  #aloneMs: readonly [number, number] = [0, 0]
  #wasAlone = false
  #limit: number
  /** A median in quiet times, ms; 0: nothing is known yet. */
  #usualMs = 0
  #meanMs = 0
  #cutMs = Number.NEGATIVE_INFINITY
  #strainedMs = Number.NEGATIVE_INFINITY
  #raisedMs = Number.NEGATIVE_INFINITY
  /** When answers became slow, or were last found quicker for a lowered limit. */
  #slow: Slow | undefined

  /** @param windowEnded told of each window that was not broken off; it must not throw */
  constructor(bounds: LimitBounds, clock: Clock, windowEnded?: WindowEnded) {
    this.#bounds = bounds
    this.#clock = clock
    this.#windowEnded = windowEnded
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

  /** All of it is under way, and one more call is to be made. */
  wanted(): void {
    const now = this.#clock.monotonic()
    if (this.isStrained || now - this.#raisedMs < WINDOW_MS) return
    this.#raisedMs = now
    this.#set(this.#limit * 2)
  }

  /** A call was answered. @param underWay how many were under way when it began, itself among them */
  answered(tookMs: number, underWay: number): void {
    const now = this.#clock.monotonic()
    this.#meanMs = this.#meanMs === 0 ? tookMs : this.#meanMs + (tookMs - this.#meanMs) / 8
    this.#tookMs[this.#calls++] = tookMs
    if (underWay > this.#mostUnderWay) this.#mostUnderWay = underWay
    if (underWay <= Math.max(1, this.#limit * ALONE)) {
      this.#aloneMs = [tookMs, this.#aloneMs[0]]
      this.#wasAlone = true
    }
    const elapsedMs = now - this.#sinceMs
    // The median of fewer than four is chance.
    const enough = elapsedMs >= WINDOW_MS ? LEAST_CALLS : Math.max(LEAST_CALLS, Math.min(WINDOW_CALLS, this.current))
    if (this.#calls >= enough || elapsedMs >= LONGEST_WINDOW_MS) this.#endWindow(now)
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
    if (this.#wasAlone) this.#usualMs = Math.max(this.#usualMs, Math.min(...this.#aloneMs))
    if (this.#isSlowAnyhow(medianMs)) this.#usualMs = medianMs
    const gradient = Math.min(1, Math.max(0.5, (this.#usualMs * TOLERANCE) / medianMs))
    if (gradient < 1) this.#strainedMs = now
    const weight = medianMs < this.#usualMs ? 0.5 : 1 - Math.exp(-elapsedMs / SLOWER_MS)
    this.#usualMs += (medianMs - this.#usualMs) * weight
    // What was not used to the half says nothing of what more would do.
    if (this.#mostUnderWay * 2 >= this.current) this.#set(this.#limit * gradient + Math.sqrt(this.#limit))
    const calls = this.#calls
    this.#beginWindow(now)
    this.#windowEnded?.(medianMs, calls)
  }

  /** @returns whether answers take as long as they do however few are asked for */
  #isSlowAnyhow(medianMs: number): boolean {
    if (medianMs <= this.#usualMs * TOLERANCE) {
      this.#slow = undefined
      return false
    }
    this.#slow ??= { limit: this.#limit, medianMs, isLowered: false }
    const slow = this.#slow
    if (!slow.isLowered) {
      // The calls of this window may have begun before it was.
      slow.isLowered = this.#limit <= slow.limit * LOWERED
      return false
    }
    if (medianMs > slow.medianMs * HELPED) {
      this.#slow = undefined
      return true
    }
    this.#slow = { limit: this.#limit, medianMs, isLowered: false }
    return false
  }

  #beginWindow(now: number): void {
    this.#calls = 0
    this.#mostUnderWay = 0
    this.#wasAlone = false
    this.#sinceMs = now
  }

  #set(limit: number): void {
    this.#limit = Math.min(this.#bounds.cap, Math.max(this.#bounds.floor, limit))
  }
}

interface Slow {
  readonly limit: number
  readonly medianMs: number
  isLowered: boolean
}
