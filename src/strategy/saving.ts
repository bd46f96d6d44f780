/**
 * How a store strategy writes the truth: one batch, one status a key, and what must happen to the cached copies when a status is unclear.
 *
 * Write-through and write-around both save first and differ only in what they then do with the cached copies (`settle`). What the cache
 * could not hold is refused before anything is saved, and the copies are made of the very values that were saved, whatever their owner
 * does with them meanwhile.
 */
import type { Timer } from '../clock.ts'
import { eachPrepared } from '../each-prepared.ts'
import type { Version } from '../entry.ts'
import { ConflictError, OverloadError, type RingtailError, UnsupportedError } from '../errors.ts'
import type { Prepared } from '../keyspaces/keyspace.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import type { Removal, SaveStatus, Store, StoreCall } from '../store/store.ts'
import type { Loads } from './loads.ts'
import { backOff, MAX_TRIES } from './retry.ts'
import { boundedStoreCall, storeStatuses } from './store-calls.ts'
import type { Settled, StrategyCall, StrategyParts } from './strategy.ts'

/** One row as it now is in the store. */
export interface Written {
  readonly key: string
  /** Its entry, stamped with its version; undefined: the row was removed. */
  readonly entry: Prepared | undefined
  readonly version: Version
}

/** Brings the cached copies in line with what was written. @returns the keys whose copies said that they hold something newer */
export type SettleCopies = (written: readonly Written[], call: StrategyCall | undefined) => Promise<readonly string[]>

/** One save or removal on its way to the store. */
interface Item {
  readonly key: string
  readonly entry: Prepared | undefined
  /** The row's new version is at least this. */
  readonly floor: Version
}

/** Keys whose saves and removals are under way, or may still happen. */
const MAX_OPEN = 65_536

/** Of an item, what is needed when its outcome is not known. */
type Unclear = Pick<Item, 'key' | 'floor'>

export class Saving<V> implements QueueTeller {
  readonly #parts: StrategyParts<V>
  readonly #store: Store<V>
  readonly #loads: Loads<V>
  readonly #settleCopies: SettleCopies
  /** Saves whose outcome is not known, by what is yet to be done about them. */
  readonly #distrusted = new Map<Timer, readonly Unclear[]>()
  /** Keys whose saves are under way, and those that are distrusted. */
  #open = 0
  queries = 0

  constructor(parts: StrategyParts<V>, store: Store<V>, loads: Loads<V>, settleCopies: SettleCopies) {
    this.#parts = parts
    this.#store = store
    this.#loads = loads
    this.#settleCopies = settleCopies
  }

  /** For a tier that is closed: what is yet to be done about saves whose outcome is not known is done now, as well as it can be. Leaves no timer. */
  async drained(): Promise<void> {
    const distrusted = [...this.#distrusted.values()]
    const items = new Map(distrusted.flat().map((item) => [item.key, item]))
    for (const timer of this.#distrusted.keys()) timer.cancel()
    this.#distrusted.clear()
    for (const unclear of new Set(distrusted)) this.#open -= unclear.length
    if (items.size > 0) await this.#invalidate([...items.values()], true)
  }

  tellQueues(tell: TellQueue): void {
    tell('saves', this.#open, MAX_OPEN)
  }

  saveMany(entries: readonly (readonly [string, V])[], call?: StrategyCall): Promise<Settled<void>[]> {
    return eachPrepared(
      entries,
      ([key, value]) => ({ ...this.#prepared(key, value, call), value }),
      (saves) => this.#carryOut('save', saves, (storeCall) => this.#store.save(saves, storeCall), call),
      (error): Settled<void> => ({ error }),
    )
  }

  removeMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<void>[]> {
    const { keyspace } = this.#parts
    return eachPrepared(
      keys,
      (key) => {
        keyspace.wireKey(key)
        return { key, entry: undefined, floor: keyspace.nextVersion() }
      },
      (removals) => this.#carryOut('remove', removals, (storeCall) => this.#store.remove(removals, storeCall), call),
      (error): Settled<void> => ({ error }),
    )
  }

  /** Tries the cached row first, so that an undisturbed update costs the store one statement; the store's version check judges. */
  async update(key: string, change: (current: V | undefined) => V | Promise<V>, call?: StrategyCall): Promise<V> {
    const { keyspace, cache } = this.#parts
    if (!this.#store.versioned) {
      throw new UnsupportedError(`cache '${cache}': update needs a store with row versions, and ${this.#store.name} has none`)
    }
    const cached = await keyspace.findOne(key, call)
    let row = cached.version === 0n ? undefined : { value: cached.value as V, version: cached.version }
    let known = row !== undefined
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      if (!known) row = await this.#loadRow(key)
      known = false
      const value = await change(row?.value)
      const item = this.#prepared(key, value, call)
      const save = { key, value, floor: item.floor, expected: row?.version ?? 0n }
      const [outcome] = await this.#carryOut('save', [item], (storeCall) => this.#store.save([save], storeCall), call)
      if (!('error' in outcome!)) return value
      if (!(outcome.error instanceof ConflictError)) throw outcome.error
      if (attempt > 1) await backOff(attempt, this.#parts)
    }
    throw new ConflictError(`cache '${cache}': update of '${key}' met another's change each time in ${MAX_TRIES} tries`)
  }

  /** @throws EncodeError or ConfigurationError, before anything is saved */
  #prepared(key: string, value: V, call: StrategyCall | undefined): Item {
    const { keyspace } = this.#parts
    const floor = keyspace.nextVersion()
    const begunMs = keyspace.nowMs()
    const { times, tags } = call ?? {}
    const entry = keyspace.prepare({ key, value, kind: 'value', version: floor, times, tags, begunMs, loadCostMs: 0 })
    return { key, entry, floor }
  }

  async #loadRow(key: string): Promise<{ value: V; version: Version } | undefined> {
    this.queries++
    const { rows, failed } = await this.#bounded((call) => this.#store.load([key], call))
    const error = failed?.get(key)
    if (error !== undefined) throw error
    return rows.get(key)
  }

  async #carryOut(
    operation: 'save' | 'remove',
    items: readonly Item[],
    work: (call: StoreCall) => Promise<SaveStatus[]>,
    call: StrategyCall | undefined,
  ): Promise<Settled<void>[]> {
    const { cache } = this.#parts
    if (this.#open + items.length > MAX_OPEN) {
      const error = new OverloadError(
        `cache '${cache}': needs at most ${MAX_OPEN} keys that are being saved or may still be, but got: more`,
      )
      return items.map(() => ({ error }))
    }
    this.#open += items.length
    const counted = { keys: items.length }
    try {
      return await this.#carriedOut(operation, items, work, call, counted)
    } finally {
      this.#open -= counted.keys
    }
  }

  /** @param counted as open while this lasts: what is distrusted is counted on */
  async #carriedOut(
    operation: 'save' | 'remove',
    items: readonly Item[],
    work: (call: StoreCall) => Promise<SaveStatus[]>,
    call: StrategyCall | undefined,
    counted: { keys: number },
  ): Promise<Settled<void>[]> {
    const { keyspace, emit, cache } = this.#parts
    this.queries++
    const { clock, loadDeadlineMs } = this.#parts
    const deadlineAtMs = clock.monotonic() + loadDeadlineMs
    const statuses = await this.#statuses(items.length, work)
    const written: Written[] = []
    const absent: Removal[] = []
    const unclear: Item[] = []
    const settled = items.map((item, at): Settled<void> => {
      const status = statuses[at]!
      const { key, entry } = item
      this.#loads.forget(key)
      if (status.state === 'saved') {
        // A store without versions cannot order: the copies are ordered by when the save was known to be done.
        const version = this.#store.versioned ? status.version : keyspace.nextVersion()
        if (entry !== undefined) keyspace.stamp(entry, version)
        written.push({ key, entry, version })
        if (status.absent === true) absent.push({ key, floor: version, ifOlder: true, again: true })
        call?.session?.wrote(keyspace.wireKey(key), version)
        return { value: undefined }
      }
      if (status.state === 'conflict')
        return { error: new ConflictError(`'${key}' is at version ${status.version} in ${this.#store.name}`) }
      if (status.state === 'unknown') unclear.push(item)
      emit('store:failed', { cache, operation, reason: status.error.message })
      return { error: status.error }
    })
    if (unclear.length > 0) this.#distrust(unclear, counted)
    if (written.length > 0) {
      const newer = await this.#settleCopies(written, call)
      for (const { key } of written) this.#loads.forget(key)
      const again = this.#store.remembersRemovals === true ? absent : []
      const outranked = again.length > 0 ? newer : [...newer, ...absent.map(({ key }) => key)]
      const [failures] = await Promise.all([
        this.#removeAgain(again, deadlineAtMs),
        outranked.length > 0 ? this.outrank(outranked, call) : undefined,
      ])
      if (failures.size > 0) return this.#withoutFailed(settled, items, failures, counted)
    }
    return settled
  }

  /**
   * A removal that found no row may have waited for a save that was ordered before it, and whose row it did not see. Sent after the tombstones are
   * put, it meets as well what another process made below them and put before them: a later row's copy they refuse, and its saver is told.
   */
  async #removeAgain(removals: readonly Removal[], deadlineAtMs: number): Promise<ReadonlyMap<string, RingtailError>> {
    const failures = new Map<string, RingtailError>()
    if (removals.length === 0) return failures
    this.queries++
    // A caller waits for both as long as for one.
    const boundMs = Math.max(1, deadlineAtMs - this.#parts.clock.monotonic())
    const statuses = await this.#statuses(removals.length, (storeCall) => this.#store.remove(removals, storeCall), boundMs)
    for (const [at, { key }] of removals.entries()) {
      const status = statuses[at]!
      if (status.state === 'failed' || status.state === 'unknown') failures.set(key, status.error)
    }
    return failures
  }

  /** The rows that were seen are removed, that much is certain; of these keys, that no older save comes after. */
  #withoutFailed(
    settled: readonly Settled<void>[],
    items: readonly Item[],
    failures: ReadonlyMap<string, RingtailError>,
    counted: { keys: number },
  ): Settled<void>[] {
    const { emit, cache } = this.#parts
    this.#distrust(
      items.filter(({ key }) => failures.has(key)),
      counted,
    )
    return settled.map((each, at) => {
      const error = failures.get(items[at]!.key)
      if (error === undefined || 'error' in each) return each
      emit('store:failed', { cache, operation: 'remove', reason: error.message })
      return { error }
    })
  }

  /**
   * A row can be of a lower version than a removal that came before it: the removal's transaction read a clock later than the row's, or a
   * clock that is ahead. On the nodes the removal would hide the row. So where an absence refused a row's copy, and where a removal found no
   * row, may have been followed by one and is not sent again, the store is asked; a row that is there is made newer than the absence, if it is still as it was.
   */
  async outrank(keys: readonly string[], call?: StrategyCall): Promise<void> {
    const { keyspace } = this.#parts
    const found = await keyspace.findMany(keys, call)
    const absences = new Map(keys.map((key, at) => [key, found[at]!.seen.version] as const))
    for (const [at, key] of keys.entries()) {
      const { version, seen, entry } = found[at]!
      // A removal that the store does not have yet is no absence: the row is about to go.
      if (version > 0n || seen.version === 0n || entry?.kind === 'pending') absences.delete(key)
    }
    if (absences.size === 0) return
    this.queries++
    const rows = await this.#bounded((storeCall) => this.#store.load([...absences.keys()], storeCall)).then(
      ({ rows }) => rows,
      // The row is in the store; what reads of it lack is a copy.
      () => undefined,
    )
    const lower = [...(rows ?? [])].filter(([key, row]) => row.version < absences.get(key)!)
    if (lower.length === 0) return
    const items = lower.map(([key, { value }]) => ({ ...this.#prepared(key, value, call), floor: absences.get(key)! + 1n }))
    const saves = lower.map(([key, { value, version }], at) => ({ key, value, floor: items[at]!.floor, expected: version }))
    this.queries++
    const statuses = await this.#statuses(saves.length, (storeCall) => this.#store.save(saves, storeCall))
    const raised: Written[] = []
    for (const [at, { key, entry }] of items.entries()) {
      const status = statuses[at]!
      if (status.state !== 'saved') continue
      keyspace.stamp(entry!, status.version)
      call?.session?.wrote(keyspace.wireKey(key), status.version)
      raised.push({ key, entry, version: status.version })
    }
    if (raised.length > 0) await this.#settleCopies(raised, call)
  }

  #statuses(count: number, work: (call: StoreCall) => Promise<SaveStatus[]>, boundMs = this.#parts.loadDeadlineMs): Promise<SaveStatus[]> {
    return storeStatuses(this.#parts, this.#store, boundMs, count, work)
  }

  #bounded<T>(work: (call: StoreCall) => Promise<T>): Promise<T> {
    return boundedStoreCall(this.#parts, this.#store, this.#parts.loadDeadlineMs, work)
  }

  /**
   * A save whose outcome is unknown may still happen. Until it is certain that it will not, nothing older than it may be cached: a tombstone
   * just below the version that it will have if it does keeps the old row out, and lets the new one in. When the statement must be over, and
   * again when every other write that was under way with it must be, what lies there may be of a write that it followed: that goes too.
   */
  #distrust(items: readonly Item[], counted: { keys: number }): void {
    const { clock, loadDeadlineMs } = this.#parts
    // Without their entries: of a store that answers nobody there may be many.
    const unclear = items.map(({ key, floor }): Unclear => ({ key, floor }))
    counted.keys -= unclear.length
    void this.#invalidate(unclear, false)
    for (const times of [1, 2]) {
      const timer = clock.after(times * loadDeadlineMs, () => {
        this.#distrusted.delete(timer)
        if (times === 2) this.#open -= unclear.length
        void this.#invalidate(unclear, true)
      })
      this.#distrusted.set(timer, unclear)
    }
  }

  /** Never rejects. @param whole whatever lies there now, not only what is older than the save can be */
  async #invalidate(items: readonly Unclear[], whole: boolean): Promise<void> {
    const { keyspace } = this.#parts
    const keys = items.map(({ key }) => key)
    for (const key of keys) this.#loads.forget(key)
    if (!this.#store.versioned) {
      await keyspace.eraseMany(keys)
      return
    }
    const found = whole ? await keyspace.findMany(keys, { read: 'all' }).catch(() => undefined) : undefined
    const removals = items.map(({ key, floor }, at) => {
      const version = found?.[at]?.seen.version ?? 0n
      return { key, version: version < floor ? floor - 1n : version }
    })
    await keyspace.removeMany(removals)
  }
}
