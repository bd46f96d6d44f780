/**
 * A cache: one named, typed namespace of a tier, with one strategy.
 *
 * This class is what applications call. It checks arguments, bounds the call by the caller's signal and deadline, hands it to the strategy
 * (reads by way of `cache-reads.ts`), and reports each outcome exactly once. It decides nothing about freshness, stores or nodes.
 */
import { boundedCall, type CallBounds } from '../bounded-call.ts'
import type { Clock } from '../clock.ts'
import { ConfigurationError, type RingtailError, UnsupportedError } from '../errors.ts'
import type { CacheEventName, Listener } from '../events.ts'
import type { CacheChange } from '../invalidation/change-feed.ts'
import type { SubscribeOptions } from '../invalidation/change-interest.ts'
import type { Groups } from '../invalidation/groups.ts'
import type { Outcomes } from '../metrics/outcomes.ts'
import type { NearLayer } from '../near/near-layer.ts'
import { type CallOptions, checkedTags } from '../options.ts'
import type { Loader, Replicated, RowChange, Settled, Strategy } from '../strategy/strategy.ts'
import type { CacheAdmission } from './cache-admission.ts'
import {
  type ApplyOptions,
  type Call,
  checkedApply,
  checkedCall,
  checkedFunction,
  checkedValue,
  type DeleteOptions,
  distinctKeys,
  type LoaderContext,
  loaderContextOf,
  type ManyLoaderContext,
  type PutOptions,
  parts,
  type ReadOptions,
  refuseEnveloped,
  type TouchOptions,
} from './cache-calls.ts'
import type { CacheEvents } from './cache-events.ts'
import { CacheReads, type CacheReadsParts, outcomeOf, settledPart } from './cache-reads.ts'
import { type CacheReport, type KeyResult, type ReadOutcome, reportOf, resultOf, settledValue } from './cache-results.ts'
import { Namespace } from './namespace.ts'

export type { CacheReport, KeyResult, ReadOutcome } from './cache-results.ts'

export interface CacheParts<V> extends CacheReadsParts<V> {
  readonly name: string
  readonly plain?: boolean | undefined
  /** Undefined where values are plain. */
  readonly groups?: Groups | undefined
  /** Told of the keys that were changed here, where there is no near cache which tells; undefined where nobody needs to be told. */
  readonly announce?: ((keys: readonly string[]) => void) | undefined
  /** Undefined for a cache without a tier. */
  readonly events?: CacheEvents | undefined
}

export class Cache<V> {
  readonly name: string
  readonly #strategy: Strategy<V>
  readonly #outcomes: Outcomes
  readonly #clock: Clock
  /** Whether keys and values lie on the nodes as they are: then without versions and groups, so it cannot be cleared. */
  readonly isPlain: boolean
  readonly #groups: Groups | undefined
  readonly #near: NearLayer<V> | undefined
  readonly #announce: ((keys: readonly string[]) => void) | undefined
  readonly #reads: CacheReads<V>
  readonly #events: CacheEvents | undefined

  /** Made by `tier.cache(name, options)`. */
  constructor(parts: CacheParts<V>) {
    this.name = parts.name
    this.#strategy = parts.strategy
    this.#outcomes = parts.outcomes
    this.#clock = parts.clock
    this.isPlain = parts.plain ?? false
    this.#groups = parts.groups
    this.#near = parts.near
    this.#announce = parts.near === undefined ? parts.announce : (keys) => parts.near!.changed(keys)
    this.#reads = new CacheReads(parts, this.#what)
    this.#events = parts.events
  }

  /** @returns the value; undefined when there is none, in the cache or behind it. Rejects only if neither can answer. */
  get(key: string, call?: ReadOptions): Promise<V | undefined> {
    if (call !== undefined) return this.getWithOutcome(key, call).then(({ value }) => value)
    return this.#reads.get(key)
  }

  /** What `get` would answer from the near cache, at once; undefined where that has no value, or there is none. Asks nobody, and counts what it finds: `cache.peek(id) ?? (await cache.get(id))`. */
  peek(key: string): V | undefined {
    return this.#reads.peek(key)
  }

  /** Like `get`, and tells how the value was come by. */
  async getWithOutcome(key: string, call?: ReadOptions): Promise<ReadOutcome<V>> {
    const read = await this.#reads.one(key, undefined, this.#callOf(call, ['session', 'reads']))
    return { value: read.value, outcome: outcomeOf(read), node: read.node }
  }

  /** @returns the values there are; a key without one is absent. Rejects with the first error only if some key could not be answered. */
  async getMany(keys: Iterable<string>, call?: ReadOptions): Promise<Map<string, V>> {
    return this.#reads.many(distinctKeys(keys, this.#what), undefined, this.#callOf(call, ['session', 'reads']))
  }

  async has(key: string, call?: ReadOptions): Promise<boolean> {
    return (await this.get(key, call)) !== undefined
  }

  /**
   * The cached value, or what `load` brings, which is then cached. One load a key at a time, in the whole fleet; those who ask meanwhile share it.
   * @param load may return undefined for "there is none", which is not cached
   */
  async getOrSet<T extends V | undefined>(
    key: string,
    load: (context: LoaderContext<V>) => T | Promise<T>,
    options?: PutOptions & ReadOptions,
  ): Promise<T> {
    const loader: Loader<V> = async ([only], { signal, of }) => {
      const value = await checkedFunction(load, `${this.#what}: getOrSet: load`)(loaderContextOf(signal, of(only!)))
      return new Map(value === undefined ? [] : [[only!, value as V]])
    }
    return (await this.#reads.one(key, loader, this.#callOf(options, ['ttl', 'grace', 'tags', 'session', 'reads']))).value as T
  }

  /** @param loadMany is given the keys that are missing, all in one call; what it leaves out stays missing */
  async getOrSetMany(
    keys: Iterable<string>,
    loadMany: (missing: readonly string[], context: ManyLoaderContext<V>) => ReadonlyMap<string, V> | Promise<ReadonlyMap<string, V>>,
    options?: PutOptions & ReadOptions,
  ): Promise<Map<string, V>> {
    const loader: Loader<V> = async (missing, context) => {
      const values = await checkedFunction(loadMany, `${this.#what}: getOrSetMany: loadMany`)(missing, context)
      if (!(values instanceof Map))
        throw ConfigurationError.of(`${this.#what}: what getOrSetMany's loader returns`, 'a Map of key to value', values)
      return values
    }
    return this.#reads.many(distinctKeys(keys, this.#what), loader, this.#callOf(options, ['ttl', 'grace', 'tags', 'session', 'reads']))
  }

  /** Loads the keys anew from the store, whatever is cached, and caches what comes. @returns the values there are */
  async refresh(keys: string | Iterable<string>, call?: CallOptions): Promise<Map<string, V>> {
    const list = typeof keys === 'string' ? [keys] : distinctKeys(keys, this.#what)
    const bounds = this.#callOf(call, [])
    return this.#admission.during(async () => {
      const values = new Map<string, V>()
      for (const part of parts(list)) {
        const settled = await this.#changing(part, () => this.#bounded(() => this.#strategy.refreshMany(part, bounds), bounds))
        for (const [at, key] of part.entries()) {
          const value = settledValue(settled[at]!)
          if (value !== undefined) values.set(key, value)
        }
      }
      return values
    })
  }

  /** Acknowledged when the store has it (strategies with a store) or enough owners do (without). */
  set(key: string, value: V, options?: PutOptions): Promise<void> {
    if (options !== undefined) return this.#setOne(key, value, options)
    const admission = this.#admission
    if (admission.closed) return admission.refuseChanges('write', 1)
    admission.begin()
    return new Promise((resolve, reject) => {
      const startMs = this.#clock.monotonic()
      const settle = (): void => {
        this.#wrote(key, true, startMs)
        resolve()
      }
      const fail = (error: unknown): void => {
        this.#wrote(key, false, startMs)
        reject(error)
      }
      try {
        this.#near?.forget([key])
        this.#strategy.write(key, checkedValue(value, key, this.#what), settle, fail)
      } catch (thrown) {
        fail(thrown)
      }
    })
  }

  /** @returns one result a key. A key given twice: its last value is written. */
  async setMany(entries: Iterable<readonly [string, V]>, options?: PutOptions): Promise<Map<string, KeyResult>> {
    if (typeof entries !== 'object' || entries === null || !(Symbol.iterator in entries)) {
      throw ConfigurationError.of(`${this.#what}: entries`, 'a Map, or an iterable of [key, value]', entries)
    }
    const list = [...new Map(entries)]
    for (const [key, value] of list) checkedValue(value, key, this.#what)
    const call = this.#callOf(options, ['ttl', 'grace', 'tags', 'session'])
    return this.#write(
      'write',
      list,
      ([key]) => key,
      call,
      (part) => this.#strategy.writeMany(part, call),
    )
  }

  /**
   * Changes a value by a function of the current one, without losing anybody else's change: compare-and-set, tried again when another was
   * quicker. Each try is bounded, and so is their number; give a deadline to bound the whole.
   * @param change may be called more than once; gets undefined when there is no value
   * @throws ConflictError after 16 tries
   */
  async update(key: string, change: (current: V | undefined) => V | Promise<V>, options?: PutOptions): Promise<V> {
    if (this.#admission.closed) return this.#admission.refuseChanges('write', 1)
    return this.#admission.change('write', async () => {
      const call = this.#callOf(options, ['ttl', 'grace', 'tags', 'session'])
      const checked = async (current: V | undefined): Promise<V> =>
        checkedValue(await checkedFunction(change, `${this.#what}: update: change`)(current), key, this.#what)
      return this.#changing([key], () => this.#bounded(() => this.#strategy.update(key, checked, call), call))
    })
  }

  /** Deletes from the store too, where the strategy has one to write to; of a read-through cache, forgets the cached copy. */
  async delete(key: string, call?: DeleteOptions): Promise<void> {
    const result = (await this.deleteMany([key], call)).get(key)!
    if (!result.ok) throw result.error
  }

  /** @returns one result a key */
  async deleteMany(keys: Iterable<string>, options?: DeleteOptions): Promise<Map<string, KeyResult>> {
    const call = this.#callOf(options, ['session'])
    return this.#write(
      'delete',
      distinctKeys(keys, this.#what),
      (key) => key,
      call,
      (part) => this.#strategy.removeMany(part, call),
    )
  }

  /**
   * Brings what is cached in line with changes of rows that others have committed to the database: for `tier.captureChanges`, or a follower
   * of your own. May be told the same changes again, and late: nothing newer is undone. The store is not written to, but for the version of
   * a row that was made again below the version of its removal. @param changes each key once @returns one result a key
   */
  async applyChanges(changes: readonly RowChange<V>[], options?: ApplyOptions): Promise<Map<string, KeyResult>> {
    const call = checkedApply(options, this.#what)
    return this.#admission.during(async () => {
      const results = new Map<string, KeyResult>()
      for (const part of parts(changes)) {
        const keys = part.map(({ key }) => key)
        const settled = await this.#changing(keys, () => settledPart(part.length, () => this.#strategy.applyMany(part, call)))
        for (const [at, key] of keys.entries()) results.set(key, resultOf(settled[at]!))
      }
      return results
    })
  }

  /** Makes the cached value fresh for a TTL from now, where there is one. @returns whether there was; the store is not asked */
  async touch(key: string, options?: TouchOptions): Promise<boolean> {
    return (await this.touchMany([key], options)).has(key)
  }

  /** @returns the keys of which there was a value. Rejects with the first error only if some key could not be touched. */
  async touchMany(keys: Iterable<string>, options?: TouchOptions): Promise<Set<string>> {
    const call = this.#callOf(options, ['ttl', 'grace'])
    const list = distinctKeys(keys, this.#what)
    return this.#admission.during(async () => {
      const touched = new Set<string>()
      for (const part of parts(list)) {
        const settled = await this.#bounded(() => this.#strategy.touchMany(part, call), call)
        for (const [at, key] of part.entries()) if (settledValue(settled[at]!)) touched.add(key)
      }
      return touched
    })
  }

  /**
   * Deletes every cached value that belongs to one of these groups, whatever its key, in every process: what began to be loaded or written
   * before now is not served any more. The store is not touched.
   */
  async deleteByTag(tags: string | readonly string[], call?: CallOptions): Promise<void> {
    const list = checkedTags(typeof tags === 'string' ? [tags] : tags, `${this.#what}: deleteByTag: tags`)
    await this.#raise(() => this.#grouped('tags').raise(list.map((name) => ({ kind: 'tag', name }))), call)
  }

  /** Deletes every cached value of this cache, as `deleteByTag` does. The store is not touched. */
  async clear(call?: CallOptions): Promise<void> {
    await this.#raise(() => this.#grouped('generations').raise([{ kind: 'all' }]), call)
  }

  /**
   * The keys that begin with a name and the cache's `namespaces` separator, as a cache of their own that can be cleared alone.
   * @throws ConfigurationError for a cache without `namespaces`
   */
  namespace(name: string): Namespace<V> {
    const groups = this.#grouped('namespaces')
    return new Namespace<V>(this, groups.prefixOf(name), (call) => this.#raise(() => groups.raise([{ kind: 'ns', name }]), call))
  }

  /** The tier's events about this cache, and changes of its entries; called soon after, never within a call. @returns the way to stop */
  on<K extends CacheEventName>(name: K, listener: Listener<K>): () => void {
    return this.#heard().on(name, listener)
  }

  /**
   * Tells of changes by anybody in the fleet, by key, by tag, or all. From when it resolves (once all nodes are heard, or after 1 s) each
   * acknowledged change is told, or `changes:missed`: then what was read before may be out of date. One change may be told several times.
   * @param listener is called soon after, one call at a time; a promise that it returns is waited for. It gets names and no values
   * @returns the way to stop @throws ConfigurationError for what cannot be keys or tags; UnsupportedError where values are plain
   */
  async subscribe(options: SubscribeOptions, listener: (change: CacheChange) => void): Promise<() => void> {
    return this.#heard().subscribe(options, listener)
  }

  /** Resolves when what goes on behind callers has come to its end, within its deadlines: for the tier. */
  drained(): Promise<void> {
    return this.#strategy.drained()
  }

  metrics(): CacheReport {
    return reportOf(this.#outcomes, this.#strategy, this.#near?.stats())
  }

  #wrote(key: string, succeeded: boolean, startMs: number): void {
    this.#admission.over()
    this.#announce?.([key])
    this.#outcomes.recordWrite('write', succeeded, this.#clock.monotonic() - startMs)
  }

  async #setOne(key: string, value: V, options: PutOptions): Promise<void> {
    const result = (await this.setMany([[key, value]], options)).get(key)!
    if (!result.ok) throw result.error
  }

  async #write<T>(
    kind: 'write' | 'delete',
    items: readonly T[],
    keyOf: (item: T) => string,
    call: Call | undefined,
    work: (part: readonly T[]) => Promise<Settled<void>[]>,
  ): Promise<Map<string, KeyResult>> {
    const admission = this.#admission
    if (admission.closed && items.length > 0) {
      const error = await admission.refuseChanges(kind, items.length).catch((refusal: RingtailError) => refusal)
      return new Map(items.map((item) => [keyOf(item), { ok: false, error }]))
    }
    return admission.during(async () => {
      const results = new Map<string, KeyResult>()
      for (const part of parts(items)) {
        const startMs = this.#clock.monotonic()
        const settled = await this.#changing(part.map(keyOf), () => settledPart(part.length, () => this.#bounded(() => work(part), call)))
        const ms = this.#clock.monotonic() - startMs
        for (const [at, item] of part.entries()) {
          const result = resultOf(settled[at]!)
          this.#outcomes.recordWrite(kind, result.ok, ms)
          results.set(keyOf(item), result)
        }
      }
      return results
    })
  }

  /** Nothing that was read before the change is over is kept near, whether it succeeds or not. */
  async #changing<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    this.#near?.forget(keys)
    try {
      return await work()
    } finally {
      this.#announce?.(keys)
    }
  }

  #raise(work: () => Promise<Replicated>, options: CallOptions | undefined): Promise<void> {
    return this.#admission.change('delete', async () => {
      const raised = await this.#bounded(work, this.#callOf(options, []))
      if (raised.state === 'unacknowledged') throw raised.error
    })
  }

  #heard(): CacheEvents {
    if (this.#events !== undefined) return this.#events
    throw new UnsupportedError(`${this.#what}: needs a tier to tell of events`)
  }

  #grouped(what: string): Groups {
    if (this.#groups !== undefined) return this.#groups
    throw new UnsupportedError(`${this.#what}: plain values have no ${what}`)
  }

  #bounded<T>(work: () => Promise<T>, bounds: CallBounds | undefined): Promise<T> {
    return boundedCall(work, bounds, this.#clock, this.#what, this.#admission.left)
  }

  get #admission(): CacheAdmission {
    return this.#reads.admission
  }

  get #what(): string {
    return `cache '${this.name}'`
  }

  #callOf(options: (PutOptions & ReadOptions) | undefined, takes: Parameters<typeof checkedCall>[2]): Call | undefined {
    const call = checkedCall(options, this.#what, takes)
    if (call !== undefined && this.isPlain) refuseEnveloped(call, this.#what)
    return call
  }
}
