/**
 * Brings pending writes to the store: in batches, a shard at a time, each key's in order.
 *
 * Each shard has a lane of its own, with one batch under way at most; so a shard that is away holds up none of the others, and a key is never
 * in two batches. What comes while a batch is under way leaves with the next. A lane that fails makes one call in a pause that grows to half a
 * minute, whatever waits in it: that is its retry budget. Each such call is half as large as the last, for the store may have refused many
 * rows for one; what is refused alone again and again while others are taken is buried, as is at once what the store refuses for good.
 * Saves carry their own versions, so that what is sent twice is saved once, and never over a newer row (`Save.ifOlder`).
 */
import type { Timer } from '../clock.ts'
import { OverloadError, type RingtailError, StoreError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import type { Removal, Save, SaveStatus, Store, StoreCall } from '../store/store.ts'
import type { PendingWrite, PendingWrites } from './pending-writes.ts'
import { type Fate, Settling } from './settling.ts'
import { storeStatuses } from './store-calls.ts'
import type { StrategyParts } from './strategy.ts'

export interface FlusherParts<V> {
  readonly strategy: StrategyParts<V>
  readonly store: Store<V>
  readonly journal: Journal
  readonly pending: PendingWrites
  /** How long a write waits for others to leave with it, ms. */
  readonly delayMs: number
  /** Rows of one call at most. */
  readonly batch: number
}

/** What became of a write that was to be saved now. `waiting`: it still is. */
export type Flushed = { readonly state: 'saved' | 'overtaken' | 'waiting' } | { readonly state: 'refused'; readonly error: RingtailError }

/** Between tries of a lane that fails, ms. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 30_000
/** Bound of one call to the store, ms. */
const CALL_MS = 10_000
/** How often a row may be refused alone, while others of its lane are taken, before it is buried. */
const TRIES_ALONE = 5

interface Lane {
  /** In the order in which they came. */
  readonly keys: Set<string>
  /** Rows that were refused alone, by key: how often, others having been taken in between; and what `taken` was the last time. */
  readonly alone: Map<string, { readonly refusals: number; readonly taken: number }>
  /** Rows that the store took of this lane. */
  taken: number
  /** Rows of the next call at most. */
  size: number
  busy: boolean
  failures: number
  /** The next call is not to wait for as long as a failure would have it. */
  isHurried: boolean
  timer: Timer | undefined
  /** Those who wait for the batch that follows. */
  waiting: PromiseWithResolvers<void>[]
}

interface Waiter {
  readonly version: PendingWrite['version']
  readonly settle: (flushed: Flushed) => void
}

/** One write with what the store said of it. */
interface Outcome {
  readonly write: PendingWrite
  readonly status: SaveStatus
}

export class Flusher<V> implements QueueTeller {
  readonly #parts: FlusherParts<V>
  readonly #settling: Settling<V>
  readonly #lanes = new Map<string, Lane>()
  /** By key: who waits for its write. */
  readonly #waiters = new Map<string, Set<Waiter>>()
  #isSharded = false
  #draining = false
  #stopped = false
  queries = 0
  flushed = 0
  buried = 0
  overtaken = 0

  constructor(parts: FlusherParts<V>) {
    this.#parts = parts
    this.#settling = new Settling(parts.strategy, parts.journal)
  }

  tellQueues(tell: TellQueue): void {
    this.#settling.tellQueues(tell)
  }

  /** A key has a pending write. */
  add(key: string): void {
    const lane = this.#laneOf(key)
    lane.keys.add(key)
    this.#schedule(lane, this.#draining ? 0 : this.#parts.delayMs)
  }

  /** Saves a key's write now, with what else waits in its lane; for at most a load's deadline. @returns what became of it, or of a newer one */
  flushNow(key: string): Promise<Flushed> {
    const { pending, strategy } = this.#parts
    const write = pending.get(key)
    if (write === undefined) return Promise.resolve({ state: 'saved' })
    const { promise, resolve } = Promise.withResolvers<Flushed>()
    const waiter: Waiter = {
      version: write.version,
      settle: (flushed) => {
        timer.cancel()
        waiters.delete(waiter)
        if (waiters.size === 0 && this.#waiters.get(key) === waiters) this.#waiters.delete(key)
        resolve(flushed)
      },
    }
    const waiters = this.#waiters.get(key) ?? new Set()
    this.#waiters.set(key, waiters.add(waiter))
    const timer = strategy.clock.after(strategy.loadDeadlineMs, () => waiter.settle({ state: 'waiting' }), { keepAlive: true })
    const lane = this.#laneOf(key)
    lane.keys.add(key)
    this.#schedule(lane, 0)
    this.#hurry(lane, FIRST_PAUSE_MS)
    return promise
  }

  /** Saves all that waits, and tells the owners. Resolves when that is done, or the time is over. @returns how many writes are left, in the journal */
  async drain(boundMs: number): Promise<number> {
    const { strategy, pending } = this.#parts
    const { clock, cache, emit } = strategy
    this.#draining = true
    const untilMs = clock.monotonic() + boundMs
    const isOver = (): boolean => clock.monotonic() >= untilMs || this.#stopped
    const within = async (work: Promise<unknown>): Promise<void> => {
      const over = Promise.withResolvers<void>()
      const timer = clock.after(Math.max(0, untilMs - clock.monotonic()), () => over.resolve(), { keepAlive: true })
      await Promise.race([work, over.promise])
      timer.cancel()
    }
    for (const lane of this.#lanes.values()) this.#hurry(lane, 0)
    while (pending.size > 0 && !isOver()) {
      emit('journal:draining', { cache, left: pending.size })
      await within(Promise.race([...this.#lanes.values()].filter(isAtWork).map((lane) => this.#nextBatch(lane))))
    }
    // What is saved must not stay pending on the nodes.
    while (!this.#settling.isDone && !isOver()) {
      await within(this.#settling.round())
      if (!this.#settling.isDone) await within(new Promise<void>((resolve) => clock.after(FIRST_PAUSE_MS, resolve, { keepAlive: true })))
    }
    this.#stop()
    emit('journal:draining', { cache, left: pending.size })
    return pending.size
  }

  /** A lane that waits out a failure tries after so long, for somebody waits. */
  #hurry(lane: Lane, ms: number): void {
    if (lane.timer === undefined || lane.failures === 0 || lane.isHurried) return
    lane.isHurried = true
    lane.timer.cancel()
    lane.timer = undefined
    this.#schedule(lane, ms)
  }

  #stop(): void {
    this.#stopped = true
    this.#settling.stop()
    for (const lane of this.#lanes.values()) {
      lane.timer?.cancel()
      lane.timer = undefined
      for (const waiting of lane.waiting.splice(0)) waiting.resolve()
    }
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.settle({ state: 'waiting' })
  }

  #nextBatch(lane: Lane): Promise<void> {
    const next = Promise.withResolvers<void>()
    lane.waiting.push(next)
    if (lane.failures === 0) this.#schedule(lane, 0)
    return next.promise
  }

  #laneOf(key: string): Lane {
    const shard = this.#parts.store.shardOf?.(key) ?? ''
    let lane = this.#lanes.get(shard)
    if (lane === undefined) {
      const size = this.#parts.batch
      lane = {
        keys: new Set(),
        alone: new Map(),
        taken: 0,
        size,
        busy: false,
        failures: 0,
        isHurried: false,
        timer: undefined,
        waiting: [],
      }
      this.#lanes.set(shard, lane)
    }
    return lane
  }

  /** @param delayMs at once for 0; a lane that waits out a failure goes on waiting */
  #schedule(lane: Lane, delayMs: number): void {
    if (lane.busy || this.#stopped) return
    if (lane.timer !== undefined) {
      if (delayMs > 0 || lane.failures > 0) return
      lane.timer.cancel()
    }
    lane.timer = this.#parts.strategy.clock.after(delayMs, () => void this.#flush(lane), { keepAlive: true })
  }

  async #flush(lane: Lane): Promise<void> {
    const { batch, strategy } = this.#parts
    lane.timer = undefined
    lane.isHurried = false
    lane.busy = true
    const waiting = lane.waiting.splice(0)
    const outcomes = await this.#save(await this.#take(lane))
    const failed = this.#settle(outcomes, lane)
    for (const { write } of failed) lane.keys.add(write.key)
    lane.failures = failed.length > 0 ? lane.failures + 1 : 0
    if (failed.length > 0) lane.size = Math.max(1, Math.floor(Math.min(lane.size, outcomes.length) / 2))
    else lane.size = Math.min(batch, lane.size * 2)
    lane.busy = false
    for (const each of waiting) each.resolve()
    if (lane.keys.size === 0) return
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(lane.failures - 1, 16)) * (0.5 + strategy.random() / 2)
    this.#schedule(lane, lane.failures > 0 ? pauseMs : 0)
  }

  /** The lane's next writes. Keys that came before it was known where they lie go to their own lanes first. */
  async #take(lane: Lane): Promise<PendingWrite[]> {
    const { pending, store } = this.#parts
    if (!this.#isSharded) {
      await store.prepare?.().catch(() => {})
      this.#isSharded = true
    }
    const writes: PendingWrite[] = []
    for (const key of lane.keys) {
      if (writes.length === lane.size) break
      lane.keys.delete(key)
      const own = this.#laneOf(key)
      const write = pending.get(key)
      if (write === undefined) continue
      if (own === lane) writes.push(write)
      else {
        own.keys.add(key)
        this.#schedule(own, 0)
      }
    }
    return writes
  }

  async #save(writes: readonly PendingWrite[]): Promise<Outcome[]> {
    const { strategy, store } = this.#parts
    const outcomes: Outcome[] = []
    const saves: Save<V>[] = []
    const removals: Removal[] = []
    const byKey = new Map<string, PendingWrite>()
    for (const write of writes) {
      const { key, version, op, over } = write
      byKey.set(key, write)
      if (op === 'remove') {
        removals.push({ key, floor: over ?? version, ifOlder: true })
        continue
      }
      const read = strategy.keyspace.pending.valueOf(write.bytes)
      // What an earlier release wrote is not this one's to guess.
      if ('reason' in read) outcomes.push({ write, status: { state: 'failed', error: new StoreError(read.reason), forGood: true } })
      else if (over !== undefined) saves.push({ key, value: read.value as V, floor: version, expected: over })
      else saves.push({ key, value: read.value as V, floor: version, ifOlder: true })
    }
    const [saved, removed] = await Promise.all([
      this.#statuses(saves, (call) => store.save(saves, call)),
      this.#statuses(removals, (call) => store.remove(removals, call)),
    ])
    for (const [at, { key }] of saves.entries()) outcomes.push({ write: byKey.get(key)!, status: saved[at]! })
    for (const [at, { key }] of removals.entries()) outcomes.push({ write: byKey.get(key)!, status: removed[at]! })
    return outcomes
  }

  async #statuses(items: readonly unknown[], work: (call: StoreCall) => Promise<SaveStatus[]>): Promise<SaveStatus[]> {
    if (items.length === 0) return []
    const { strategy, store } = this.#parts
    this.queries++
    return storeStatuses(strategy, store, CALL_MS, items.length, work)
  }

  /** @returns those to be tried again */
  #settle(outcomes: readonly Outcome[], lane: Lane): Outcome[] {
    const { pending, strategy } = this.#parts
    const fates: Fate[] = []
    const failed: Outcome[] = []
    for (const outcome of outcomes) {
      const { write, status } = outcome
      const { key, version, bytes } = write
      if (status.state === 'saved') {
        this.flushed++
        const saved = status.version > version ? status.version : version
        pending.saved(key, version, saved)
        lane.taken++
        fates.push({ key, version, bytes, saved })
        this.#answer(write, { state: 'saved' })
      } else if (isOvertaken(write, status)) {
        this.overtaken++
        pending.done(key, version)
        fates.push({ key, version, bytes, saved: undefined })
        this.#answer(write, { state: 'overtaken' })
      } else {
        const reason = this.#buriedFor(outcome, outcomes.length, lane)
        if (reason === undefined) {
          if (status.state === 'conflict') pending.notOver(key)
          failed.push(outcome)
          continue
        }
        this.#bury(write, reason)
        fates.push({ key, version, bytes, saved: undefined })
        this.#answer(write, { state: 'refused', error: reason })
      }
      lane.alone.delete(key)
    }
    if (failed.length > 0) strategy.emit('store:failed', { cache: strategy.cache, operation: 'save', reason: reasonOf(failed[0]!.status) })
    this.#settling.tell(fates)
    return failed
  }

  #answer({ key, version }: PendingWrite, flushed: Flushed): void {
    for (const waiter of this.#waiters.get(key) ?? []) if (waiter.version <= version) waiter.settle(flushed)
  }

  /**
   * Refusals of a row alone count where others were taken in between: so a store that takes nothing buries nothing.
   * @returns why it is given up; undefined: it is tried again
   */
  #buriedFor({ write, status }: Outcome, together: number, { alone, taken }: Lane): RingtailError | undefined {
    if (status.state !== 'failed') return undefined
    if (status.forGood === true) return status.error
    if (together > 1 || status.error instanceof OverloadError) return undefined
    const before = alone.get(write.key)
    if (before !== undefined && before.taken === taken) return undefined
    const refusals = (before?.refusals ?? 0) + 1
    alone.set(write.key, { refusals, taken })
    if (refusals < TRIES_ALONE) return undefined
    return new StoreError(`refused alone while others were taken, again and again: ${status.error.message}`, { cause: status.error })
  }

  #bury({ key, version }: PendingWrite, { message }: RingtailError): void {
    const { journal, pending, strategy } = this.#parts
    this.buried++
    pending.done(key, version)
    journal.bury({ cache: strategy.cache, key, version }, message, strategy.clock.now()).catch(() => {})
    strategy.emit('write:buried', { cache: strategy.cache, key, reason: message })
  }
}

/** Something newer is certainly in the store; a conflict with what is older says only that this write was not taken. */
function isOvertaken({ version }: PendingWrite, status: SaveStatus): boolean {
  return status.state === 'conflict' && status.version > version
}

function isAtWork({ keys, busy }: Lane): boolean {
  return keys.size > 0 || busy
}

function reasonOf(status: SaveStatus): string {
  return 'error' in status ? status.error.message : status.state
}
