/**
 * A check that runs: one thing at a time, at a rate, for as long as it is let.
 *
 * Each turn takes up to a batch of keys from what is in doubt, from the changed keys that are due, or from the sweep, in this order but that the
 * last two take turns; looks at them, and weighs what it saw. Then it pays for the turn by waiting. So it never asks twice at once, and
 * production, which shares its connections, comes between any two of its questions.
 */
import type { Random, Timer } from '../clock.ts'
import { ClosedError, UnsupportedError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Invalidations } from '../invalidation/invalidation.ts'
import type { CheckedCheckOptions } from './check-options.ts'
import type { ConsistencyCheck, ConsistencyCounts, ConsistencyReport } from './consistency.ts'
import { type Look, Looker, type LookerParts, type Sight } from './looker.ts'
import { ninesOf } from './nines.ts'
import { Pace } from './pace.ts'
import { SampledChanges } from './sampled-changes.ts'
import { Suspicions } from './suspicions.ts'
import { Sweep } from './sweep.ts'
import { Tally } from './tally.ts'

export interface CheckParts<V> extends LookerParts<V> {
  readonly cache: string
  readonly invalidations: Pick<Invalidations, 'follow'>
  readonly random: Random
  readonly emit: Emit
  readonly options: CheckedCheckOptions
}

/** Keys a turn: one request of each node. */
const BATCH = 128
/** What a turn without a key costs, in keys: a step of a sweep asks its node all the same. */
const LEAST_COST = 8
/** After a turn that failed for no reason foreseen, ms. */
const FAILED_MS = 1_000

interface Waiter {
  readonly sweeps: number
  /** Of the suspicions, when that sweep ended: all up to this one are to be settled. */
  order: number | undefined
  readonly told: PromiseWithResolvers<ConsistencyReport>
}

export class RunningCheck<V> implements ConsistencyCheck {
  readonly cache: string
  readonly #parts: CheckParts<V>
  readonly #looker: Looker<V>
  readonly #pace: Pace
  readonly #changes: SampledChanges
  readonly #suspicions: Suspicions
  readonly #tally: Tally
  readonly #sinceMs: number
  readonly #unfollow: () => void
  readonly #waiters = new Set<Waiter>()
  #sweep: Sweep
  /** Monotonic, ms. */
  #sweepBegunMs: number
  #isChangesTurn = true
  #timer: Timer | undefined
  #timerMs = 0
  #turn: Promise<void> | undefined
  #state: 'running' | 'paused' | 'stopped' = 'running'

  constructor(parts: CheckParts<V>) {
    const { clock, options, random, invalidations, keys } = parts
    this.cache = parts.cache
    this.#parts = parts
    this.#looker = new Looker({
      ...parts,
      truth: options.against === 'owners' ? undefined : parts.truth,
      versionsOnly: options.against === 'versions',
    })
    this.#pace = new Pace(clock, options.keysPerSecond)
    this.#changes = new SampledChanges(options.share, options.boundMs)
    this.#suspicions = new Suspicions({ ...options, random })
    this.#tally = new Tally(options.maxFindings)
    this.#sinceMs = clock.now()
    this.#sweepBegunMs = clock.monotonic()
    this.#sweep = this.#newSweep()
    const changed = (wires: readonly string[]): void => {
      this.#changes.changed(wires, clock.monotonic())
      this.#wake()
    }
    // What goes unheard is met by the next sweep.
    this.#unfollow = options.share === 0 ? () => {} : invalidations.follow(keys.prefix, { changed, lost: () => {} })
    this.#wake()
  }

  get isStopped(): boolean {
    return this.#state === 'stopped'
  }

  counts(): ConsistencyCounts {
    return { ...this.#tally.counts, suspicions: this.#suspicions.begun, skippedChanges: this.#changes.skipped }
  }

  report(): ConsistencyReport {
    const counts = this.counts()
    const { checkedCopies, staleCopies, checkedPrimaries, stalePrimaries } = counts
    return {
      cache: this.cache,
      sinceMs: this.#sinceMs,
      boundMs: this.#parts.options.boundMs,
      ...counts,
      consistency: checkedCopies === 0 ? 1 : 1 - staleCopies / checkedCopies,
      nines: ninesOf(checkedCopies, staleCopies),
      primaryNines: ninesOf(checkedPrimaries, stalePrimaries),
      inDoubt: this.#suspicions.size,
      sweep: this.#sweep.progress(),
      stale: this.#tally.stale,
    }
  }

  swept(): Promise<ConsistencyReport> {
    const what = `the consistency check of cache '${this.cache}'`
    if (this.#parts.options.sweepEveryMs === undefined) return Promise.reject(new UnsupportedError(`${what} makes no sweeps`))
    if (this.#state === 'stopped') return Promise.reject(new ClosedError(`${what} was stopped`))
    const waiter: Waiter = { sweeps: this.#tally.counts.sweeps + 1, order: undefined, told: Promise.withResolvers() }
    this.#waiters.add(waiter)
    return waiter.told.promise
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused'
    this.#timer?.cancel()
    this.#timer = undefined
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    this.#wake()
  }

  async stop(): Promise<void> {
    this.pause()
    this.#state = 'stopped'
    this.#unfollow()
    await this.#turn
    this.#sweep.close()
    for (const { told } of this.#waiters) told.reject(new ClosedError(`the consistency check of cache '${this.cache}' was stopped`))
    this.#waiters.clear()
  }

  #newSweep(): Sweep {
    const { cluster, clock, keys } = this.#parts
    return new Sweep({ cluster, clock, prefix: keys.prefix, batch: BATCH })
  }

  /** Sets the timer to when there is something to do, unless a turn is under way, which ends with this. */
  #wake(): void {
    if (this.#state !== 'running' || this.#turn !== undefined) return
    const nowMs = this.#parts.clock.monotonic()
    const dueMs = this.#nextDueMs()
    if (dueMs === undefined) return
    const atMs = Math.max(dueMs, nowMs + this.#pace.waitMs)
    if (this.#timer !== undefined && this.#timerMs <= atMs) return
    this.#timer?.cancel()
    this.#timerMs = atMs
    this.#timer = this.#parts.clock.after(Math.max(0, atMs - nowMs), () => {
      this.#timer = undefined
      this.#turn = this.#take().then(() => {
        this.#turn = undefined
        this.#wake()
      })
    })
  }

  #nextDueMs(): number | undefined {
    const due = [this.#suspicions.nextDueMs, this.#changes.nextDueMs, this.#sweepDueMs()].filter((each) => each !== undefined)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  #sweepDueMs(): number | undefined {
    const { sweepEveryMs } = this.#parts.options
    if (sweepEveryMs === undefined) return undefined
    return this.#sweep.isOver ? this.#sweepBegunMs + sweepEveryMs : this.#sweep.readyMs
  }

  /** Never rejects. */
  async #take(): Promise<void> {
    const { clock } = this.#parts
    let count = 0
    try {
      const nowMs = clock.monotonic()
      const doubted = this.#suspicions.due(nowMs, BATCH)
      const wires = doubted.length > 0 ? doubted : await this.#fresh(nowMs)
      count = wires.length
      if (count > 0) this.#weigh(await this.#looker.look(wires), doubted.length > 0)
      if (doubted.length === 0) this.#tally.counts.checkedKeys += count
      this.#settleWaiters()
    } catch {
      // A validation that throws, say: what it is about is told by the reads that meet it.
      count = Math.ceil((FAILED_MS / 1_000) * this.#parts.options.keysPerSecond)
    }
    this.#pace.spend(Math.max(count, LEAST_COST))
  }

  async #fresh(nowMs: number): Promise<readonly string[]> {
    const sweepDueMs = this.#sweepDueMs()
    const isSweepDue = sweepDueMs !== undefined && sweepDueMs <= nowMs
    this.#isChangesTurn = !this.#isChangesTurn
    const changed = this.#isChangesTurn || !isSweepDue ? this.#changes.take(nowMs, BATCH) : []
    if (changed.length > 0 || !isSweepDue) return changed
    if (this.#sweep.isOver) {
      this.#sweepBegunMs = nowMs
      this.#sweep = this.#newSweep()
    }
    const met = await this.#sweep.next()
    // Its last step brings no keys, so that all that it met has been looked at.
    if (this.#sweep.isOver) this.#tally.counts.sweeps++
    return met
  }

  #weigh(look: Look, isAgain: boolean): void {
    for (const sight of look.sights) {
      const inDoubt = this.#suspicions.has(sight)
      if (sight.state === 'wrong') this.#wrong(sight, look)
      else if (sight.state === 'unjudged') {
        if (inDoubt && isAgain) this.#unjudged(this.#suspicions.unjudged(sight, look.doneMs).state)
        else if (!isAgain) this.#tally.counts.unjudged++
      } else if (inDoubt) {
        this.#suspicions.settle(sight)
        this.#tally.right(sight)
      } else if (sight.state === 'right' && !isAgain) this.#tally.right(sight)
    }
  }

  #wrong(sight: Sight, { askedMs, doneMs }: Look): void {
    if (this.#tally.isKnown(sight)) {
      this.#tally.wrong(sight)
      return
    }
    const outcome = this.#suspicions.wrong(sight, askedMs, doneMs)
    if (outcome.state !== 'proven') {
      this.#unjudged(outcome.state)
      return
    }
    const { cache, clock, emit } = this.#parts
    const { key, node, isPrimary, fault, copy } = sight
    const stale = {
      cache,
      key,
      node,
      owner: isPrimary ? 'primary' : 'replica',
      staleness: fault!.staleness,
      version: String(copy!.version),
      newer: fault!.newer === undefined ? undefined : String(fault!.newer),
      ageMs: Math.round(outcome.ageMs),
      foundMs: clock.now(),
    } as const
    this.#tally.wrong(sight)
    this.#tally.found(sight, stale)
    emit('consistency:violated', stale)
  }

  #unjudged(state: 'open' | 'given up' | 'full' | 'proven'): void {
    if (state === 'given up' || state === 'full') this.#tally.counts.unjudged++
  }

  #settleWaiters(): void {
    for (const waiter of this.#waiters) {
      if (waiter.order === undefined && this.#tally.counts.sweeps >= waiter.sweeps) waiter.order = this.#suspicions.begun
      if (waiter.order === undefined || this.#suspicions.isOpenUpTo(waiter.order)) continue
      this.#waiters.delete(waiter)
      waiter.told.resolve(this.report())
    }
  }
}
