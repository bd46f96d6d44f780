/**
 * Stands before one shard of a database: how many calls it has at once, who waits for how long, and whether it is asked at all.
 *
 * What comes above the limit (`adaptive-limit.ts`) waits in a bounded line, for a bounded time; what the line has no room for, or what would
 * not get its turn in time, is shed at once with an `OverloadError`: an answer that comes too late costs the database as much as one in time.
 * Reads and writes have lines of their own and take turns, so that a flood of misses does not shed saves. A shard that fails is not asked
 * (`breaker.ts`), but by a few calls that try. A place is taken until the work is over, also when its caller has left or was answered before: a
 * database gone silent is not asked more and more. For no longer than 30 s, though: what nobody waits for may never end.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import { asError, ClosedError, DeadlineError, OverloadError, RingtailError, StoreError } from '../errors.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import type { ShardGuardStats, ShardState, StoreCall } from '../store/store.ts'
import { AdaptiveLimit } from './adaptive-limit.ts'
import { Breaker, type BreakerChange, type BreakerOptions } from './breaker.ts'
import { Place } from './place.ts'
import { ShardHealth } from './shard-health.ts'

/** In line, for a read whose caller says no bound, ms. */
const WAIT_MS = 500

export interface ShardGuardLimits {
  /** Calls under way at once, at most and (as the limit adapts) at least. */
  readonly concurrency: number
  readonly minConcurrency: number
  /** Calls waiting, of reads and of writes each. */
  readonly queue: number
  /** How long one waits at most. Default: half of what the caller waits at most. */
  readonly waitMs?: number | undefined
  readonly breaker: BreakerOptions
}

export interface ShardGuardParts {
  /** For messages. */
  readonly name: string
  readonly limits: ShardGuardLimits
  readonly clock: Clock
  readonly random: Random
  /** Told once of each change of its state (`shard-health.ts`). */
  readonly changed: (state: ShardState, reason: string) => void
}

/** What an answer says of the shard: `unsaid` where it is the caller's doing. */
export type Verdict = 'well' | 'failed' | 'unsaid'
/** `rest`: of a write whose first part is done. Any of the places that there may ever be is its, whatever the limit is now; else it waits as a write. */
export type CallKind = 'read' | 'write' | 'rest'

interface Waiter {
  enter(): void
  refuse(error: unknown): void
}

/** A window of the limit, ms. */
const WIDEN_AGAIN_MS = 250
/** What is left running by those who gave it up, or is never answered, counts as under way for no longer than this, ms. */
const LEFT_MS = 30_000
/** How many times longer than the mean many calls take, of which a part of the caller's time is set aside at most. */
const LONGER = 5
const MARGIN = 10
/** Where a call does not say how long its caller waits, ms. */
const USUAL_MS = 1_000

/** Whether what was thrown says that the shard is not well: neither one row nor the caller is at fault, and it was asked. */
export function isShardFailure(thrown: unknown): boolean {
  if (thrown instanceof StoreError) return thrown.ofRow !== true
  return thrown instanceof DeadlineError || !(thrown instanceof RingtailError)
}

export class ShardGuard implements QueueTeller {
  readonly #parts: ShardGuardParts
  readonly #limit: AdaptiveLimit
  readonly #breaker: Breaker
  readonly #health: ShardHealth
  readonly #lines: Record<'read' | 'write', Set<Waiter>> = { read: new Set(), write: new Set() }
  #next: 'read' | 'write' = 'write'
  #running = 0
  #failed = 0
  #slow = 0
  #shed = 0
  #lastFailure = ''
  #widening: Timer | undefined
  /** Of those whose callers have left. */
  readonly #left = new Set<Place>()
  #isClosed = false

  constructor(parts: ShardGuardParts) {
    this.#parts = parts
    const { minConcurrency, concurrency, breaker } = parts.limits
    const { clock, random, changed } = parts
    this.#breaker = new Breaker(breaker, clock, random, (change) => this.#told(change))
    const { failureRate, windowMs } = this.#breaker
    this.#health = new ShardHealth({ clock, failureRate, windowMs, changed })
    const bounds = { floor: Math.min(minConcurrency, concurrency), cap: concurrency }
    this.#limit = new AdaptiveLimit(bounds, clock, (medianMs, calls) => this.#health.windowEnded(medianMs, calls))
  }

  /**
   * @param task is handed the call with a `leftRunning` of its own; the caller's is told as well
   * @param judge what the answer says of the shard
   * @returns what `task` returns. Rejects with an OverloadError if it was not begun; with what the task threw, or the signal's reason
   */
  async run<T>(
    kind: CallKind,
    task: (call: StoreCall) => Promise<T>,
    call: StoreCall | undefined,
    judge: (answer: T) => Verdict,
  ): Promise<T> {
    call?.signal?.throwIfAborted()
    if (this.#isClosed) throw this.#closedError()
    const era = this.#pass()
    try {
      const turn = this.#enter(kind, call)
      if (turn !== undefined) await turn
    } catch (thrown) {
      this.#breaker.forgone(era)
      throw thrown
    }
    if (call?.signal?.aborted === true || era !== this.#breaker.era) this.#passAgain(call?.signal, era)
    return this.#perform(task, call, judge)
  }

  /** With its tier. Who waits in line is refused; what is under way goes on, and is waited for no longer. Leaves no timer. */
  close(): void {
    this.#isClosed = true
    this.#health.close()
    for (const line of Object.values(this.#lines)) for (const waiter of [...line]) waiter.refuse(this.#closedError())
    for (const place of this.#left) place.leave()
  }

  /** Whether a call would be made at once, unless the shard is not asked. */
  get hasRoom(): boolean {
    return this.#running < this.#limit.current && this.#waiting === 0
  }

  /** Counted as shed. @param what of the shard, for the message */
  refusal(reason: OverloadError['reason'], what: string, options?: ErrorOptions): OverloadError {
    this.#shed++
    return new OverloadError(`${this.#parts.name} ${what}`, reason, options)
  }

  stats(): ShardGuardStats {
    return {
      state: this.#health.state,
      limit: this.#limit.current,
      underWay: this.#running,
      waiting: this.#waiting,
      failed: this.#failed,
      slow: this.#slow,
      shed: this.#shed,
    }
  }

  tellQueues(tell: TellQueue): void {
    const { concurrency, queue } = this.#parts.limits
    tell('storeUnderWay', this.#running, concurrency)
    tell('storeWaiting', this.#lines.read.size, queue)
    tell('storeWaiting', this.#lines.write.size, queue)
  }

  get #waiting(): number {
    return this.#lines.read.size + this.#lines.write.size
  }

  /** @returns the breaker's era @throws OverloadError while the shard is not asked */
  #pass(): number {
    if (!this.#breaker.mayPass()) throw this.#closed()
    return this.#breaker.era
  }

  /** What has got its turn may have lost the reason for it meanwhile. */
  #passAgain(signal: AbortSignal | undefined, era: number): void {
    try {
      if (signal?.aborted === true) {
        this.#breaker.forgone(era)
        throw this.#leftLine(signal)
      }
      this.#pass()
    } catch (thrown) {
      this.#leave()
      throw thrown
    }
  }

  /** Takes a place, or waits for one. */
  #enter(kind: CallKind, call: StoreCall | undefined): Promise<void> | undefined {
    if (!this.hasRoom) this.#widen()
    const { queue, waitMs, concurrency } = this.#parts.limits
    if (this.hasRoom || (kind === 'rest' && this.#running < concurrency)) {
      this.#running++
      return undefined
    }
    const side = kind === 'read' ? 'read' : 'write'
    const line = this.#lines[side]
    if (line.size >= queue) throw this.refusal('full', `has ${this.#running} calls under way and ${line.size} ${side}s in line`)
    const { meanMs, current } = this.#limit
    const withinMs = call?.withinMs ?? Number.POSITIVE_INFINITY
    // Some take several times as long as the mean: whose turn comes so late that it may not be answered in time is shed, and told so.
    const remainingMs = withinMs - meanMs - Math.min(LONGER * meanMs, withinMs / MARGIN)
    // A read may have something stale to fall back on, a write has nothing: it waits for as long as its caller does.
    const mostMs = waitMs ?? (call?.withinMs === undefined ? WAIT_MS : call.withinMs / 2)
    const boundMs = side === 'write' && Number.isFinite(remainingMs) ? remainingMs : Math.min(mostMs, remainingMs)
    const expectedMs = ((this.#ahead(side) + 1) * meanMs) / current
    if (boundMs <= 0 || expectedMs > boundMs) {
      throw this.refusal('late', `has ${this.#waiting} calls in line, and another ${side} would wait for about ${Math.ceil(expectedMs)} ms`)
    }
    return this.#wait(line, boundMs, call?.signal)
  }

  /** How many in line have their turn before one that comes now: the lines take turns, whichever is longer. */
  #ahead(side: 'read' | 'write'): number {
    const own = this.#lines[side].size
    return own + Math.min(this.#waiting - own, own + 1)
  }

  #wait(line: Set<Waiter>, boundMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        line.delete(waiter)
        timer.cancel()
        if (this.#waiting === 0) this.#widening?.cancel()
        if (this.#waiting === 0) this.#widening = undefined
        signal?.removeEventListener('abort', giveUp)
      }
      const waiter: Waiter = {
        enter: () => {
          done()
          resolve()
        },
        refuse: (error) => {
          done()
          reject(error)
        },
      }
      const late = (): void => waiter.refuse(this.refusal('late', `had no place for a call within ${Math.ceil(boundMs)} ms`))
      const giveUp = (): void => waiter.refuse(this.#leftLine(signal!))
      const timer = this.#parts.clock.after(boundMs, late, { keepAlive: true })
      signal?.addEventListener('abort', giveUp, { once: true })
      line.add(waiter)
      this.#widenLater()
    })
  }

  #perform<T>(task: (call: StoreCall) => Promise<T>, call: StoreCall | undefined, judge: (answer: T) => Verdict): Promise<T> {
    const { clock } = this.#parts
    const signal = call?.signal
    const left: Promise<unknown>[] = []
    const leftRunning = (work: Promise<unknown>): void => {
      left.push(work)
      call?.leftRunning?.(work)
    }
    const place = new Place(clock, () => {
      this.#left.delete(place)
      this.#leave()
    })
    const leaveLater = (): void => {
      this.#left.add(place)
      place.leaveLater(LEFT_MS)
    }
    const startMs = clock.monotonic()
    const learn = this.#learning(call)
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        const { reason } = signal!
        // One that waited in line until it was nearly late, and then took no longer than others do, says nothing of the shard.
        const isSlow = clock.monotonic() - startMs >= this.#limit.meanMs
        learn(reason instanceof DeadlineError && isSlow ? 'failed' : 'unsaid', reason)
        leaveLater()
        // The store may say what became of it. One that says nothing is not waited for.
        clock.soon(() => reject(reason))
      }
      const over = (): void => {
        signal?.removeEventListener('abort', aborted)
        if (left.length === 0) {
          place.leave()
          return
        }
        leaveLater()
        void Promise.allSettled(left).then(() => place.leave())
      }
      signal?.addEventListener('abort', aborted, { once: true })
      new Promise<T>((begun) => begun(task({ signal, withinMs: call?.withinMs, leftRunning }))).then(
        (answer) => {
          learn(judge(answer), answer)
          over()
          resolve(answer)
        },
        (thrown: unknown) => {
          learn(isShardFailure(thrown) ? 'failed' : 'unsaid', thrown)
          over()
          reject(thrown)
        },
      )
    })
  }

  /** @returns what is to be told once of a call that begins now; of more it takes the first */
  #learning(call: StoreCall | undefined): (verdict: Verdict, answer: unknown) => void {
    const { clock } = this.#parts
    const { era } = this.#breaker
    const underWay = this.#running
    const startMs = clock.monotonic()
    let isTold = false
    return (verdict, answer) => {
      if (isTold) return
      isTold = true
      const tookMs = clock.monotonic() - startMs
      if (tookMs > (call?.withinMs ?? USUAL_MS) / 2) this.#slow++
      if (verdict === 'well') {
        this.#limit.answered(tookMs, underWay)
        if (this.#breaker.state === 'half-open' && this.#breaker.era === era) this.#health.tryAnswered()
        this.#breaker.succeeded(1, era)
      } else if (verdict === 'failed') {
        this.#failed++
        this.#lastFailure = answer instanceof Error ? asError(answer).message : ''
        this.#limit.dropped()
        this.#breaker.failed(1, era)
        this.#health.failed(this.#breaker.failures, this.#breaker.calls, this.#last)
      } else this.#breaker.forgone(era)
    }
  }

  /** More is wanted than may be under way: where that may be more, who waits goes first. */
  #widen(): void {
    this.#limit.wanted()
    this.#admit()
  }

  /** Again and again, for as long as somebody waits. */
  #widenLater(): void {
    this.#widening ??= this.#parts.clock.after(WIDEN_AGAIN_MS, () => {
      this.#widening = undefined
      this.#widen()
      if (this.#waiting > 0) this.#widenLater()
    })
  }

  #leave(): void {
    this.#running--
    this.#admit()
  }

  #admit(): void {
    while (this.#running < this.#limit.current) {
      const next = this.#nextWaiter()
      if (next === undefined) return
      this.#running++
      next.enter()
    }
  }

  #nextWaiter(): Waiter | undefined {
    const turn = this.#next
    this.#next = turn === 'read' ? 'write' : 'read'
    const [first] = this.#lines[turn]
    if (first !== undefined) return first
    const [other] = this.#lines[this.#next]
    return other
  }

  #told(change: BreakerChange): void {
    if (change.state === 'open')
      for (const line of Object.values(this.#lines)) for (const waiter of [...line]) waiter.refuse(this.#closed())
    this.#health.turned(change, this.#last)
  }

  /** Why the last that failed did, for a reason. */
  get #last(): string {
    return this.#lastFailure === '' ? '' : `, the last: ${this.#lastFailure}`
  }

  #closed(): OverloadError {
    const againMs = Math.ceil(this.#breaker.pauseLeftMs)
    return this.refusal('open', `is not asked, for too many calls to it fail; a few will try ${againMs > 0 ? `in ${againMs} ms` : 'soon'}`)
  }

  #closedError(): ClosedError {
    return new ClosedError(`${this.#parts.name}: the tier is closed`)
  }

  /** Whose caller's deadline came first was shed; another reason is the caller's own. */
  #leftLine({ reason }: AbortSignal): unknown {
    if (!(reason instanceof DeadlineError)) return reason
    return this.refusal('late', 'had no place for a call before its deadline', { cause: reason })
  }
}
