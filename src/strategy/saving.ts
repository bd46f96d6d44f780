/**
 * How a store strategy writes the truth: one batch, one status a key, and what must happen to the cached copies when a status is unclear.
 *
 * Write-through and write-around both save first and differ only in what they then do with the cached copies (`settle`).
 */
import type { Version } from '../entry.ts'
import { asError, ConflictError, DeadlineError, RingtailError, StoreError, UnsupportedError } from '../errors.ts'
import type { SaveStatus, Store, StoreCall } from '../store/store.ts'
import type { Loads } from './loads.ts'
import { backOff, MAX_TRIES } from './retry.ts'
import type { Settled, StrategyCall, StrategyParts } from './strategy.ts'

/** One row as it now is in the store. `value` undefined: removed. */
export interface Written<V> {
  readonly key: string
  readonly value: V | undefined
  readonly version: Version
  readonly begunMs: number
}

/** Brings the cached copies in line with what was written. May reject only with an EncodeError. */
export type SettleCopies<V> = (written: readonly Written<V>[], call: StrategyCall | undefined) => Promise<void>

export class Saving<V> {
  readonly #parts: StrategyParts<V>
  readonly #store: Store<V>
  readonly #loads: Loads<V>
  readonly #settleCopies: SettleCopies<V>
  queries = 0

  constructor(parts: StrategyParts<V>, store: Store<V>, loads: Loads<V>, settleCopies: SettleCopies<V>) {
    this.#parts = parts
    this.#store = store
    this.#loads = loads
    this.#settleCopies = settleCopies
  }

  async saveMany(entries: readonly (readonly [string, V])[], call?: StrategyCall): Promise<Settled<void>[]> {
    const saves = entries.map(([key, value]) => ({ key, value, floor: this.#parts.keyspace.nextVersion() }))
    return this.#carryOut('save', saves, (signal) => this.#store.save(saves, signal), call)
  }

  async removeMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<void>[]> {
    const removals = keys.map((key) => ({ key, floor: this.#parts.keyspace.nextVersion() }))
    return this.#carryOut('remove', removals, (signal) => this.#store.remove(removals, signal), call)
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
      const save = { key, value, floor: keyspace.nextVersion(), expected: row?.version ?? 0n }
      const [outcome] = await this.#carryOut('save', [save], (signal) => this.#store.save([save], signal), call)
      if (!('error' in outcome!)) return value
      if (!(outcome.error instanceof ConflictError)) throw outcome.error
      if (attempt > 1) await backOff(attempt, this.#parts)
    }
    throw new ConflictError(`cache '${cache}': update of '${key}' met another's change each time in ${MAX_TRIES} tries`)
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
    items: readonly { readonly key: string; readonly value?: V }[],
    work: (call: StoreCall) => Promise<SaveStatus[]>,
    call: StrategyCall | undefined,
  ): Promise<Settled<void>[]> {
    const begunMs = this.#parts.clock.now()
    this.queries++
    const statuses = await this.#statuses(items.length, work)
    const written: Written<V>[] = []
    const unclear: string[] = []
    const settled = items.map(({ key, value }, at): Settled<void> => {
      const status = statuses[at]!
      this.#loads.forget(key)
      if (status.state === 'saved') {
        // A store without versions cannot order: the copies are ordered by when the save was known to be done.
        const version = this.#store.versioned ? status.version : this.#parts.keyspace.nextVersion()
        written.push({ key, value, version, begunMs })
        return { value: undefined }
      }
      if (status.state === 'conflict')
        return { error: new ConflictError(`'${key}' is at version ${status.version} in ${this.#store.name}`) }
      if (status.state === 'unknown') unclear.push(key)
      this.#parts.emit('store:failed', { cache: this.#parts.cache, operation, reason: status.error.message })
      return { error: status.error }
    })
    if (unclear.length > 0) this.#distrust(unclear)
    await this.#settleOrDrop(written, call)
    for (const { key } of written) this.#loads.forget(key)
    return settled
  }

  /** The store's contract is not to reject; one that does all the same has not said what happened. */
  async #statuses(count: number, work: (call: StoreCall) => Promise<SaveStatus[]>): Promise<SaveStatus[]> {
    try {
      return await this.#bounded(work)
    } catch (thrown) {
      const error =
        thrown instanceof RingtailError ? thrown : new StoreError(`${this.#store.name}: ${asError(thrown).message}`, { cause: thrown })
      return Array.from({ length: count }, () => ({ state: 'unknown', error }))
    }
  }

  async #bounded<T>(work: (call: StoreCall) => Promise<T>): Promise<T> {
    const { clock, loadDeadlineMs, cache } = this.#parts
    const late = new AbortController()
    const deadline = Promise.withResolvers<never>()
    const timer = clock.after(loadDeadlineMs, () => {
      const error = new DeadlineError(`cache '${cache}': ${this.#store.name} did not answer within ${loadDeadlineMs} ms`)
      late.abort(error)
      deadline.reject(error)
    })
    try {
      return await Promise.race([work({ signal: late.signal }), deadline.promise])
    } finally {
      timer.cancel()
    }
  }

  async #settleOrDrop(written: readonly Written<V>[], call: StrategyCall | undefined): Promise<void> {
    if (written.length === 0) return
    try {
      await this.#settleCopies(written, call)
    } catch {
      // The store has what the cache cannot hold (too large, say): no copy is right, an old one would be wrong.
      await this.#parts.keyspace.removeMany(written, call)
    }
  }

  /** A save whose outcome is unknown may still happen: the copies go now, and again once the statement can no longer be running. */
  #distrust(keys: readonly string[]): void {
    const { keyspace, clock, loadDeadlineMs } = this.#parts
    const drop = () => {
      for (const key of keys) this.#loads.forget(key)
      void keyspace.dropMany(keys)
    }
    drop()
    clock.after(loadDeadlineMs, drop)
  }
}
