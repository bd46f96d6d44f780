/**
 * Write-behind: a write is acknowledged once the journal has it on disk and the owners hold it; the store gets it later, in batches.
 *
 * Until then its entry is `pending`: it has no expiry, so nodes do not evict it, and every process that reads it has the write. Where the nodes
 * lost it, this process still answers from its own memory, and lays it there again. Order is by version, drawn when the write began; the
 * store keeps a row that is newer. A removal is a pending entry as well, one without a value.
 *
 * `update` is compare-and-set at the key's primary. Whether it was the one that was let through is not known before, so it lies in the journal as
 * an intent first; one that a crash has left undecided is looked up on the nodes. A journal without room, or whose disk failed, makes writes
 * write-through until it has some again: they are slower then, and told of as `journal:refused`.
 */
import { eachPrepared } from '../each-prepared.ts'
import type { Version } from '../entry.ts'
import { ConfigurationError, ConflictError, JournalError, RingtailError, UnacknowledgedError, UnavailableError } from '../errors.ts'
import type { Journal, JournalRecord } from '../journal/journal.ts'
import type { Found, Prepared } from '../keyspaces/keyspace.ts'
import { type Duration, durationMs, knownOptions, wholeNumber } from '../options.ts'
import type { Store } from '../store/store.ts'
import { checkedStore } from './checked-store.ts'
import { Flusher } from './flusher.ts'
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

export interface WriteBehindOptions {
  /** Where writes lie until the store has them: `await openJournal({ directory })`. One may serve several caches of a process. */
  readonly journal: Journal
  /** How long a write waits for later ones of its key, and for others to leave with it. Default 50 ms. */
  readonly flushAfter?: Duration | undefined
  /** Rows of one call to the store. Default 500. */
  readonly batch?: number | undefined
  /** How long closing waits for the store; what is left then stays in the journal. Default 10 s. */
  readonly drain?: Duration | undefined
}

const OPTIONS = ['journal', 'flushAfter', 'batch', 'drain']
/** When an update whose outcome is not known is looked up, ms: no message of it is under way any more. */
const LOOK_UP_AFTER_MS = 1_000

/** @param store where rows live; with a version column, by which it keeps what is newer */
export function writeBehind<V>(store: Store<V>, options: WriteBehindOptions): StrategyChoice<V> {
  checkedStore(store, 'writeBehind: store')
  knownOptions(options, 'writeBehind', OPTIONS)
  if (!store.versioned) throw ConfigurationError.of('writeBehind: store', 'a store with row versions', store.name)
  if (typeof options.journal?.write !== 'function' || typeof options.journal.use !== 'function') {
    throw ConfigurationError.of('writeBehind: journal', 'what openJournal({ directory }) resolves with', options.journal)
  }
  const checked = {
    journal: options.journal,
    delayMs: durationMs(options.flushAfter ?? 50, 'writeBehind: flushAfter'),
    batch: wholeNumber(options.batch ?? 500, 'writeBehind: batch', 1, 10_000),
    drainMs: durationMs(options.drain ?? 10_000, 'writeBehind: drain'),
  }
  return { name: 'write-behind', build: (parts) => new WriteBehind(parts, store, checked) }
}

interface Checked {
  readonly journal: Journal
  readonly delayMs: number
  readonly batch: number
  readonly drainMs: number
}

/** One write on its way. */
interface Item<V> {
  readonly key: string
  readonly value: V | undefined
  readonly op: 'save' | 'remove'
  readonly prepared: Prepared
}

class WriteBehind<V> implements Strategy<V> {
  readonly name = 'write-behind'
  readonly truth: Truth<V>
  readonly #parts: StrategyParts<V>
  readonly #journal: Journal
  readonly #reading: Reading<V>
  /** What writes are while the journal takes none. */
  readonly #through: StoreStrategy<V>
  readonly #pending = new PendingWrites()
  readonly #flusher: Flusher<V>
  readonly #store: Store<V>
  readonly #drainMs: number

  constructor(parts: StrategyParts<V>, store: Store<V>, { journal, delayMs, batch, drainMs }: Checked) {
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
    const { records, intents } = journal.use(parts.cache, { again: (record) => void this.#takeUp([record]) })
    void this.#takeUp(records)
    for (const intent of intents) void this.#decide(intent)
  }

  read(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void {
    if (this.#pending.size === 0 || this.#pending.get(key) === undefined) this.#reading.read(key, settle, fail, call)
    else this.#readOwn(key, call).then(settle, fail)
  }

  async readMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]> {
    const own = this.#pending.size === 0 ? [] : keys.filter((key) => this.#pending.get(key) !== undefined)
    if (own.length === 0) return this.#reading.readMany(keys, call)
    const others = keys.filter((key) => this.#pending.get(key) === undefined)
    const reads = new Map<string, Settled<Read<V>>>()
    const [ofOthers] = await Promise.all([
      this.#reading.readMany(others, call),
      ...own.map(async (key) => {
        reads.set(
          key,
          await this.#readOwn(key, call).then(
            (value): Settled<Read<V>> => ({ value }),
            (error): Settled<Read<V>> => ({ error }),
          ),
        )
      }),
    ])
    for (const [at, key] of others.entries()) reads.set(key, ofOthers[at]!)
    return keys.map((key) => reads.get(key)!)
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
      ([key, value]): Item<V> => ({
        key,
        value,
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
      (key): Item<V> => ({
        key,
        value: undefined,
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
      try {
        await this.#journal.intend(record)
      } catch (refused) {
        if (found.entry?.kind === 'pending') throw refused
        this.#tellRefused(refused)
        return this.#through.update(key, change, call)
      }
      const outcome = await keyspace.comparePrepared(prepared, found.expected, call)
      if (outcome.state === 'applied') {
        await this.#confirm(record)
        return value
      }
      if (outcome.state === 'unacknowledged') {
        this.#parts.clock.after(LOOK_UP_AFTER_MS, () => void this.#decide(record))
        throw outcome.error
      }
      this.#journal.cancel(record).catch(() => {})
      keyspace.observe(outcome.version)
      if (attempt > 1) await backOff(attempt, this.#parts)
    }
    throw new ConflictError(`cache '${cache}': update of '${key}' met another's change each time in ${MAX_TRIES} tries`)
  }

  async applyMany(changes: readonly RowChange<V>[]): Promise<Settled<void>[]> {
    const applied = await this.#through.applyMany(changes)
    // What waits to be saved may have gone with what was out of date, and is newer.
    await this.#layAgain(changes.flatMap(({ key }) => this.#pending.get(key) ?? []))
    return applied
  }

  touchMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<boolean>[]> {
    return this.#reading.touchMany(keys, call)
  }

  async drained(): Promise<void> {
    await this.#reading.loads.drained()
    await this.#through.drained()
    await this.#flusher.drain(this.#drainMs)
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

  /** What the nodes hold, unless this process has written something newer. */
  async #readOwn(key: string, call: ReadCall<V> | undefined): Promise<Read<V>> {
    const found = await this.#parts.keyspace.findOne(key, call)
    const own = this.#pending.get(key)
    if (own === undefined || found.seen.version >= own.version) {
      if (found.state === 'fresh') return found
      return new Promise((resolve, reject) => this.#reading.read(key, resolve, reject, call))
    }
    if (found.state !== 'unreachable') void this.#layAgain([own])
    const value = this.#valueOf(own)
    return { state: 'fresh', negative: value === undefined, value, node: undefined, entry: undefined, sizeBytes: own.bytes.length }
  }

  #valueOf({ op, bytes }: PendingWrite): V | undefined {
    if (op === 'remove') return undefined
    const read = this.#parts.keyspace.pending.valueOf(bytes)
    return 'value' in read ? read.value : undefined
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

  /** The journal first, then the owners. */
  async #carryOut(item: Item<V>, call: StrategyCall | undefined): Promise<Settled<void>> {
    const { keyspace } = this.#parts
    const { key, op, prepared } = item
    for (let attempt = 1; ; attempt++) {
      const record = this.#recordOf(key, op, prepared)
      try {
        await this.#journal.write(record)
      } catch (refused) {
        return this.#writeThrough(item, refused, call)
      }
      this.#keep(record)
      const [outcome] = await keyspace.putPrepared([prepared], call)
      if (outcome!.state === 'refused' && attempt < MAX_TRIES && keyspace.isDoubtful(outcome!, record.version)) {
        // By differing clocks only: it came after what refused it.
        keyspace.observe(outcome!.version)
        keyspace.stamp(prepared, keyspace.nextVersion())
        continue
      }
      this.#reading.loads.forget(key)
      if (outcome!.state !== 'unacknowledged' || (await this.#flusher.flushNow(key))) {
        call?.session?.wrote(keyspace.wireKey(key), record.version)
        return { value: undefined }
      }
      const message = 'the write is in the journal, but neither enough owners nor the store could be reached'
      return { error: new UnacknowledgedError(message, { cause: outcome!.error }) }
    }
  }

  async #writeThrough({ key, value, op }: Item<V>, refused: unknown, call: StrategyCall | undefined): Promise<Settled<void>> {
    this.#tellRefused(refused)
    const [settled] =
      op === 'remove' ? await this.#through.removeMany([key], call) : await this.#through.writeMany([[key, value as V]], call)
    return settled!
  }

  #tellRefused(refused: unknown): void {
    const { emit, cache } = this.#parts
    const reason = refused instanceof JournalError ? refused.reason : 'broken'
    emit('journal:refused', { cache, reason: `${reason}: ${refused instanceof RingtailError ? refused.message : String(refused)}` })
  }

  #keep({ key, op, version, body }: JournalRecord): void {
    const write = { key, op, version, bytes: body, sinceMs: this.#parts.clock.monotonic() }
    if (this.#pending.add(write)) this.#flusher.add(key)
  }

  async #confirm(record: JournalRecord): Promise<void> {
    await this.#journal.confirm(record)
    this.#keep(record)
    this.#reading.loads.forget(record.key)
  }

  /** Writes that the journal had: they lie on the nodes again, and are saved. */
  async #takeUp(records: readonly JournalRecord[]): Promise<void> {
    for (const record of records) this.#keep(record)
    const writes = records.flatMap(({ key }) => this.#pending.get(key) ?? [])
    await this.#layAgain(writes)
  }

  async #layAgain(writes: readonly PendingWrite[]): Promise<void> {
    if (writes.length > 0) await this.#parts.keyspace.pending.layAgain(writes)
  }

  /** An update of which it is not known whether the primary let it through: what lies there tells. */
  async #decide(record: JournalRecord): Promise<void> {
    const found = await this.#parts.keyspace.findOne(record.key, { read: 'all' })
    if (found.state === 'unreachable') this.#parts.clock.after(LOOK_UP_AFTER_MS, () => void this.#decide(record))
    else if (found.seen.version === record.version) await this.#confirm(record).catch(() => {})
    else await this.#journal.cancel(record).catch(() => {})
  }
}

function bytesOf({ change }: Prepared): Uint8Array {
  if (change.op !== 'put') throw new Error('write-behind: a pending entry is a put')
  return change.bytes
}
