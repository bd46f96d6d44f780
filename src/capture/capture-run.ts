/**
 * A capture as its owner sees it: it connects, waits or follows, again and again until it is closed, and tells how far behind it is.
 *
 * What one stretch of following is differs by mode and is handed in (`follow-log.ts`, `follow-outbox.ts`); what both need is here: their
 * state, the counts that outlive a connection, the line of changes, and the loss of the place.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import { asError, ConfigurationError, DeadlineError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { Histogram } from '../metrics/histogram.ts'
import { type Duration, durationMs } from '../options.ts'
import type { Capture, CaptureState, CaptureStats } from './capture.ts'
import type { CheckedCapture } from './capture-options.ts'
import type { CapturedTable } from './captured-table.ts'
import type { ChangeApplier } from './change-applier.ts'
import { Fitness } from './fitness.ts'
import { lsnText } from './lsn.ts'
import { OwedKeys } from './owed-keys.ts'
import { Progress } from './progress.ts'
import { TableLooks } from './table-looks.ts'

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5_000
const CAUGHT_UP_MS = 10_000
const CLOSE_WITHIN_MS = 2_000
const LONGEST_LAG_CHECK_MS = 1_000
/** Between two looks at whether the place is free: a question each. */
const WAIT_MS = 250

export interface CaptureParts {
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** Whether most nodes look dead to this process. */
  readonly isCutOff: () => boolean
}

/** What followers of one name take in turn, as the database has it. */
export interface Place {
  /** Lets whoever follows see whether this process is one to hand over to. */
  standBy(isFit: boolean): Promise<void>
  isFree(): Promise<boolean>
  /** @returns false when another has it */
  take(): Promise<boolean>
}

/** Follows for as long as it can. @throws what made it end, if anything did but the run's own end */
export type Follow = (run: CaptureRun) => Promise<void>

export class CaptureRun implements Capture {
  readonly name: string
  readonly options: CheckedCapture
  readonly parts: CaptureParts
  readonly counts = { changes: 0, latency: new Histogram() }
  readonly progress = new Progress()
  readonly owed: OwedKeys
  readonly looks = new TableLooks()
  readonly fitness: Fitness
  /** Of the connection there is. */
  applier: ChangeApplier | undefined
  walBytes: number | undefined
  /** Why what was heard cannot be trusted to be all: the place has to be made anew. */
  distrusted: string | undefined
  /** Tables, `schema.table`, that another has followed the log without: what it went past of theirs was told to nobody. */
  readonly untold = new Set<string>()
  /** Which database was reached last. */
  identity: string | undefined
  hasFollowed = false
  /** Cuts the connection for questions off: who waits for an answer is told at once. */
  cut: (() => void) | undefined
  readonly #follow: Follow
  readonly #first = Promise.withResolvers<void>()
  readonly #over: Promise<void>
  #state: CaptureState = 'connecting'
  #losses = 0
  #lagTold = false
  #toldReason: string | undefined
  #wake: (() => void) | undefined
  #hurried = false
  #lagTimer: Timer | undefined
  /** Of stretches that have ended, what they had begun. */
  readonly #left = new Set<Promise<void>>()
  /** When it began, or last let another follow, monotonic ms. */
  #sinceMs: number

  constructor(options: CheckedCapture, parts: CaptureParts, follow: Follow) {
    this.name = options.slot
    this.options = options
    this.parts = parts
    this.#follow = follow
    const { clock, random, isCutOff } = parts
    this.fitness = new Fitness({ clock, isCutOff })
    this.owed = new OwedKeys({ clock, random, hold: (held) => this.progress.hold(held), failed: (error) => this.failed(error) })
    this.#sinceMs = clock.monotonic()
    this.#over = this.#loop()
    this.#watchLag()
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
      owed: this.owed.size,
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
    this.#lagTimer?.cancel()
    this.fitness.stop()
    this.owed.stop()
    this.#wake?.()
    // What was begun is ended in order, unless the database does not answer.
    const timer = this.parts.clock.after(CLOSE_WITHIN_MS, () => this.cut?.(), { keepAlive: true })
    await this.#over
    timer.cancel()
    await Promise.all(this.#left)
  }

  /** Waits for as long as another has the place, or is to have it. @returns whether it is this one's; else the run is over */
  async placeTaken(place: Place): Promise<boolean> {
    const { clock } = this.parts
    let freeSinceMs: number | undefined
    while (!this.closed) {
      await place.standBy(this.fitness.isFit)
      freeSinceMs = (await place.isFree()) ? (freeSinceMs ?? clock.monotonic()) : undefined
      if (freeSinceMs !== undefined && this.fitness.mayTake(freeSinceMs) && (await place.take())) return true
      this.#wait()
      await this.pause(this.jittered(WAIT_MS))
    }
    return false
  }

  /** A stretch of following begins. @param from of the log */
  following(from: string | undefined): void {
    if (this.closed) return
    this.#state = 'following'
    this.hasFollowed = true
    this.#toldReason = undefined
    this.#first.resolve()
    this.parts.emit('capture:started', { capture: this.name, from })
  }

  /** It had the place, and has left it to another. */
  handedOver(): void {
    this.owed.forget()
    this.#wait()
  }

  /** What a stretch has begun goes on after its end. @param work never rejects */
  leave(work: Promise<void>): void {
    const left = work.finally(() => this.#left.delete(left))
    this.#left.add(left)
  }

  /** What is refused to one that is being closed is told again to the next who follows. */
  failed(error: Error): void {
    if (!this.closed) this.parts.emit('capture:failed', { capture: this.name, reason: error.message })
  }

  /**
   * Empties caches. @param reason of a loss, which is told and counted once; undefined: nothing is known to have been missed
   * @param tables default: all @throws when the nodes did not take it: then nothing is regained
   */
  async empty(reason: string | undefined, tables: readonly CapturedTable[] = this.options.tables): Promise<void> {
    const caches = [...new Set(tables.map(({ cache }) => cache))]
    if (reason !== undefined && this.#toldReason !== reason) {
      this.#toldReason = reason
      this.#losses++
      this.parts.emit('capture:lost', { capture: this.name, reason, caches: caches.map(({ name }) => name) })
    }
    await Promise.all(caches.map((cache) => this.owed.clear(cache)))
  }

  /** Of one that follows, or would if it could. */
  checkLag(): void {
    if (this.#state === 'waiting') return
    // Before it is first known it is at least what it took so far to know it.
    const lagMs = this.#lagMs() ?? this.parts.clock.monotonic() - this.#sinceMs
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

  #wait(): void {
    if (this.closed) return
    this.#sinceMs = this.parts.clock.monotonic()
    // Another has told what this one had not, and how far that is is not known here.
    this.progress.toldMs = undefined
    if (this.#state === 'waiting') return
    this.#state = 'waiting'
    this.#first.resolve()
    const reason = this.fitness.isFit ? 'another process follows' : 'most nodes do not answer this process, so that another is to follow'
    this.parts.emit('capture:waiting', { capture: this.name, reason })
  }

  #lagMs(): number | undefined {
    const { toldMs } = this.progress
    return this.#state === 'waiting' || toldMs === undefined ? undefined : Math.max(0, this.parts.clock.monotonic() - toldMs)
  }

  /** By a timer of its own: whoever follows may be waiting for a database that does not answer. */
  #watchLag(): void {
    if (this.closed) return
    this.checkLag()
    this.#lagTimer = this.parts.clock.after(Math.min(LONGEST_LAG_CHECK_MS, Math.max(1, this.options.laggingAfterMs / 4)), () =>
      this.#watchLag(),
    )
  }

  async #loop(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS
    while (!this.closed) {
      let hasFailed = false
      try {
        await this.#follow(this)
      } catch (thrown) {
        hasFailed = true
        const error = asError(thrown)
        if (error instanceof ConfigurationError) this.#first.reject(error)
        this.failed(error)
      }
      this.#first.resolve()
      if (this.closed) break
      pauseMs = this.#state === 'connecting' ? Math.min(2 * pauseMs, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS
      // Who has handed over waits already.
      if (hasFailed || this.#state !== 'waiting') this.#state = 'connecting'
      await this.pause(this.jittered(pauseMs))
    }
  }
}
