/**
 * Loads what the cache does not have: each key once at a time in this process, keys that are missing together in one call, every call
 * under a deadline; and fills the cache with what came.
 *
 * Callers are answered as soon as the store has answered; the fill goes on behind them, and the key stays joinable until it is done. A
 * fill carries the version of its row (where the store orders) or that of the moment before the load began: so whatever was written or
 * deleted while it ran is newer, and the nodes refuse the fill.
 */
import type { Version } from '../entry.ts'
import { asError, DeadlineError, RingtailError, StoreError, UnsupportedError } from '../errors.ts'
import type { Put, PutTimes } from '../keyspace.ts'
import { SingleFlight } from '../resilience/single-flight.ts'
import type { Row, StoreReader } from '../store/store.ts'
import type { Loader, StrategyParts } from './strategy.ts'

/** One load's keys, until it leaves at the end of the current turn. */
interface Batch<V> {
  readonly loader: Loader<V> | undefined
  readonly times: PutTimes | undefined
  readonly results: Map<string, PromiseWithResolvers<V | undefined>>
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
  readonly #flights = new SingleFlight<V | undefined>()
  readonly #waiting = new Map<Loader<V> | undefined, Batch<V>>()
  queries = 0
  keysLoaded = 0

  constructor(parts: StrategyParts<V>, reader: StoreReader<V> | undefined, ordered: boolean) {
    this.#parts = parts
    this.#reader = reader
    this.#ordered = ordered
  }

  /** @returns the value, undefined when there is none. Rejects with what the loader threw, or a StoreError or DeadlineError. */
  load(key: string, loader?: Loader<V>, times?: PutTimes): Promise<V | undefined> {
    return this.#flights.join(key, () => this.#board(key, loader, times))
  }

  /** Loads anew: joins nothing that began before now. What still waits to leave has not begun. */
  refresh(key: string, loader?: Loader<V>, times?: PutTimes): Promise<V | undefined> {
    this.#flights.forget(key)
    return this.load(key, loader, times)
  }

  /** What is being loaded under the key is out of date: later readers load again. */
  forget(key: string): void {
    this.#flights.forget(key)
  }

  #board(
    key: string,
    loader: Loader<V> | undefined,
    times: PutTimes | undefined,
  ): { result: Promise<V | undefined>; landed: Promise<void> } {
    let batch = this.#waiting.get(loader)
    if (batch === undefined) {
      batch = { loader, times, results: new Map(), landed: Promise.withResolvers() }
      this.#waiting.set(loader, batch)
      queueMicrotask(() => this.#depart(loader))
    }
    let result = batch.results.get(key)
    if (result === undefined) {
      result = Promise.withResolvers<V | undefined>()
      batch.results.set(key, result)
    }
    return { result: result.promise, landed: batch.landed.promise }
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
    const begunVersion = keyspace.nextVersion()
    try {
      const arrived = await this.#fetch(batch)
      for (const [key, result] of batch.results) {
        const error = arrived.failed?.get(key)
        if (error === undefined) result.resolve(arrived.rows.get(key)?.value)
        else result.reject(error)
      }
      await this.#fill(batch, arrived, { begunMs, begunVersion, loadCostMs: clock.monotonic() - startMs })
    } catch (thrown) {
      for (const result of batch.results.values()) result.reject(thrown)
    } finally {
      batch.landed.resolve()
    }
  }

  async #fetch(batch: Batch<V>): Promise<Arrived<V>> {
    const { clock, loadDeadlineMs, cache } = this.#parts
    const keys = [...batch.results.keys()]
    const late = new AbortController()
    const deadline = Promise.withResolvers<never>()
    const timer = clock.after(loadDeadlineMs, () => {
      const error = new DeadlineError(`cache '${cache}': a load of ${batch.results.size} keys took longer than ${loadDeadlineMs} ms`)
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
    const { keyspace, negative } = this.#parts
    const puts: Put<V>[] = []
    for (const key of batch.results.keys()) {
      if (arrived.failed?.has(key) === true) continue
      const row = arrived.rows.get(key)
      // A loader's own 'nothing' is not remembered: only a store knows that a row does not exist.
      if (row === undefined && (!negative || batch.loader !== undefined)) continue
      const version = row !== undefined && this.#ordered && batch.loader === undefined ? row.version : load.begunVersion
      const { begunMs, loadCostMs } = load
      puts.push({
        key,
        value: row?.value,
        kind: row === undefined ? 'negative' : 'value',
        version,
        times: batch.times,
        begunMs,
        loadCostMs,
      })
    }
    try {
      await keyspace.putMany(puts)
    } catch {
      // One value that cannot be encoded must not keep the others out; the value itself was already handed to its callers.
      await Promise.allSettled(puts.map(async (put) => keyspace.putMany([put])))
    }
  }
}
