/**
 * Asks the store, or a caller's own loader, for keys: one call, under a deadline, told of when it fails.
 */
import { asError, DeadlineError, RingtailError, StoreError, UnsupportedError } from '../errors.ts'
import type { Row, StoreReader } from '../store/store.ts'
import { KeyControls } from './key-controls.ts'
import type { LoadAsk } from './load-seat.ts'
import type { Loader, StrategyParts } from './strategy.ts'

/** What came of one call. */
export interface Arrived<V> {
  readonly rows: ReadonlyMap<string, Row<V>>
  readonly failed: ReadonlyMap<string, Error> | undefined
  /** What a loader said of single keys. */
  readonly controls: ReadonlyMap<string, KeyControls<V>>
}

const NO_CONTROLS: ReadonlyMap<string, never> = new Map<string, never>()

export class Asking<V> {
  readonly #parts: StrategyParts<V>
  readonly #reader: StoreReader<V> | undefined
  queries = 0
  keysLoaded = 0

  constructor(parts: StrategyParts<V>, reader: StoreReader<V> | undefined) {
    this.#parts = parts
    this.#reader = reader
  }

  /** Where the database that is asked for it is one of several: which. */
  shardOf({ key, loader }: LoadAsk<V>): string {
    return loader === undefined ? (this.#reader?.shardOf?.(key) ?? '') : ''
  }

  /**
   * Rejects with what the loader threw, or with a StoreError or DeadlineError.
   * @param asks of one loader, or of none @param withinMs of what a load may take, what is left
   */
  async fetch(asks: readonly LoadAsk<V>[], loader: Loader<V> | undefined, withinMs = this.#parts.loadDeadlineMs): Promise<Arrived<V>> {
    const { clock, loadDeadlineMs, cache } = this.#parts
    const late = new AbortController()
    const deadline = Promise.withResolvers<never>()
    const timer = clock.after(withinMs, () => {
      const waited =
        withinMs < loadDeadlineMs ? `, ${Math.round(loadDeadlineMs - withinMs)} ms of waiting for another process among them` : ''
      const error = new DeadlineError(`cache '${cache}': a load of ${asks.length} keys took longer than ${loadDeadlineMs} ms${waited}`)
      late.abort(error)
      deadline.reject(error)
    })
    try {
      const work = loader === undefined ? this.#store(asks, late.signal, withinMs) : this.#call(loader, asks, late.signal)
      return await Promise.race([work, deadline.promise])
    } catch (thrown) {
      if (loader === undefined && this.#reader !== undefined) this.#tell(asError(thrown))
      throw thrown
    } finally {
      timer.cancel()
    }
  }

  async #call(loader: Loader<V>, asks: readonly LoadAsk<V>[], signal: AbortSignal): Promise<Arrived<V>> {
    const what = `cache '${this.#parts.cache}': loader`
    const controls = new Map(asks.map(({ key, stale, times, tags }) => [key, new KeyControls(stale, times, tags, what)]))
    const of = (key: string): KeyControls<V> => controls.get(key) ?? new KeyControls<V>(undefined, undefined, undefined, what)
    const keys = [...controls.keys()]
    const values = await loader(keys, { signal, of })
    const rows = new Map<string, Row<V>>()
    for (const [key, value] of values) if (value !== undefined) rows.set(key, { value, version: 0n })
    const failed = new Map<string, Error>()
    for (const [key, { failure }] of controls) if (failure !== undefined) failed.set(key, failure)
    return { rows, failed, controls }
  }

  async #store(asks: readonly LoadAsk<V>[], signal: AbortSignal, withinMs: number): Promise<Arrived<V>> {
    const { cache } = this.#parts
    if (this.#reader === undefined) throw new UnsupportedError(`cache '${cache}' has no store to load from: give a loader (getOrSet)`)
    this.queries++
    this.keysLoaded += asks.length
    try {
      const { rows, failed } = await this.#reader.load(
        asks.map(({ key }) => key),
        { signal, withinMs },
      )
      const [some] = failed?.values() ?? []
      if (some !== undefined) this.#tell(some)
      return { rows, failed, controls: NO_CONTROLS }
    } catch (thrown) {
      if (thrown instanceof RingtailError) throw thrown
      throw new StoreError(`${this.#reader.name} could not load: ${asError(thrown).message}`, { cause: thrown })
    }
  }

  #tell({ message }: Error): void {
    this.#parts.emit('store:failed', { cache: this.#parts.cache, operation: 'load', reason: message })
  }
}
