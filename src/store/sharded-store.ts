/**
 * Several stores as one: each key lies in one of them.
 *
 * A batch is split by shard and asked of all of them in parallel, one call a shard. What a shard does not answer is the failure of its keys
 * alone. Each shard runs at most `concurrency` calls at once, those included whose callers have left, with a bounded line for the rest: so a
 * burst of misses cannot take all of a database's connections, nor pile up before one that is silent. `sharding.ts` tells where a key lies.
 */
import { ConfigurationError, type RingtailError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { asStoreError, failed, givenUp } from './batch.ts'
import { textOr, withMethods } from './checked-options.ts'
import { Gate } from './gate.ts'
import { type Sharding, type ShardingOptions, sharding } from './sharding.ts'
import type { Loaded, Removal, Row, Save, SaveStatus, ShardStats, Store, StoreCall, StoreLimits, StoreReader } from './store.ts'

export interface ShardedStoreOptions extends ShardingOptions {
  /** For messages and metrics. Default: `sharded`. */
  readonly name?: string | undefined
  /** Calls under way at once, a shard. Default: 16. */
  readonly concurrency?: number | undefined
  /** Calls waiting in line, a shard; what comes above is failed with an `OverloadError`. Default: 1,024. */
  readonly queue?: number | undefined
}

/** A shard, with the id it has in metrics and messages. Default: `shard-0`, `shard-1` … */
export type Shard<S> = S | { readonly id: string; readonly store: S }

/** @throws ConfigurationError when there is none, two share an id, or only some are versioned or remember removals */
export function shardedStore<V>(shards: readonly Shard<Store<V>>[], options: ShardedStoreOptions = {}): Store<V> {
  const sharded = new Shards<V, Store<V>>(shards, options, 'shardedStore', ['load', 'save', 'remove', 'stats'])
  const versioned = sharded.stores[0]!.versioned
  if (sharded.stores.some((store) => store.versioned !== versioned))
    throw ConfigurationError.of(
      'shardedStore',
      'shards that all have versions, or all have none',
      sharded.stores.map((s) => s.versioned),
    )
  const remembersRemovals = sharded.stores[0]!.remembersRemovals === true
  if (sharded.stores.some((store) => (store.remembersRemovals === true) !== remembersRemovals))
    throw ConfigurationError.of(
      'shardedStore',
      'shards that all remember removals, or all do not',
      sharded.stores.map((store) => store.remembersRemovals === true),
    )
  return {
    name: sharded.name,
    versioned,
    remembersRemovals,
    load: (keys, call) => sharded.load(keys, call),
    save: (saves, call) => sharded.change<Save<V>>(saves, call, (store, part, inner) => store.save(part, inner)),
    remove: (removals, call) => sharded.change<Removal>(removals, call, (store, part, inner) => store.remove(part, inner)),
    stats: () => sharded.stats(),
    prepare: () => sharded.prepare(),
    shardOf: (key) => sharded.shardOf(key),
    limits: sharded.limits,
  }
}

/** The same for stores that are only read, such as `postgresReader`s. */
export function shardedReader<V>(shards: readonly Shard<StoreReader<V>>[], options: ShardedStoreOptions = {}): StoreReader<V> {
  const sharded = new Shards<V, StoreReader<V>>(shards, options, 'shardedReader', ['load', 'stats'])
  return {
    name: sharded.name,
    load: (keys, call) => sharded.load(keys, call),
    stats: () => sharded.stats(),
    shardOf: (key) => sharded.shardOf(key),
    limits: sharded.limits,
  }
}

class Shards<V, S extends StoreReader<V>> {
  readonly name: string
  readonly stores: readonly S[]
  readonly limits: StoreLimits
  readonly #ids: readonly string[]
  readonly #gates: readonly Gate[]
  readonly #sharding: Sharding

  constructor(shards: readonly Shard<S>[], options: ShardedStoreOptions, what: string, methods: readonly string[]) {
    knownOptions(options, what, ['name', 'concurrency', 'queue', 'shardOf', 'slots'])
    if (!Array.isArray(shards) || shards.length === 0) throw ConfigurationError.of(what, 'an array of at least one shard', shards)
    this.name = textOr('sharded', options.name, `${what}: name`)
    const checked = shards.map((shard, index) => checkedShard(shard, index, methods, what))
    this.stores = checked.map(({ store }) => store)
    this.#ids = checked.map(({ id }) => id)
    if (new Set(this.#ids).size < shards.length) throw ConfigurationError.of(what, 'shards with ids of their own', this.#ids)
    this.#sharding = sharding(options, shards.length, what)
    const concurrency = wholeNumber(options.concurrency ?? 16, `${what}: concurrency`, 1)
    const queue = wholeNumber(options.queue ?? 1_024, `${what}: queue`, 0)
    this.limits = { concurrency, queue }
    this.#gates = this.#ids.map((id) => new Gate(`${this.name}: ${id}`, concurrency, queue))
  }

  async load(keys: readonly string[], call: StoreCall | undefined): Promise<Loaded<V>> {
    call?.signal?.throwIfAborted()
    await this.#sharding.prepare()
    const rows = new Map<string, Row<V>>()
    const failures = new Map<string, RingtailError>()
    const parts = this.#split(
      keys,
      (key) => key,
      (key, error) => failures.set(key, error),
    )
    const loads = [...parts].map(async ([shard, part]) => {
      try {
        const loaded = await this.#gates[shard]!.run((inner) => this.stores[shard]!.load(part, inner), call)
        for (const [key, row] of loaded.rows) rows.set(key, row)
        for (const [key, error] of loaded.failed ?? []) failures.set(key, error)
      } catch (thrown) {
        if (call?.signal?.aborted === true) throw call.signal.reason
        const error = asStoreError(thrown, `${this.name}: ${this.#ids[shard]}`)
        for (const key of part) failures.set(key, error)
      }
    })
    await Promise.all(loads)
    return { rows, failed: failures }
  }

  async change<T extends Removal>(
    items: readonly T[],
    call: StoreCall | undefined,
    run: (store: S, part: T[], call: StoreCall) => Promise<SaveStatus[]>,
  ): Promise<SaveStatus[]> {
    const stopped = givenUp(call)
    if (stopped !== undefined) return items.map(() => stopped)
    const statuses: SaveStatus[] = new Array(items.length)
    const fail = ({ index }: { index: number }, error: RingtailError) => {
      statuses[index] = failed(error)
    }
    try {
      await this.#sharding.prepare()
    } catch (thrown) {
      return items.map(() => failed(asStoreError(thrown, this.name)))
    }
    const indexed = items.map((item, index) => ({ item, index }))
    const parts = this.#split(indexed, ({ item }) => item.key, fail)
    const changes = [...parts].map(async ([shard, part]) => {
      const store = this.stores[shard]!
      try {
        const answers = await this.#gates[shard]!.run(
          (inner) =>
            run(
              store,
              part.map(({ item }) => item),
              inner,
            ),
          call,
        )
        for (const [nth, { index }] of part.entries()) statuses[index] = answers[nth]!
      } catch (thrown) {
        // Stores do not reject here: it never got past the gate.
        const error = asStoreError(thrown, `${this.name}: ${this.#ids[shard]}`)
        for (const each of part) fail(each, error)
      }
    })
    await Promise.all(changes)
    return statuses
  }

  prepare(): Promise<void> {
    return this.#sharding.prepare()
  }

  /** The id of a key's shard; '' where that is not known (yet). */
  shardOf(key: string): string {
    try {
      return this.#ids[this.#sharding.shardOf(key)]!
    } catch {
      return ''
    }
  }

  stats(): readonly ShardStats[] {
    return this.stores.flatMap((store, shard) => {
      const stats = store.stats()
      const id = this.#ids[shard]!
      return stats.map((each) => ({ ...each, id: stats.length === 1 ? id : `${id}/${each.id}` }))
    })
  }

  #split<T>(items: readonly T[], keyOf: (item: T) => string, fail: (item: T, error: RingtailError) => void): Map<number, T[]> {
    const parts = new Map<number, T[]>()
    for (const item of items) {
      try {
        const shard = this.#sharding.shardOf(keyOf(item))
        const part = parts.get(shard)
        if (part === undefined) parts.set(shard, [item])
        else part.push(item)
      } catch (thrown) {
        // Only a user's own shardOf throws: it knows no shard for this key.
        fail(item, asStoreError(thrown, this.name))
      }
    }
    return parts
  }
}

function checkedShard<S extends object>(
  shard: Shard<S>,
  index: number,
  methods: readonly string[],
  what: string,
): { id: string; store: S } {
  const where = `${what}: shard ${index}`
  if (typeof shard !== 'object' || shard === null) throw ConfigurationError.of(where, 'a store, or { id, store }', shard)
  if (!('store' in shard)) return { id: `shard-${index}`, store: withMethods(shard, methods, where, 'a store, or { id, store }') }
  knownOptions(shard, where, ['id', 'store'])
  return {
    id: textOr(`shard-${index}`, shard.id, `${where}: id`),
    store: withMethods(shard.store, methods, `${where}: store`, 'a store'),
  }
}
