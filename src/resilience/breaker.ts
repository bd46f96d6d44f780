/**
 * Whether something that may have failed, a node or a shard, is worth asking.
 *
 * Closed, everything passes and outcomes are counted over a sliding window. Once enough of them were failures it is open, and nothing
 * passes for a pause; then it is half-open, and a few probes pass: as many successes close it, one failure opens it again, for longer.
 * (Nygard's circuit breaker, "Release It!", 2007, with cockatiel's states and its sampling of a rate.) Pauses are jittered, so that a
 * fleet does not probe in step, and keep growing for one that flaps: only a whole window spent closed makes them short again.
 *
 * It is told of a batch at a time, makes no object a call and sets no timer: an open one becomes half-open when it is next asked.
 */
import type { Clock, Random } from '../clock.ts'

export type BreakerState = 'closed' | 'open' | 'half-open'

export interface BreakerOptions {
  /** Opens when at least this share of the window's calls failed, above 0 and at most 1. Default: 0.5. */
  readonly failureRate?: number | undefined
  /** How far the window reaches back, ms. Default: 5,000. */
  readonly windowMs?: number | undefined
  /** With fewer calls than this in the window it stays closed. Default: 10. */
  readonly minimumCalls?: number | undefined
  /** The first pause, ms; each that follows a failed probe is twice as long. Each is jittered down to no less than half. Default: 250. */
  readonly halfOpenAfterMs?: number | undefined
  /** The longest pause, ms. Default: 750, so that what is well again is found so within 2 s, also after a try for which it was not, and which took one. */
  readonly longestPauseMs?: number | undefined
  /** How many probes may be out at once, and how many successes close it. Default: 3. */
  readonly probes?: number | undefined
  /** A probe of which nothing was told for this long no longer counts as out, ms. Default: 1,000. */
  readonly probeTimeoutMs?: number | undefined
}

export interface BreakerChange {
  readonly state: BreakerState
  readonly from: BreakerState
  /** Of the window, as it opens from closed; else those of the probes. */
  readonly failures: number
  readonly calls: number
}

/** The window moves on in steps of a tenth of it. */
const SLICES = 10

export class Breaker {
  readonly #options: Required<{ [K in keyof BreakerOptions]: number }>
  readonly #clock: Clock
  readonly #random: Random
  readonly #changed: (change: BreakerChange) => void
  readonly #window: Window
  #state: BreakerState = 'closed'
  #era = 0
  /** How often in a row it opened without a whole window closed in between. */
  #openings = 0
  /** Of the state: since when, and until when it is open. */
  #sinceMs: number
  #untilMs = 0
  #probesOut = 0
  #probesPassed = 0
  #lastProbeMs = 0

  /** @param changed is told of every change of state, once, after it; it must not throw */
  constructor(options: BreakerOptions, clock: Clock, random: Random, changed: (change: BreakerChange) => void) {
    this.#options = {
      failureRate: options.failureRate ?? 0.5,
      windowMs: options.windowMs ?? 5_000,
      minimumCalls: options.minimumCalls ?? 10,
      halfOpenAfterMs: options.halfOpenAfterMs ?? 250,
      longestPauseMs: options.longestPauseMs ?? 750,
      probes: options.probes ?? 3,
      probeTimeoutMs: options.probeTimeoutMs ?? 1_000,
    }
    this.#clock = clock
    this.#random = random
    this.#changed = changed
    this.#sinceMs = clock.monotonic()
    this.#window = new Window(this.#options.windowMs / SLICES, this.#sinceMs)
  }

  /** As of the last call of any method: an open one whose pause is over is half-open once `mayPass` is asked. */
  get state(): BreakerState {
    return this.#state
  }

  /** Grows with every change of state. Handed back with an outcome, it keeps one from counting that belongs to a state gone by. */
  get era(): number {
    return this.#era
  }

  /** Of the window while it is closed, as of the last outcome told. */
  get failures(): number {
    return this.#window.failures
  }

  /** As `failures`: of how many. */
  get calls(): number {
    return this.#window.calls
  }

  get failureRate(): number {
    return this.#options.failureRate
  }

  get windowMs(): number {
    return this.#options.windowMs
  }

  /** How long until a probe may pass, ms: 0 unless it is open. */
  get pauseLeftMs(): number {
    return this.#state === 'open' ? Math.max(0, this.#untilMs - this.#clock.monotonic()) : 0
  }

  /**
   * Whether a call, or a batch of them, may be made now. Whoever is told yes tells what became of it, once: `succeeded`, `failed`, or
   * `forgone` when it says nothing about what was asked.
   */
  mayPass(): boolean {
    if (this.#state === 'closed') return true
    const now = this.#clock.monotonic()
    if (this.#state === 'open') {
      if (now < this.#untilMs) return false
      this.#become('half-open', now, 0, 0)
    }
    if (this.#probesOut >= this.#options.probes) {
      if (now - this.#lastProbeMs < this.#options.probeTimeoutMs) return false
      this.#probesOut = 0
    }
    this.#probesOut++
    this.#lastProbeMs = now
    return true
  }

  /** @param count how many calls of the batch; a probe counts as one, whatever its size @param era of when it passed. Default: this one. */
  succeeded(count = 1, era = this.#era): void {
    if (era !== this.#era) return
    if (this.#state === 'closed') {
      this.#window.count(0, count, this.#clock.monotonic())
    } else if (this.#state === 'half-open') {
      this.#probesOut = Math.max(0, this.#probesOut - 1)
      this.#probesPassed++
      if (this.#probesPassed >= this.#options.probes) this.#become('closed', this.#clock.monotonic(), 0, this.#probesPassed)
    }
  }

  /** As `succeeded`. Of a batch of which some failed these are told first. */
  failed(count = 1, era = this.#era): void {
    if (era !== this.#era || this.#state === 'open') return
    const now = this.#clock.monotonic()
    if (this.#state === 'half-open') {
      this.#open(now, 1, this.#probesPassed + 1)
      return
    }
    this.#window.count(count, 0, now)
    const { failures, calls } = this.#window
    if (calls < this.#options.minimumCalls || failures < calls * this.#options.failureRate) return
    if (now - this.#sinceMs >= this.#options.windowMs) this.#openings = 0
    this.#open(now, failures, calls)
  }

  /** A call that passed came to nothing of its own doing: given up by its caller before there was an answer. */
  forgone(era = this.#era): void {
    if (era === this.#era && this.#state === 'half-open') this.#probesOut = Math.max(0, this.#probesOut - 1)
  }

  #open(now: number, failures: number, calls: number): void {
    const { halfOpenAfterMs, longestPauseMs } = this.#options
    const pauseMs = Math.min(longestPauseMs, halfOpenAfterMs * 2 ** Math.min(this.#openings, 30))
    this.#openings++
    this.#untilMs = now + pauseMs * (1 - this.#random() / 2)
    this.#become('open', now, failures, calls)
  }

  #become(state: BreakerState, now: number, failures: number, calls: number): void {
    const from = this.#state
    this.#state = state
    this.#era++
    this.#sinceMs = now
    this.#probesOut = 0
    this.#probesPassed = 0
    this.#window.clear(now)
    this.#changed({ state, from, failures, calls })
  }
}

/** Calls and failures of the last `SLICES` slices of time, the one under way included. */
class Window {
  failures = 0
  calls = 0
  readonly #sliceMs: number
  readonly #failures = new Float64Array(SLICES)
  readonly #calls = new Float64Array(SLICES)
  #slice = 0
  #sliceSinceMs: number

  constructor(sliceMs: number, now: number) {
    this.#sliceMs = sliceMs
    this.#sliceSinceMs = now
  }

  count(failures: number, successes: number, now: number): void {
    if (now - this.#sliceSinceMs >= this.#sliceMs) this.#moveOn(now)
    this.#failures[this.#slice]! += failures
    this.#calls[this.#slice]! += failures + successes
    this.failures += failures
    this.calls += failures + successes
  }

  clear(now: number): void {
    this.#failures.fill(0)
    this.#calls.fill(0)
    this.failures = 0
    this.calls = 0
    this.#sliceSinceMs = now
  }

  #moveOn(now: number): void {
    const slices = Math.floor((now - this.#sliceSinceMs) / this.#sliceMs)
    if (slices >= SLICES) {
      this.clear(now)
      return
    }
    this.#sliceSinceMs += slices * this.#sliceMs
    for (let passed = 0; passed < slices; passed++) {
      this.#slice = (this.#slice + 1) % SLICES
      this.failures -= this.#failures[this.#slice]!
      this.calls -= this.#calls[this.#slice]!
      this.#failures[this.#slice] = 0
      this.#calls[this.#slice] = 0
    }
  }
}
