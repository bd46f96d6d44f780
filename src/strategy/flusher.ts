/**
 * Brings pending writes to the store: in batches, a shard at a time, each key's in order.
 *
 * Each shard has a lane of its own, with one batch under way at most; so a shard that is away holds up none of the others, and a key is never
 * in two batches. What comes while a batch is under way leaves with the next. A batch that fails is tried again for as long as it takes, in
 * pauses that grow to half a minute: a lane makes one call in such a pause, whatever waits in it. A row that the store refuses for good is
 * buried, so that it does not hold up the rest; one that met a newer row was overtaken and is forgotten. Saves carry their own versions, so
 * that what is sent twice is saved once (`Save.ifOlder`).
 */
import type { Timer } from '../clock.ts'
import type { Version } from '../entry.ts'
import { type RingtailError, StoreError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import type { Removal, Save, SaveStatus, Store, StoreCall } from '../store/store.ts'
import type { PendingWrite, PendingWrites } from './pending-writes.ts'
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

/** Between tries of a lane that fails, ms. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 30_000
/** Bound of one call to the store, ms. */
const CALL_MS = 10_000
/** How often owners are told that a write is in the store, before what they hold stays pending until it is written again. */
const SETTLE_TRIES = 6

interface Lane {
  readonly shard: string
  /** In the order in which they came. */
  readonly keys: Set<string>
  busy: boolean
  failures: number
  timer: Timer | undefined
  /** Those who wait for the batch that follows. */
  waiting: PromiseWithResolvers<void>[]
}

/** One write with what the store said of it. */
interface Outcome {
  readonly write: PendingWrite
  readonly status: SaveStatus
}

export class Flusher<V> {
  readonly #parts: FlusherParts<V>
  readonly #lanes = new Map<string, Lane>()
  /** Owners being told that writes are in the store, or gone. */
  readonly #telling = new Set<Promise<unknown>>()
  #draining = false
  #stopped = false
  queries = 0
  flushed = 0
  buried = 0
  overtaken = 0

  constructor(parts: FlusherParts<V>) {
    this.#parts = parts
  }

  /** A key has a pending write. */
  add(key: string): void {
    const lane = this.#laneOf(key)
    lane.keys.add(key)
    this.#schedule(lane, this.#draining ? 0 : this.#parts.delayMs)
  }

  /** Saves a key's write now, with what else waits in its lane; for at most a load's deadline. @returns whether the store has it, or something newer */
  async flushNow(key: string): Promise<boolean> {
    const { pending, strategy } = this.#parts
    const write = pending.get(key)
    if (write === undefined) return true
    const lane = this.#laneOf(key)
    const over = Promise.withResolvers<void>()
    const timer = strategy.clock.after(strategy.loadDeadlineMs, () => over.resolve(), { keepAlive: true })
    // A batch that is under way may hold an older write of the key.
    for (let batches = 0; batches < 2 && pending.get(key)?.version === write.version; batches++) {
      const next = Promise.withResolvers<void>()
      lane.waiting.push(next)
      lane.keys.add(key)
      this.#schedule(lane, 0)
      await Promise.race([next.promise, over.promise])
    }
    timer.cancel()
    const left = pending.get(key)
    return left === undefined || left.version > write.version
  }

  /** Saves all that waits. Resolves when the store has it, or the time is over. @returns how many writes are left, in the journal */
  async drain(boundMs: number): Promise<number> {
    const { strategy, pending } = this.#parts
    const { clock, cache, emit } = strategy
    this.#draining = true
    const untilMs = clock.monotonic() + boundMs
    for (const lane of this.#lanes.values()) this.#hurry(lane)
    while (pending.size > 0 && clock.monotonic() < untilMs && !this.#stopped) {
      emit('journal:draining', { cache, left: pending.size })
      const batches = [...this.#lanes.values()].filter(({ keys, busy }) => keys.size > 0 || busy).map((lane) => this.#nextBatch(lane))
      const over = Promise.withResolvers<void>()
      const timer = clock.after(untilMs - clock.monotonic(), () => over.resolve(), { keepAlive: true })
      await Promise.race([Promise.race(batches), over.promise])
      timer.cancel()
    }
    this.#stop()
    // What is saved must not stay pending on the nodes.
    const told = Promise.allSettled(this.#telling)
    const over = Promise.withResolvers<void>()
    const timer = clock.after(Math.max(0, untilMs - clock.monotonic()), () => over.resolve(), { keepAlive: true })
    await Promise.race([told, over.promise])
    timer.cancel()
    emit('journal:draining', { cache, left: pending.size })
    return pending.size
  }

  /** A lane that waits out a failure tries at once. */
  #hurry(lane: Lane): void {
    if (lane.timer === undefined) return
    lane.timer.cancel()
    lane.timer = undefined
    this.#schedule(lane, 0)
  }

  #stop(): void {
    this.#stopped = true
    for (const lane of this.#lanes.values()) {
      lane.timer?.cancel()
      lane.timer = undefined
      for (const waiting of lane.waiting.splice(0)) waiting.resolve()
    }
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
      lane = { shard, keys: new Set(), busy: false, failures: 0, timer: undefined, waiting: [] }
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
    const { pending, batch, strategy } = this.#parts
    lane.timer = undefined
    lane.busy = true
    const waiting = lane.waiting.splice(0)
    const writes: PendingWrite[] = []
    for (const key of lane.keys) {
      if (writes.length === batch) break
      lane.keys.delete(key)
      const write = pending.get(key)
      if (write !== undefined) writes.push(write)
    }
    const outcomes = await this.#save(writes)
    const failed = this.#settle(outcomes)
    for (const { write } of failed) lane.keys.add(write.key)
    lane.failures = failed.length > 0 ? lane.failures + 1 : 0
    lane.busy = false
    for (const each of waiting) each.resolve()
    if (lane.keys.size === 0) return
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(lane.failures - 1, 16)) * (0.5 + strategy.random() / 2)
    this.#schedule(lane, lane.failures > 0 ? pauseMs : 0)
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
  #settle(outcomes: readonly Outcome[]): Outcome[] {
    const { strategy, pending } = this.#parts
    const { emit, cache, keyspace } = strategy
    const inStore: { key: string; bytes: Uint8Array; version: Version }[] = []
    const gone: { key: string; version: Version }[] = []
    const failed: Outcome[] = []
    for (const outcome of outcomes) {
      const { write, status } = outcome
      const { key, version } = write
      if (status.state === 'saved') {
        this.flushed++
        inStore.push({ key, bytes: write.bytes, version: status.version > version ? status.version : version })
        this.#forget(write, status.version)
      } else if (status.state === 'conflict') {
        this.overtaken++
        gone.push({ key, version })
        this.#forget(write, status.version)
      } else if (status.state === 'failed' && status.forGood === true) {
        this.#bury(write, status.error)
        gone.push({ key, version })
      } else failed.push(outcome)
    }
    if (failed.length > 0) emit('store:failed', { cache, operation: 'save', reason: reasonOf(failed[0]!.status) })
    if (inStore.length > 0) this.#follow(this.#tellOwners(inStore, 1))
    // Whoever reads next has what the store has; where something newer lies it stays.
    if (gone.length > 0) this.#follow(keyspace.removeMany(gone))
    for (const { write } of failed) if (pending.get(write.key) === undefined) pending.add(write)
    return failed
  }

  #follow(telling: Promise<unknown>): void {
    this.#telling.add(telling)
    void telling.finally(() => this.#telling.delete(telling))
  }

  #forget({ key, version }: PendingWrite, saved: Version): void {
    const { journal, pending, strategy } = this.#parts
    pending.done(key, version, saved)
    // What cannot be forgotten is saved once more after a restart, and changes nothing then.
    journal.forget({ cache: strategy.cache, key, version }).catch(() => {})
  }

  #bury({ key, version }: PendingWrite, { message }: RingtailError): void {
    const { journal, pending, strategy } = this.#parts
    this.buried++
    pending.done(key, version, version)
    journal.bury({ cache: strategy.cache, key, version }, message, strategy.clock.now()).catch(() => {})
    strategy.emit('write:buried', { cache: strategy.cache, key, reason: message })
  }

  async #tellOwners(
    items: readonly { readonly key: string; readonly bytes: Uint8Array; readonly version: Version }[],
    attempt: number,
  ): Promise<void> {
    const { clock, keyspace } = this.#parts.strategy
    const outcomes = await keyspace.pending.settle(items)
    const left = items.filter((_, at) => outcomes[at]!.state === 'unacknowledged')
    if (left.length === 0 || attempt === SETTLE_TRIES || this.#stopped) return
    clock.after(FIRST_PAUSE_MS * 4 ** attempt, () => void this.#tellOwners(left, attempt + 1))
  }
}

function reasonOf(status: SaveStatus): string {
  return 'error' in status ? status.error.message : status.state
}
