/**
 * A capture as its owner sees it: it connects, waits or follows, again and again until it is closed, and tells how far behind it is.
 *
 * What one stretch of following is differs by mode and is handed in (`follow-log.ts`, `follow-outbox.ts`); what both need is here: their
 * state, the counts that outlive a connection, the line of changes, and the loss of the place.
 */
import type { Clock, Random } from '../clock.ts'
import { asError, ConfigurationError, DeadlineError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { Histogram } from '../metrics/histogram.ts'
import { type Duration, durationMs } from '../options.ts'
import type { Capture, CaptureState, CaptureStats } from './capture.ts'
import type { CheckedCapture } from './capture-options.ts'
import type { ChangeApplier } from './change-applier.ts'
import { lsnText } from './lsn.ts'
import { Progress } from './progress.ts'

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5_000
const CAUGHT_UP_MS = 10_000

export interface CaptureParts {
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
}

/** Follows for as long as it can. @throws what made it end, if anything did but the run's own end */
export type Follow = (run: CaptureRun) => Promise<void>

export class CaptureRun implements Capture {
  readonly name: string
  readonly options: CheckedCapture
  readonly parts: CaptureParts
  readonly counts = { changes: 0, latency: new Histogram() }
  readonly progress = new Progress()
  /** Of the connection there is. */
  applier: ChangeApplier | undefined
  walBytes: number | undefined
  /** Why what was heard cannot be trusted to be all: the place has to be made anew. */
  distrusted: string | undefined
  /** Which database was followed last. */
  identity: string | undefined
  readonly #follow: Follow
  readonly #first = Promise.withResolvers<void>()
  readonly #over: Promise<void>
  #state: CaptureState = 'connecting'
  #losses = 0
  #lagTold = false
  #toldReason: string | undefined
  #wake: (() => void) | undefined
  #hurried = false

  constructor(options: CheckedCapture, parts: CaptureParts, follow: Follow) {
    this.name = options.slot
    this.options = options
    this.parts = parts
    this.#follow = follow
    this.#over = this.#loop()
  }

  /** Resolves when it follows, waits or could not connect. @throws ConfigurationError for a database that is not prepared */
  get first(): Promise<void> {
    return this.#first.promise
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  stats(): CaptureStats {
    const { counts, progress, applier, walBytes } = this
    const isLog = this.options.mode === 'replication'
    const isFollowing = this.#state === 'following'
    const latest = progress.latest
    const behind = latest === undefined ? undefined : latest > progress.place ? latest - progress.place : 0n
    return {
      state: this.#state,
      lagMs: this.#lagMs(),
      lagBytes: isLog && isFollowing && behind !== undefined ? Number(behind) : undefined,
      walBytes,
      changes: counts.changes,
      waiting: applier?.waiting ?? 0,
      lastLsn: isLog && progress.place > 0n ? lsnText(progress.place) : undefined,
      losses: this.#losses,
      latency: counts.latency.snapshot(),
    }
  }

  async caughtUp({ deadline = CAUGHT_UP_MS }: { readonly deadline?: Duration | undefined } = {}): Promise<void> {
    const { clock } = this.parts
    const ms = durationMs(deadline, 'caughtUp: deadline')
    const reached = this.progress.reached(clock.monotonic())
    this.hurry()
    const late = Promise.withResolvers<never>()
    const timer = clock.after(ms, () => late.reject(new DeadlineError(`capture '${this.name}': did not catch up within ${ms} ms`)), {
      keepAlive: true,
    })
    try {
      await Promise.race([reached.promise, late.promise])
    } finally {
      timer.cancel()
      reached.cancel()
    }
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    this.#wake?.()
    await this.#over
  }

  /** A stretch of following begins. @param from of the log */
  following(from: string | undefined): void {
    if (this.closed) return
    this.#state = 'following'
    this.#lagTold = false
    this.#toldReason = undefined
    this.#first.resolve()
    this.parts.emit('capture:started', { capture: this.name, from })
  }

  /** Another follows. */
  waiting(): void {
    if (this.closed || this.#state === 'waiting') return
    this.#state = 'waiting'
    this.#first.resolve()
    this.parts.emit('capture:waiting', { capture: this.name })
  }

  failed(error: Error): void {
    this.parts.emit('capture:failed', { capture: this.name, reason: error.message })
  }

  /** Empties every cache. @throws when the nodes did not take it: then nothing is regained */
  async empty(reason: string): Promise<void> {
    const caches = [...new Set(this.options.tables.map(({ cache }) => cache))]
    if (this.#toldReason !== reason) {
      this.#toldReason = reason
      this.parts.emit('capture:lost', { capture: this.name, reason, caches: caches.map(({ name }) => name) })
    }
    await Promise.all(caches.map((cache) => cache.clear()))
    this.#losses++
  }

  /** To be called now and then while following. */
  checkLag(): void {
    const lagMs = this.#lagMs() ?? 0
    const { laggingAfterMs } = this.options
    if (lagMs > laggingAfterMs && !this.#lagTold) this.parts.emit('capture:lagging', { capture: this.name, lagMs: Math.round(lagMs) })
    if (lagMs > laggingAfterMs) this.#lagTold = true
    else if (lagMs < laggingAfterMs / 2) this.#lagTold = false
  }

  /** Resolves after that time, when somebody waits to be caught up, or at the end of the run. */
  async pause(ms: number): Promise<void> {
    if (this.closed || this.#hurried) {
      this.#hurried = false
      return
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const timer = this.parts.clock.after(ms, resolve)
    await promise
    timer.cancel()
    this.#hurried = false
  }

  hurry(): void {
    this.#hurried = true
    this.#wake?.()
  }

  /** A time that differs from that of others who wait for the same. */
  jittered(ms: number): number {
    return ms * (0.5 + this.parts.random() / 2)
  }

  #lagMs(): number | undefined {
    const { clock } = this.parts
    if (this.#state === 'waiting' || this.progress.latest === undefined) return undefined
    const { openSinceMs } = this.progress
    const oldestMs = this.applier?.oldestMs
    return Math.max(0, openSinceMs === undefined ? 0 : clock.monotonic() - openSinceMs, oldestMs === undefined ? 0 : clock.now() - oldestMs)
  }

  async #loop(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS
    while (!this.closed) {
      try {
        await this.#follow(this)
      } catch (thrown) {
        const error = asError(thrown)
        if (error instanceof ConfigurationError) this.#first.reject(error)
        if (!this.closed) this.failed(error)
      }
      this.#first.resolve()
      if (this.closed) break
      pauseMs = this.#state === 'connecting' ? Math.min(2 * pauseMs, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS
      this.#state = 'connecting'
      await this.pause(this.jittered(pauseMs))
    }
  }
}
