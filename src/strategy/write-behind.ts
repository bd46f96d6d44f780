/**
 * Write-behind: a write is acknowledged once the journal has it on disk and the owners hold it; the store gets it later, in batches.
 *
 * Until then its entry is `pending`: it has no expiry, so nodes do not evict it, and every process that reads it has the write. Where the nodes
 * lost it, this process still answers from its own memory, and lays it there again. Order is by version, drawn when the write began; the
 * store keeps a row that is newer, and remembers what was removed. A removal is a pending entry as well, one without a value.
 *
 * `update` is compare-and-set at the key's primary, then the journal: what it lays there may be read a moment before it is on the disk. A process
 * that is killed in that moment has acknowledged nothing; the entry is saved by whoever reads it (`adoption.ts`). A journal without room, or whose
 * disk failed, makes writes write-through until it has some again: acknowledged by the store, under the same version and in the same order. They
 * are slower then, and told of as `journal:refused`.
 */
import type { Timer } from '../clock.ts'
import { eachPrepared } from '../each-prepared.ts'
import type { Version } from '../entry.ts'
import {
  ConfigurationError,
  ConflictError,
  JournalError,
  OverloadError,
  RingtailError,
  UnacknowledgedError,
  UnavailableError,
} from '../errors.ts'
import type { Journal, JournalRecord } from '../journal/journal.ts'
import type { Found, Prepared } from '../keyspaces/keyspace.ts'
import type { TellQueue } from '../queues.ts'
import type { Store } from '../store/store.ts'
import { Adoption } from './adoption.ts'
import { Flusher } from './flusher.ts'
import { PendingReads } from './pending-reads.ts'
import { type PendingWrite, PendingWrites } from './pending-writes.ts'
import { Reading } from './reading.ts'
import { backOff, MAX_TRIES } from './retry.ts'
import { boundedStoreCall } from './store-calls.ts'
import { StoreStrategy } from './store-strategy.ts'
import type {
  Read,
  ReadCall,
  RowChange,
  Settled,
  StoreCounts,
  Strategy,
  StrategyCall,
  StrategyChoice,
  StrategyParts,
  Truth,
} from './strategy.ts'
import { type CheckedWriteBehind, checkedWriteBehind, type WriteBehindOptions } from './write-behind-options.ts'

export type { WriteBehindOptions }

/** When an update whose outcome is not known is looked up, ms: no message of it is under way any more. */
const LOOK_UP_AFTER_MS = 1_000
const MAX_LOOK_UPS = 1_024
/** Between tries to lay on the nodes what the journal held, ms; and how many at once. */
const LAY_PAUSE_MS = 1_000
const LAID_AT_ONCE = 500

/** @param store where rows live; with a version column, by which it keeps what is newer @throws ConfigurationError */
export function writeBehind<V>(store: Store<V>, options: WriteBehindOptions): StrategyChoice<V> {
  const checked = checkedWriteBehind(store, options)
  return { name: 'write-behind', build: (parts) => new WriteBehind(parts, parts.guard?.(store) ?? store, checked) }
}

/** One write on its way. */
interface Item {
  readonly key: string
  readonly op: 'save' | 'remove'
  readonly prepared: Prepared
}

class WriteBehind<V> implements Strategy<V> {
  readonly name = 'write-behind'
  readonly truth: Truth<V>
  readonly #parts: StrategyParts<V>
  readonly #journal: Journal
  readonly #reading: Reading<V>
  /** What others change is dealt with as write-through does. */
  readonly #through: StoreStrategy<V>
  readonly #pending = new PendingWrites()
  readonly #flusher: Flusher<V>
  readonly #reads: PendingReads<V>
  readonly #store: Store<V>
  readonly #drainMs: number
  /** Updates whose outcome is being looked up. */
  #lookUps = 0
  /** Of what is tried again for as long as the tier is open. */
  readonly #timers = new Set<Timer>()
  #closed = false

  constructor(parts: StrategyParts<V>, store: Store<V>, { journal, delayMs, batch, drainMs, adoptAfterMs }: CheckedWriteBehind) {
    if (!parts.keyspace.enveloped)
      throw new ConfigurationError(`cache '${parts.cache}': write-behind needs entries with versions, not plain values`)
    this.#parts = parts
    this.#journal = journal
    this.#store = store
    this.truth = { reader: store, ordered: true }
    this.#drainMs = drainMs
    this.#reading = new Reading(parts, store, true)
    this.#through = new StoreStrategy('write-through', parts, store, 'replace')
    this.#flusher = new Flusher({ strategy: parts, store, journal, pending: this.#pending, delayMs, batch })
    const adopt = (record: JournalRecord): Promise<void> => this.#adopt(record)
    const adoption = new Adoption({ strategy: parts, pending: this.#pending, afterMs: adoptAfterMs, adopt })
    this.#reads = new PendingReads({ strategy: parts, reading: this.#reading, pending: this.#pending, adoption })
    const { records } = journal.use(parts.cache, { again: (record) => this.#takeUp([record]) })
    this.#takeUp(records)
  }

  read(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void {
    this.#reads.read(key, settle, fail, call)
  }

  readMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]> {
    return this.#reads.readMany(keys, call)
  }

  async refreshMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<V | undefined>[]> {
    await Promise.all(keys.map((key) => this.#flusher.flushNow(key)))
    return this.#reading.refreshMany(keys, call)
  }

  write(key: string, value: V, settle: () => void, fail: (error: unknown) => void, call?: StrategyCall): void {
    this.writeMany([[key, value]], call).then(([only]) => ('error' in only! ? fail(only.error) : settle()), fail)
  }

  writeMany(entries: readonly (readonly [string, V])[], call?: StrategyCall): Promise<Settled<void>[]> {
    return eachPrepared(
      entries,
      ([key, value]): Item => ({
        key,
        op: 'save',
        prepared: this.#prepared(key, value, this.#parts.keyspace.nextVersion(), call),
      }),
      (items) => Promise.all(items.map((item) => this.#carryOut(item, call))),
      (error): Settled<void> => ({ error }),
    )
  }

  removeMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<void>[]> {
    const { keyspace } = this.#parts
    return eachPrepared(
      keys,
      (key): Item => ({
        key,
        op: 'remove',
        prepared: keyspace.pending.prepareRemoval(key, keyspace.nextVersion(), keyspace.nowMs()),
      }),
      (items) => Promise.all(items.map((item) => this.#carryOut(item, call))),
      (error): Settled<void> => ({ error }),
    )
  }

  async update(key: string, change: (current: V | undefined) => V | Promise<V>, call?: StrategyCall): Promise<V> {
    const { keyspace, cache } = this.#parts
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const found = await keyspace.findOne(key, { ...call, read: 'primary' })
      if (found.state === 'unreachable') throw found.failure ?? new UnavailableError('no owner of the key answered')
      const own = this.#pending.get(key)
      if (own !== undefined && own.version > found.seen.version) {
        await this.#layAgain([own])
        continue
      }
      const current = await this.#currentOf(key, found)
      const value = await change(current)
      const prepared = this.#prepared(key, value, keyspace.nextVersion(), call)
      const record = this.#recordOf(key, 'save', prepared)
      const outcome = await keyspace.comparePrepared(prepared, found.expected, call)
      if (outcome.state === 'applied') {
        await this.#keepUpdated(record)
        return value
      }
      if (outcome.state === 'unacknowledged') {
        this.#lookUpLater(record)
        throw outcome.error
      }
      keyspace.observe(outcome.version)
      if (attempt > 1) await backOff(attempt, this.#parts)
    }
    throw new ConflictError(`cache '${cache}': update of '${key}' met another's change each time in ${MAX_TRIES} tries`)
  }

  applyMany(changes: readonly RowChange<V>[], call?: StrategyCall): Promise<Settled<void>[]> {
    return this.#through.applyMany(changes, call)
  }

  touchMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<boolean>[]> {
    return this.#reading.touchMany(keys, call)
  }

  async drained(): Promise<void> {
    await this.#reading.loads.drained()
    await this.#through.drained()
    await this.#flusher.drain(this.#drainMs)
    // The journal has what is left, or who reads it takes it up.
    this.#closed = true
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
  }

  tellQueues(tell: TellQueue): void {
    for (const each of [this.#reading, this.#through, this.#pending, this.#flusher]) each.tellQueues(tell)
  }

  storeCounts(): StoreCounts {
    const { queries, keysLoaded, shards } = this.#reading.storeCounts()!
    const { flushed, buried, overtaken } = this.#flusher
    const [oldest] = this.#pending.values()
    return {
      queries: queries + this.#flusher.queries + this.#through.storeCounts().queries,
      keysLoaded,
      shards,
      pending: {
        writes: this.#pending.size,
        bytes: this.#pending.bytes,
        oldestMs: oldest === undefined ? 0 : this.#parts.clock.monotonic() - oldest.sinceMs,
        flushed,
        coalesced: this.#pending.coalesced,
        overtaken,
        buried,
        journal: this.#journal.stats(),
      },
    }
  }

  /** What an update is made from: what lies on the nodes, or the row. */
  async #currentOf(key: string, found: Found<V>): Promise<V | undefined> {
    const { keyspace } = this.#parts
    keyspace.observe(found.seen.version)
    if (found.state === 'fresh' || found.state === 'stale') return found.value
    const { rows, failed } = await boundedStoreCall(this.#parts, this.#store, this.#parts.loadDeadlineMs, (bound) =>
      this.#store.load([key], bound),
    )
    const error = failed?.get(key)
    if (error !== undefined) throw error
    const row = rows.get(key)
    // Below a tombstone lies a row that was removed.
    if (row === undefined || row.version < found.seen.version) return undefined
    keyspace.observe(row.version)
    return row.value
  }

  #prepared(key: string, value: V, version: Version, call: StrategyCall | undefined): Prepared {
    const { keyspace } = this.#parts
    const { times, tags } = call ?? {}
    return keyspace.prepare({ key, value, kind: 'pending', version, times, tags, begunMs: keyspace.nowMs(), loadCostMs: 0 })
  }

  #recordOf(key: string, op: 'save' | 'remove', prepared: Prepared): JournalRecord {
    const { keyspace, cache } = this.#parts
    const body = bytesOf(prepared)
    return { cache, key, op, version: keyspace.pending.versionOf(body), body }
  }

  /** The journal first, then the owners; without a journal the store as well. */
  async #carryOut({ key, op, prepared: given }: Item, call: StrategyCall | undefined): Promise<Settled<void>> {
    const { keyspace } = this.#parts
    let prepared = given
    for (let attempt = 1; ; attempt++) {
      const record = this.#recordOf(key, op, prepared)
      const wasBroken = this.#journal.stats().state === 'broken'
      const isOnDisk = await this.#journalled(record)
      if (!this.#keep(record, isOnDisk)) {
        // A journal that broke with it may have it on the disk.
        const mayBe = attempt > 1 || (!wasBroken && this.#journal.stats().state === 'broken')
        return { error: mayBe ? new UnacknowledgedError(unsaid(false, false)) : overload(this.#parts.cache) }
      }
      const [outcome] = await keyspace.putPrepared([prepared], call)
      if (outcome!.state === 'refused' && attempt < MAX_TRIES && keyspace.isDoubtful(outcome!, record.version)) {
        // By differing clocks only: it came after what refused it.
        keyspace.observe(outcome!.version)
        prepared = copyOf(prepared)
        keyspace.stamp(prepared, keyspace.nextVersion())
        continue
      }
      this.#reading.loads.forget(key)
      if (isOnDisk && outcome!.state !== 'unacknowledged') return this.#written(key, record, call)
      const flushed = await this.#flusher.flushNow(key)
      if (flushed.state === 'saved' || flushed.state === 'overtaken') return this.#written(key, record, call)
      if (flushed.state === 'refused') return { error: flushed.error }
      const cause = outcome!.state === 'unacknowledged' ? outcome!.error : undefined
      return { error: new UnacknowledgedError(unsaid(isOnDisk, cause === undefined), { cause }) }
    }
  }

  #written(key: string, { version }: JournalRecord, call: StrategyCall | undefined): Settled<void> {
    call?.session?.wrote(this.#parts.keyspace.wireKey(key), version)
    return { value: undefined }
  }

  /** An update that the primary has let through: the journal, or else the store, before it is acknowledged. */
  async #keepUpdated(record: JournalRecord): Promise<void> {
    const isOnDisk = await this.#journalled(record)
    const isKept = this.#keep(record, isOnDisk)
    this.#reading.loads.forget(record.key)
    if (isOnDisk) return
    if (!isKept) throw new UnacknowledgedError(unsaid(false, true))
    const flushed = await this.#flusher.flushNow(record.key)
    if (flushed.state === 'refused') throw flushed.error
    if (flushed.state === 'waiting') throw new UnacknowledgedError(unsaid(false, true))
  }

  /** @returns false when the journal takes nothing, which is told */
  async #journalled(record: JournalRecord): Promise<boolean> {
    try {
      await this.#journal.write(record)
      return true
    } catch (refused) {
      const { emit, cache } = this.#parts
      const reason = refused instanceof JournalError ? refused.reason : refused instanceof OverloadError ? 'overloaded' : 'broken'
      emit('journal:refused', { cache, reason: `${reason}: ${refused instanceof RingtailError ? refused.message : String(refused)}` })
      return false
    }
  }

  /** @returns false where there is no room for what the journal did not take */
  #keep({ key, op, version, body }: JournalRecord, isOnDisk: boolean): boolean {
    if (!isOnDisk && !this.#pending.hasRoom) return false
    const write = { key, op, version, bytes: body, sinceMs: this.#parts.clock.monotonic(), isUnjournalled: !isOnDisk }
    if (this.#pending.add(write)) this.#flusher.add(key)
    return true
  }

  /** Another's write that nobody saves. */
  async #adopt(record: JournalRecord): Promise<void> {
    this.#keep(record, await this.#journalled(record))
  }

  /** Writes that the journal had: they lie on the nodes again, and are saved. */
  #takeUp(records: readonly JournalRecord[]): void {
    for (const record of records) {
      // A clock that was set back must not date later writes before these.
      this.#parts.keyspace.observe(record.version)
      this.#keep(record, true)
    }
    const keys = records.map(({ key }) => key)
    for (let at = 0; at < keys.length; at += LAID_AT_ONCE) void this.#layUntilThere(keys.slice(at, at + LAID_AT_ONCE))
  }

  /** For as long as the store does not have them. */
  async #layUntilThere(keys: readonly string[]): Promise<void> {
    const writes = keys.flatMap((key) => this.#pending.get(key) ?? [])
    if (writes.length === 0) return
    const outcomes = await this.#parts.keyspace.pending.layAgain(writes)
    const left = writes.filter((_, at) => outcomes[at]!.state === 'unacknowledged').map(({ key }) => key)
    if (left.length > 0) this.#later(LAY_PAUSE_MS * (0.5 + this.#parts.random()), () => void this.#layUntilThere(left))
  }

  #later(ms: number, task: () => void): void {
    if (this.#closed) return
    const timer = this.#parts.clock.after(ms, () => {
      this.#timers.delete(timer)
      task()
    })
    this.#timers.add(timer)
  }

  async #layAgain(writes: readonly PendingWrite[]): Promise<void> {
    if (writes.length > 0) await this.#parts.keyspace.pending.layAgain(writes)
  }

  /** An update of which it is not known whether the primary let it through: what lies there tells. Too many of them are left to their readers. */
  #lookUpLater(record: JournalRecord): void {
    if (this.#lookUps >= MAX_LOOK_UPS) return
    this.#lookUps++
    this.#later(LOOK_UP_AFTER_MS, () => {
      this.#lookUps--
      void this.#lookUp(record).catch(() => {})
    })
  }

  async #lookUp(record: JournalRecord): Promise<void> {
    const found = await this.#parts.keyspace.findOne(record.key, { read: 'all' })
    if (found.state === 'unreachable') this.#lookUpLater(record)
    else if (found.seen.version === record.version) await this.#keepUpdated(record)
  }
}

function overload(cache: string): OverloadError {
  return new OverloadError(`cache '${cache}': the journal takes nothing, and as many writes as may wait without it do already`)
}

/** What is said of a write that came to no end. */
function unsaid(isOnDisk: boolean, isOnOwners: boolean): string {
  if (isOnDisk) return 'the write is in the journal, but neither enough owners nor the store could be reached'
  return isOnOwners
    ? 'the write lies on its owners, but neither the journal nor the store took it'
    : 'neither the journal, nor enough owners, nor the store took the write; it may still come about'
}

/** What is in the journal already must not change with it. */
function copyOf(prepared: Prepared): Prepared {
  const bytes = Uint8Array.prototype.slice.call(bytesOf(prepared))
  return { ...prepared, change: { ...prepared.change, bytes } as Prepared['change'] }
}

function bytesOf({ change }: Prepared): Uint8Array {
  if (change.op !== 'put') throw new Error('write-behind: a pending entry is a put')
  return change.bytes
}
