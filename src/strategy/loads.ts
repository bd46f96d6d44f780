/**
 * Loads what the cache does not have: each key once at a time in this process, keys that are missing together in one call, every call
 * under a deadline; and fills the cache with what came.
 *
 * Callers are answered as soon as the store has answered; the fill goes on behind them, and the key stays joinable until it is done. A
 * fill carries the version of its row (where the store orders) or that of the moment before the load began: so whatever was written or
 * deleted while it ran is newer, and the nodes refuse the fill.
 */
import type { Version } from '../entry.ts'
import { asError, DeadlineError, EncodeError, RingtailError, StoreError, UnsupportedError } from '../errors.ts'
import type { Put, PutTimes, Seen } from '../keyspace.ts'
import { type Flight, SingleFlight } from '../resilience/single-flight.ts'
import type { Row, StoreReader } from '../store/store.ts'
import type { Loader, StrategyParts } from './strategy.ts'

interface Boarded<V> {
  readonly result: PromiseWithResolvers<V | undefined>
  readonly seen: Seen
}

/** One load's keys, until it leaves at the end of the current turn. */
interface Batch<V> {
  readonly loader: Loader<V> | undefined
  readonly times: PutTimes | undefined
  readonly keys: Map<string, Boarded<V>>
  readonly landed: PromiseWithResolvers<void>
}

interface Arrived<V> {
  readonly rows: ReadonlyMap<string, Row<V>>
  readonly failed: ReadonlyMap<string, Error> | undefined
}

export class Loads<V> {
  readonly #parts: StrategyParts<V>
  readonly #reader: StoreReader<V> | undefined
  /** Whether fills carry the rows' own versions. */
  readonly #ordered: boolean
  /** Loads of the store, and of callers' own loaders: who asks with a loader is not answered by a store that has no row. */
  readonly #flights = { store: new SingleFlight<V | undefined>(), loader: new SingleFlight<V | undefined>() }
  readonly #waiting = new Map<Loader<V> | undefined, Batch<V>>()
  queries = 0
  keysLoaded = 0

  constructor(parts: StrategyParts<V>, reader: StoreReader<V> | undefined, ordered: boolean) {
    this.#parts = parts
    this.#reader = reader
    this.#ordered = ordered
  }

  /**
   * @param seen what the look-up saw under the key
   * @returns the value, undefined when there is none. Rejects with what the loader threw, or a StoreError or DeadlineError.
   */
  load(key: string, seen: Seen, loader?: Loader<V>, times?: PutTimes): Promise<V | undefined> {
    const flights = loader === undefined ? this.#flights.store : this.#flights.loader
    return flights.join(key, () => this.#board(key, seen, loader, times))
  }

  /** Loads anew: joins nothing that began before now. What still waits to leave has not begun. */
  refresh(key: string, seen: Seen, loader?: Loader<V>, times?: PutTimes): Promise<V | undefined> {
    this.forget(key)
    return this.load(key, seen, loader, times)
  }

  /** What is being loaded under the key is out of date: later readers load again. */
  forget(key: string): void {
    this.#flights.store.forget(key)
    this.#flights.loader.forget(key)
  }

  #board(key: string, seen: Seen, loader: Loader<V> | undefined, times: PutTimes | undefined): Flight<V | undefined> {
    let batch = this.#waiting.get(loader)
    if (batch === undefined) {
      batch = { loader, times, keys: new Map(), landed: Promise.withResolvers() }
      this.#waiting.set(loader, batch)
      queueMicrotask(() => this.#depart(loader))
    }
    let boarded = batch.keys.get(key)
    if (boarded === undefined) {
      boarded = { result: Promise.withResolvers(), seen }
      batch.keys.set(key, boarded)
    }
    return { result: boarded.result.promise, landed: batch.landed.promise }
  }

  #depart(loader: Loader<V> | undefined): void {
    const batch = this.#waiting.get(loader)!
    this.#waiting.delete(loader)
    void this.#fly(batch)
  }

  async #fly(batch: Batch<V>): Promise<void> {
    const { clock, keyspace } = this.#parts
    const begunMs = clock.now()
    const startMs = clock.monotonic()
    // The load begins after what was seen, so it is newer, also where the other's clock is ahead of ours.
    if (!this.#ordered) for (const { seen } of batch.keys.values()) keyspace.observe(seen.version)
    const begunVersion = keyspace.nextVersion()
    try {
      const arrived = await this.#fetch(batch)
      for (const [key, { result }] of batch.keys) {
        const error = arrived.failed?.get(key)
        if (error === undefined) result.resolve(arrived.rows.get(key)?.value)
        else result.reject(error)
      }
      await this.#fill(batch, arrived, { begunMs, begunVersion, loadCostMs: clock.monotonic() - startMs })
    } catch (thrown) {
      for (const { result } of batch.keys.values()) result.reject(thrown)
    } finally {
      batch.landed.resolve()
    }
  }

  async #fetch(batch: Batch<V>): Promise<Arrived<V>> {
    const { clock, loadDeadlineMs, cache } = this.#parts
    const keys = [...batch.keys.keys()]
    const late = new AbortController()
    const deadline = Promise.withResolvers<never>()
    const timer = clock.after(loadDeadlineMs, () => {
      const error = new DeadlineError(`cache '${cache}': a load of ${batch.keys.size} keys took longer than ${loadDeadlineMs} ms`)
      late.abort(error)
      deadline.reject(error)
    })
    try {
      return await Promise.race([
        batch.loader === undefined ? this.#ask(keys, late.signal) : this.#call(batch.loader, keys, late.signal),
        deadline.promise,
      ])
    } finally {
      timer.cancel()
    }
  }

  async #call(loader: Loader<V>, keys: readonly string[], signal: AbortSignal): Promise<Arrived<V>> {
    const values = await loader(keys, { signal })
    const rows = new Map<string, Row<V>>()
    for (const [key, value] of values) if (value !== undefined) rows.set(key, { value, version: 0n })
    return { rows, failed: undefined }
  }

  async #ask(keys: readonly string[], signal: AbortSignal): Promise<Arrived<V>> {
    const { cache, emit } = this.#parts
    if (this.#reader === undefined) throw new UnsupportedError(`cache '${cache}' has no store to load from: give a loader (getOrSet)`)
    this.queries++
    this.keysLoaded += keys.length
    let reason: Error | undefined
    try {
      const { rows, failed } = await this.#reader.load(keys, { signal })
      if (failed !== undefined) for (const error of failed.values()) reason = error
      return { rows, failed }
    } catch (thrown) {
      reason = asError(thrown)
      throw thrown instanceof RingtailError
        ? thrown
        : new StoreError(`${this.#reader.name} could not load: ${reason.message}`, { cause: thrown })
    } finally {
      if (reason !== undefined) emit('store:failed', { cache, operation: 'load', reason: reason.message })
    }
  }

  async #fill(batch: Batch<V>, arrived: Arrived<V>, load: { begunMs: number; begunVersion: Version; loadCostMs: number }): Promise<void> {
    const { keyspace, negative, cache, emit } = this.#parts
    const puts: Put<V>[] = []
    for (const [key, { seen }] of batch.keys) {
      if (arrived.failed?.has(key) === true) continue
      const row = arrived.rows.get(key)
      // A loader's own 'nothing' is not remembered: only a store knows that a row does not exist.
      if (row === undefined && (!negative || batch.loader !== undefined)) continue
      const version = this.#versionOf(batch.loader === undefined ? row : undefined, seen, load.begunVersion)
      const { begunMs, loadCostMs } = load
      const kind = row === undefined ? 'negative' : 'value'
      puts.push({ key, value: row?.value, kind, version, times: batch.times, begunMs, loadCostMs, over: seen })
    }
    for (const outcome of await keyspace.putMany(puts)) {
      if (outcome.state !== 'unacknowledged' || !(outcome.error instanceof EncodeError)) continue
      emit('entry:refused', { cache, reason: outcome.error.message })
    }
  }

  /**
   * Where the store orders, what carries no row's version (an absence, a loader's value) takes the place of what was seen and of nothing
   * newer: any row that is written meanwhile is newer than it. Where it does not, a load is as new as its beginning.
   */
  #versionOf(row: Row<V> | undefined, seen: Seen, begunVersion: Version): Version {
    if (!this.#ordered) return begunVersion
    return row === undefined ? seen.version : row.version
  }
}
