/**
 * A cache: one named, typed namespace of a tier, with one strategy.
 *
 * This class is what applications call. It checks arguments, bounds the call by the caller's signal and deadline, hands it to the
 * strategy, and reports each outcome exactly once. It decides nothing about freshness, stores or nodes.
 */
import type { Clock } from './clock.ts'
import { asError, ConfigurationError, DeadlineError, type RingtailError } from './errors.ts'
import type { CacheMetrics, Outcome, Outcomes } from './metrics/outcomes.ts'
import { type CallOptions, type Duration, durationMs } from './options.ts'
import type { Loader, PutTimes, Read, ReadCall, Settled, StoreCounts, Strategy, StrategyCall } from './strategy/strategy.ts'

/** Options of calls that put a value. */
export interface PutOptions extends CallOptions {
  /** Instead of the cache's own `ttl`. */
  readonly ttl?: Duration | undefined
  /** Instead of the cache's own `grace`. */
  readonly grace?: Duration | undefined
}

/** What a loader is given beside its keys. */
export interface LoaderContext {
  /** Aborted when the load has run into its deadline. */
  readonly signal: AbortSignal
}

/** A value with how it was come by. */
export interface ReadOutcome<V> {
  readonly value: V | undefined
  readonly outcome: Exclude<Outcome, 'error'>
  /** The id of the node that answered; undefined when none did. */
  readonly node: string | undefined
}

/** What became of one key of a batch. */
export type KeyResult = { readonly ok: true } | { readonly ok: false; readonly error: RingtailError | Error }

/** A cache's counts, and those of its store where it has one. */
export interface CacheReport extends CacheMetrics {
  readonly strategy: string
  readonly store: (StoreCounts & { /** Reads answered without asking the store. */ readonly keysAvoided: number }) | undefined
}

export interface CacheParts<V> {
  readonly name: string
  readonly strategy: Strategy<V>
  readonly outcomes: Outcomes
  readonly clock: Clock
}

const OK: KeyResult = Object.freeze({ ok: true })

export class Cache<V> {
  readonly name: string
  readonly #strategy: Strategy<V>
  readonly #outcomes: Outcomes
  readonly #clock: Clock

  /** Made by `tier.cache(name, options)`. */
  constructor(parts: CacheParts<V>) {
    this.name = parts.name
    this.#strategy = parts.strategy
    this.#outcomes = parts.outcomes
    this.#clock = parts.clock
  }

  /** @returns the value; undefined when there is none, in the cache or behind it. Rejects only if neither can answer. */
  get(key: string, call?: CallOptions): Promise<V | undefined> {
    if (call !== undefined) return this.#read(key, undefined, call).then((read) => read.value)
    return new Promise((resolve, reject) => this.#readTo(key, (read) => resolve(read.value), reject))
  }

  /** Like `get`, and tells how the value was come by. */
  async getWithOutcome(key: string, call?: CallOptions): Promise<ReadOutcome<V>> {
    const read = await this.#read(key, undefined, call)
    return { value: read.value, outcome: outcomeOf(read), node: read.node }
  }

  /** @returns the values there are; a key without one is absent. Rejects with the first error only if some key could not be answered. */
  getMany(keys: Iterable<string>, call?: CallOptions): Promise<Map<string, V>> {
    return this.#readMany(keys, undefined, call)
  }

  async has(key: string, call?: CallOptions): Promise<boolean> {
    return (await this.get(key, call)) !== undefined
  }

  /**
   * The cached value, or what `load` brings, which is then cached. One load a key at a time; those who ask meanwhile share it.
   * @param load may return undefined for "there is none", which is not cached
   */
  getOrSet<T extends V | undefined>(key: string, load: (context: LoaderContext) => T | Promise<T>, options?: PutOptions): Promise<T> {
    const loader: Loader<V> = async ([only], context) => {
      const value = await load(context)
      return new Map(value === undefined ? [] : [[only!, value as V]])
    }
    return this.#read(key, loader, options).then((read) => read.value as T)
  }

  /** @param loadMany is given the keys that are missing, all in one call; what it leaves out stays missing */
  getOrSetMany(
    keys: Iterable<string>,
    loadMany: (missing: readonly string[], context: LoaderContext) => ReadonlyMap<string, V> | Promise<ReadonlyMap<string, V>>,
    options?: PutOptions,
  ): Promise<Map<string, V>> {
    const loader: Loader<V> = async (missing, context) => loadMany(missing, context)
    return this.#readMany(keys, loader, options)
  }

  /** Loads the keys anew from the store, whatever is cached, and caches what comes. @returns the values there are */
  async refresh(keys: string | Iterable<string>, call?: CallOptions): Promise<Map<string, V>> {
    const list = distinct(typeof keys === 'string' ? [keys] : keys)
    const settled = await this.#within(this.#strategy.refreshMany(list, this.#callOf(call)), call)
    const values = new Map<string, V>()
    for (const [at, key] of list.entries()) {
      const each = settled[at]!
      if ('error' in each) throw each.error
      if (each.value !== undefined) values.set(key, each.value)
    }
    return values
  }

  /** Acknowledged when the store has it (strategies with a store) or enough owners do (without). */
  async set(key: string, value: V, options?: PutOptions): Promise<void> {
    const result = (await this.setMany([[key, value]], options)).get(key)!
    if (!result.ok) throw result.error
  }

  /** @returns one result a key. A key given twice: its last value is written. */
  setMany(entries: Iterable<readonly [string, V]>, options?: PutOptions): Promise<Map<string, KeyResult>> {
    const list = [...new Map(entries)]
    for (const [key, value] of list) {
      if (value === undefined)
        throw ConfigurationError.of(`cache '${this.name}': the value of '${key}'`, 'a value (undefined is a miss; null is a value)', value)
    }
    const keys = list.map(([key]) => key)
    return this.#write('write', keys, options, (call) => this.#strategy.writeMany(list, call))
  }

  /**
   * Changes a value by a function of the current one, without losing anybody else's change: compare-and-set, tried again when another was quicker.
   * @param change may be called more than once; gets undefined when there is no value
   * @throws ConflictError after 16 tries
   */
  async update(key: string, change: (current: V | undefined) => V | Promise<V>, options?: PutOptions): Promise<V> {
    const startMs = this.#clock.monotonic()
    let succeeded = false
    try {
      const value = await this.#within(this.#strategy.update(key, change, this.#callOf(options)), options)
      succeeded = true
      return value
    } finally {
      this.#outcomes.recordWrite('write', succeeded, this.#clock.monotonic() - startMs)
    }
  }

  /** Deletes from the store too, where the strategy has one to write to; of a read-through cache, forgets the cached copy. */
  async delete(key: string, call?: CallOptions): Promise<void> {
    const result = (await this.deleteMany([key], call)).get(key)!
    if (!result.ok) throw result.error
  }

  /** @returns one result a key */
  deleteMany(keys: Iterable<string>, call?: CallOptions): Promise<Map<string, KeyResult>> {
    const list = distinct(keys)
    return this.#write('delete', list, call, (strategyCall) => this.#strategy.removeMany(list, strategyCall))
  }

  metrics(): CacheReport {
    const counts = this.#outcomes.snapshot()
    const store = this.#strategy.storeCounts()
    const keysAvoided = counts.hits + counts.stale + counts.negativeHits
    return { ...counts, strategy: this.#strategy.name, store: store === undefined ? undefined : { ...store, keysAvoided } }
  }

  /** One read, measured: its outcome is recorded here and nowhere else. @throws ConfigurationError for a key that cannot be one */
  #readTo(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void {
    const startMs = this.#clock.monotonic()
    const settled = (read: Read<V>): void => {
      this.#outcomes.record(outcomeOf(read), read.node, this.#clock.monotonic() - startMs)
      settle(read)
    }
    const failed = (error: unknown): void => {
      this.#outcomes.record('error', undefined, this.#clock.monotonic() - startMs)
      fail(error)
    }
    this.#strategy.read(key, settled, failed, call)
  }

  #read(key: string, loader: Loader<V> | undefined, options: PutOptions | undefined): Promise<Read<V>> {
    const work = new Promise<Read<V>>((resolve, reject) => {
      this.#readTo(key, resolve, reject, { ...this.#callOf(options), loader })
    })
    return this.#within(work, options)
  }

  async #readMany(keys: Iterable<string>, loader: Loader<V> | undefined, options: PutOptions | undefined): Promise<Map<string, V>> {
    const startMs = this.#clock.monotonic()
    const list = distinct(keys)
    const readCall: ReadCall<V> = { ...this.#callOf(options), loader }
    const settled = await this.#within(this.#strategy.readMany(list, readCall), options)
    const ms = this.#clock.monotonic() - startMs
    const values = new Map<string, V>()
    let failure: { readonly error: Error } | undefined
    for (let at = 0; at < list.length; at++) {
      const each = settled[at]!
      if ('error' in each) {
        failure ??= each
        this.#outcomes.record('error', undefined, ms)
      } else {
        this.#outcomes.record(outcomeOf(each.value), each.value.node, ms)
        if (each.value.value !== undefined) values.set(list[at]!, each.value.value)
      }
    }
    if (failure !== undefined) throw failure.error
    return values
  }

  async #write(
    kind: 'write' | 'delete',
    keys: readonly string[],
    options: PutOptions | undefined,
    work: (call: StrategyCall | undefined) => Promise<Settled<void>[]>,
  ): Promise<Map<string, KeyResult>> {
    const startMs = this.#clock.monotonic()
    let settled: Settled<void>[]
    try {
      settled = await this.#within(work(this.#callOf(options)), options)
    } catch (thrown) {
      settled = keys.map(() => ({ error: asError(thrown) }))
    }
    const ms = this.#clock.monotonic() - startMs
    const results = new Map<string, KeyResult>()
    for (const [at, key] of keys.entries()) {
      const each = settled[at]!
      const failed = 'error' in each
      this.#outcomes.recordWrite(kind, !failed, ms)
      results.set(key, failed ? { ok: false, error: each.error } : OK)
    }
    return results
  }

  #callOf(options: PutOptions | undefined): StrategyCall | undefined {
    if (options === undefined) return undefined
    const deadlineMs = options.deadline === undefined ? undefined : durationMs(options.deadline, `cache '${this.name}': deadline`)
    return { deadlineMs, times: timesOf(options, this.name) }
  }

  /** Gives the caller's wait up at its deadline or signal. What is shared with others goes on. */
  #within<T>(work: Promise<T>, call: CallOptions | undefined): Promise<T> {
    if (call?.signal === undefined && call?.deadline === undefined) return work
    const { signal } = call
    if (signal?.aborted === true) {
      work.catch(() => {})
      return Promise.reject(signal.reason)
    }
    return new Promise<T>((resolve, reject) => {
      const deadlineMs = call.deadline === undefined ? undefined : durationMs(call.deadline, `cache '${this.name}': deadline`)
      const timer =
        deadlineMs === undefined
          ? undefined
          : this.#clock.after(deadlineMs, () => giveUp(new DeadlineError(`cache '${this.name}': not done within ${deadlineMs} ms`)))
      const aborted = () => giveUp(signal!.reason)
      const done = () => {
        timer?.cancel()
        signal?.removeEventListener('abort', aborted)
      }
      const giveUp = (reason: unknown) => {
        done()
        reject(reason)
      }
      signal?.addEventListener('abort', aborted, { once: true })
      work.then(resolve, reject).finally(done)
    })
  }
}

function outcomeOf(read: Pick<Read<unknown>, 'state' | 'negative'>): Exclude<Outcome, 'error'> {
  if (read.state === 'fresh') return read.negative ? 'negative' : 'hit'
  return read.state === 'stale' ? 'stale' : 'miss'
}

function timesOf(options: PutOptions | undefined, cache: string): PutTimes | undefined {
  if (options?.ttl === undefined && options?.grace === undefined) return undefined
  return {
    ttlMs: options.ttl === undefined ? undefined : durationMs(options.ttl, `cache '${cache}': ttl`),
    graceMs: options.grace === undefined ? undefined : durationMs(options.grace, `cache '${cache}': grace`),
  }
}

function distinct(keys: Iterable<string>): string[] {
  return [...new Set(keys)]
}
