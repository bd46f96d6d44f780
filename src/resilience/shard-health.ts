/**
 * How a shard of a database is, by what its own calls tell: one judgement, which the guard's counts and the events both follow.
 *
 * `up` → `suspect` when a part of its calls fails, a tenth with what is usual, or when it takes far longer than it usually does; it is asked
 * as ever. It is `up` again when for a whole window of the breaker nothing has spoken against it: by marks that are half as high, so that a
 * shard at the edge is not told of again and again. `down` when the breaker has opened. `returning` once a try was answered, and `up` when
 * as many were as close the breaker. Tries that fail among others that are answered leave it `returning`; when none was for a whole window
 * it is `down` again. Nobody drains another's database: there is no such state of a shard.
 *
 * It is judged as the limit's windows end, with failures, and while the breaker is not closed: a call that goes well costs nothing here.
 */
import type { Clock, Timer } from '../clock.ts'
import type { ShardState } from '../store/store.ts'
import type { BreakerChange } from './breaker.ts'

export interface ShardHealthParts {
  readonly clock: Clock
  /** Of the breaker: at which share of failed calls it opens, and over how long, ms. */
  readonly failureRate: number
  readonly windowMs: number
  /** Told of each change, once. `reason` is empty for what is well. It must not throw. */
  readonly changed: (state: ShardState, reason: string) => void
}

/** Of the share at which the breaker opens; and so many failures at least, for one or two are chance. */
const SUSPECT_PART = 0.2
const FAILURES = 3
/** It is slow when calls take so many times as long as is usual, and so much longer, ms; for so long, ms, in so many calls at least. */
const SLOW_TIMES = 4
const SLOW_MS = 20
const SLOW_FOR_MS = 1_000
const SLOW_CALLS = 4
/** Of all these marks, while it is suspect. */
const LEAVE = 0.5
/**
 * What is slower is usual only after minutes: until then it is told of. What is quicker is usual after minutes too, or after every lull the times of
 * a busy shard would be told of; but sooner while little is known.
 */
const SLOWER_MS = 600_000
const QUICKER_MS = 300_000
const QUICKEST_MS = 10_000
/** For how long at least nothing speaks against what is up again, ms. */
const LEAST_QUIET_MS = 5_000

export class ShardHealth {
  readonly #parts: ShardHealthParts
  readonly #quietMs: number
  #state: ShardState = 'up'
  /** When something last spoke against one that is suspect; when a try was last answered. */
  #spokenMs = 0
  #answeredMs = 0
  /** A median of a window, ms; 0: nothing is known yet. */
  #usualMs = 0
  #windowEndMs = 0
  /** How long times have been known, ms. */
  #knownMs = 0
  /** Of the windows in a row that were slow. */
  #slowSinceMs = 0
  #slowCalls = 0
  #timer: Timer | undefined
  #isClosed = false

  constructor(parts: ShardHealthParts) {
    this.#parts = parts
    // No shorter than the breaker's window: what is counted there still would speak against it at once.
    this.#quietMs = Math.max(LEAST_QUIET_MS, parts.windowMs)
  }

  get state(): ShardState {
    return this.#state
  }

  /** A window of the limit has ended. @param medianMs of its answers @param calls how many */
  windowEnded(medianMs: number, calls: number): void {
    const now = this.#parts.clock.monotonic()
    const elapsedMs = Math.min(now - this.#windowEndMs, this.#quietMs)
    if (this.#isAsked && this.#usualMs > 0) this.#judgeTimes(medianMs, calls, now, elapsedMs)
    this.#windowEndMs = now
    if (this.#usualMs > 0) this.#knownMs += elapsedMs
    const quickerMs = Math.min(QUICKER_MS, Math.max(QUICKEST_MS, this.#knownMs / 4))
    const weight = 1 - Math.exp(-elapsedMs / (medianMs < this.#usualMs ? quickerMs : SLOWER_MS))
    this.#usualMs = this.#usualMs === 0 ? medianMs : this.#usualMs + (medianMs - this.#usualMs) * weight
  }

  /** A call has failed that the breaker lets pass all the same. @param failures of so many `calls` of its window @param last why the last did */
  failed(failures: number, calls: number, last: string): void {
    if (!this.#isAsked) return
    const mark = this.#mark
    if (failures < FAILURES * mark || failures < calls * this.#parts.failureRate * SUSPECT_PART * mark) return
    this.#suspect(`${failures} of ${calls} calls failed${last}`)
  }

  /** One of the calls that try it was answered. */
  tryAnswered(): void {
    this.#answeredMs = this.#parts.clock.monotonic()
    if (this.#state === 'down') this.#enter('returning', '')
  }

  /** The breaker has turned. */
  turned({ state, from, failures, calls }: BreakerChange, last: string): void {
    if (state === 'closed') this.#enter('up', '')
    else if (state !== 'open') return
    else if (from === 'closed') this.#enter('down', `${failures} of ${calls} calls failed${last}`)
    else if (this.#state === 'returning' && this.#parts.clock.monotonic() - this.#answeredMs >= this.#quietMs) {
      this.#enter('down', `calls that try it are not answered any more${last}`)
    }
  }

  /** With its guard. Tells nothing more, and leaves no timer. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  get #isAsked(): boolean {
    return this.#state === 'up' || this.#state === 'suspect'
  }

  get #mark(): number {
    return this.#state === 'suspect' ? LEAVE : 1
  }

  #judgeTimes(medianMs: number, calls: number, now: number, elapsedMs: number): void {
    const mark = this.#mark
    if (medianMs < Math.max(this.#usualMs * SLOW_TIMES * mark, this.#usualMs + SLOW_MS * mark)) {
      this.#slowCalls = 0
      return
    }
    // Windows far from each other are no row.
    if (this.#slowCalls === 0 || elapsedMs >= this.#quietMs) {
      this.#slowSinceMs = now
      this.#slowCalls = 0
    }
    this.#slowCalls += calls
    if (this.#state === 'up' && (this.#slowCalls < SLOW_CALLS || now - this.#slowSinceMs < SLOW_FOR_MS)) return
    this.#suspect(`calls take ${Math.ceil(medianMs)} ms, where ${Math.ceil(this.#usualMs)} are usual`)
  }

  #suspect(reason: string): void {
    this.#spokenMs = this.#parts.clock.monotonic()
    if (this.#state !== 'suspect') this.#enter('suspect', reason)
  }

  #enter(state: ShardState, reason: string): void {
    if (this.#isClosed) return
    this.#state = state
    this.#slowCalls = 0
    this.#timer?.cancel()
    this.#timer = undefined
    if (state === 'suspect') this.#lookAfter(this.#quietMs)
    this.#parts.changed(state, reason)
  }

  /** Whether it is as usual again, also where it is not asked meanwhile. */
  #lookAfter(ms: number): void {
    this.#timer = this.#parts.clock.after(ms, () => {
      const leftMs = this.#spokenMs + this.#quietMs - this.#parts.clock.monotonic()
      if (leftMs > 0) this.#lookAfter(leftMs)
      else this.#enter('up', '')
    })
  }
}
