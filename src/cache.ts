/**
 * A cache: one named, typed namespace of a tier, with one strategy.
 *
 * This class is what applications call. It checks arguments, bounds the call by the caller's signal and deadline, hands it to the
 * strategy, and reports each outcome exactly once. It decides nothing about freshness, stores or nodes.
 */
import { boundedCall, type CallBounds, callBounds } from './bounded-call.ts'
import type { Clock } from './clock.ts'
import { asError, ConfigurationError, type RingtailError } from './errors.ts'
import type { CacheMetrics, Outcome, Outcomes } from './metrics/outcomes.ts'
import { type CallOptions, type Duration, durationMs } from './options.ts'
import type { Loader, PutTimes, Read, Settled, StoreCounts, Strategy, StrategyCall } from './strategy/strategy.ts'

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
    return new Promise((resolve, reject) => {
      const startMs = this.#clock.monotonic()
      const settle = (read: Read<V>): void => {
        this.#outcomes.record(outcomeOf(read), read.node, this.#clock.monotonic() - startMs)
        resolve(read.value)
      }
      const fail = (error: unknown): void => {
        this.#outcomes.record('error', undefined, this.#clock.monotonic() - startMs)
        reject(error)
      }
      this.#strategy.read(key, settle, fail)
    })
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
      const value = await this.#checkedFunction(load, 'getOrSet: load')(context)
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
    const loader: Loader<V> = async (missing, context) => {
      const values = await this.#checkedFunction(loadMany, 'getOrSetMany: loadMany')(missing, context)
      if (!(values instanceof Map))
        throw ConfigurationError.of(`${this.#what}: what getOrSetMany's loader returns`, 'a Map of key to value', values)
      return values
    }
    return this.#readMany(keys, loader, options)
  }

  /** Loads the keys anew from the store, whatever is cached, and caches what comes. @returns the values there are */
  async refresh(keys: string | Iterable<string>, call?: CallOptions): Promise<Map<string, V>> {
    const list = typeof keys === 'string' ? [keys] : this.#distinct(keys)
    const bounds = callBounds(call, this.#what)
    const values = new Map<string, V>()
    for (const part of parts(list)) {
      const settled = await this.#bounded(() => this.#strategy.refreshMany(part, bounds), bounds)
      for (const [at, key] of part.entries()) {
        const each = settled[at]!
        if ('error' in each) throw each.error
        if (each.value !== undefined) values.set(key, each.value)
      }
    }
    return values
  }

  /** Acknowledged when the store has it (strategies with a store) or enough owners do (without). */
  async set(key: string, value: V, options?: PutOptions): Promise<void> {
    const result = (await this.setMany([[key, value]], options)).get(key)!
    if (!result.ok) throw result.error
  }

  /** @returns one result a key. A key given twice: its last value is written. */
  async setMany(entries: Iterable<readonly [string, V]>, options?: PutOptions): Promise<Map<string, KeyResult>> {
    if (typeof entries !== 'object' || !(Symbol.iterator in entries)) {
      throw ConfigurationError.of(`${this.#what}: entries`, 'a Map, or an iterable of [key, value]', entries)
    }
    const list = [...new Map(entries)]
    for (const [key, value] of list) this.#checkedValue(value, key)
    return this.#write(
      'write',
      list,
      ([key]) => key,
      options,
      (part, call) => this.#strategy.writeMany(part, call),
    )
  }

  /**
   * Changes a value by a function of the current one, without losing anybody else's change: compare-and-set, tried again when another was
   * quicker. Each try is bounded, and so is their number; give a deadline to bound the whole.
   * @param change may be called more than once; gets undefined when there is no value
   * @throws ConflictError after 16 tries
   */
  async update(key: string, change: (current: V | undefined) => V | Promise<V>, options?: PutOptions): Promise<V> {
    const startMs = this.#clock.monotonic()
    let succeeded = false
    try {
      const call = this.#callOf(options)
      const checked = async (current: V | undefined): Promise<V> =>
        this.#checkedValue(await this.#checkedFunction(change, 'update: change')(current), key)
      const value = await this.#bounded(() => this.#strategy.update(key, checked, call), call)
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
  async deleteMany(keys: Iterable<string>, call?: CallOptions): Promise<Map<string, KeyResult>> {
    return this.#write(
      'delete',
      this.#distinct(keys),
      (key) => key,
      call,
      (part, strategyCall) => this.#strategy.removeMany(part, strategyCall),
    )
  }

  metrics(): CacheReport {
    const counts = this.#outcomes.snapshot()
    const store = this.#strategy.storeCounts()
    const keysAvoided = counts.hits + counts.stale + counts.negativeHits
    return { ...counts, strategy: this.#strategy.name, store: store === undefined ? undefined : { ...store, keysAvoided } }
  }

  async #read(key: string, loader: Loader<V> | undefined, options: PutOptions | undefined): Promise<Read<V>> {
    const call = this.#callOf(options)
    const startMs = this.#clock.monotonic()
    const work = () => new Promise<Read<V>>((resolve, reject) => this.#strategy.read(key, resolve, reject, { ...call, loader }))
    try {
      const read = await this.#bounded(work, call)
      this.#outcomes.record(outcomeOf(read), read.node, this.#clock.monotonic() - startMs)
      return read
    } catch (error) {
      this.#outcomes.record('error', undefined, this.#clock.monotonic() - startMs)
      throw error
    }
  }

  async #readMany(keys: Iterable<string>, loader: Loader<V> | undefined, options: PutOptions | undefined): Promise<Map<string, V>> {
    const call = this.#callOf(options)
    const values = new Map<string, V>()
    let failure: { readonly error: unknown } | undefined
    for (const part of parts(this.#distinct(keys))) {
      const startMs = this.#clock.monotonic()
      const settled = await this.#settledPart(part, () => this.#strategy.readMany(part, { ...call, loader }), call)
      const ms = this.#clock.monotonic() - startMs
      for (const [at, key] of part.entries()) {
        const each = settled[at]!
        if ('error' in each) {
          failure ??= each
          this.#outcomes.record('error', undefined, ms)
        } else {
          this.#outcomes.record(outcomeOf(each.value), each.value.node, ms)
          if (each.value.value !== undefined) values.set(key, each.value.value)
        }
      }
    }
    if (failure !== undefined) throw failure.error
    return values
  }

  async #write<T>(
    kind: 'write' | 'delete',
    items: readonly T[],
    keyOf: (item: T) => string,
    options: PutOptions | undefined,
    work: (part: readonly T[], call: StrategyCall | undefined) => Promise<Settled<void>[]>,
  ): Promise<Map<string, KeyResult>> {
    const call = this.#callOf(options)
    const results = new Map<string, KeyResult>()
    for (const part of parts(items)) {
      const startMs = this.#clock.monotonic()
      const settled = await this.#settledPart(part, () => work(part, call), call)
      const ms = this.#clock.monotonic() - startMs
      for (const [at, item] of part.entries()) {
        const each = settled[at]!
        const failed = 'error' in each
        this.#outcomes.recordWrite(kind, !failed, ms)
        results.set(keyOf(item), failed ? { ok: false, error: each.error } : OK)
      }
    }
    return results
  }

  /** One part of a batch; a failure of the whole is that of each of its keys. */
  async #settledPart<T>(part: readonly unknown[], work: () => Promise<Settled<T>[]>, call: Call | undefined): Promise<Settled<T>[]> {
    try {
      return await this.#bounded(work, call)
    } catch (thrown) {
      return part.map(() => ({ error: asError(thrown) }))
    }
  }

  #bounded<T>(work: () => Promise<T>, bounds: CallBounds | undefined): Promise<T> {
    return boundedCall(work, bounds, this.#clock, this.#what)
  }

  get #what(): string {
    return `cache '${this.name}'`
  }

  #callOf(options: PutOptions | undefined): Call | undefined {
    const bounds = callBounds(options, this.#what, ['ttl', 'grace'])
    return bounds === undefined ? undefined : { ...bounds, times: timesOf(options!, this.#what) }
  }

  #distinct(keys: Iterable<string>): string[] {
    if (typeof keys !== 'object' || keys === null || !(Symbol.iterator in keys)) {
      throw ConfigurationError.of(`${this.#what}: keys`, 'an array, Set or other iterable of keys', keys)
    }
    return [...new Set(keys)]
  }

  #checkedValue(value: V, key: string): V {
    if (value !== undefined) return value
    throw ConfigurationError.of(`${this.#what}: the value of '${key}'`, 'a value (undefined is a miss; null is a value)', value)
  }

  #checkedFunction<F>(given: F, name: string): F {
    if (typeof given === 'function') return given
    throw ConfigurationError.of(`${this.#what}: ${name}`, 'a function', given)
  }
}

/** A caller's options, checked, as bounds of the call and as what the strategy is told. */
type Call = CallBounds & StrategyCall

/** Keys of one call that are worked on together; a longer call is worked through in parts, so that it cannot crowd out all others. */
const PART = 4_096

function* parts<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += PART) yield items.slice(from, from + PART)
}

function outcomeOf(read: Pick<Read<unknown>, 'state' | 'negative'>): Exclude<Outcome, 'error'> {
  if (read.state === 'fresh') return read.negative ? 'negative' : 'hit'
  return read.state === 'stale' ? 'stale' : 'miss'
}

function timesOf(options: PutOptions, what: string): PutTimes | undefined {
  if (options.ttl === undefined && options.grace === undefined) return undefined
  const ttlMs = options.ttl === undefined ? undefined : durationMs(options.ttl, `${what}: ttl`)
  if (ttlMs === 0) throw ConfigurationError.of(`${what}: ttl`, 'a duration of at least 1 ms', options.ttl)
  return { ttlMs, graceMs: options.grace === undefined ? undefined : durationMs(options.grace, `${what}: grace`) }
}
