/**
 * Several stores as one: each key lies in one of them.
 *
 * A batch is split by shard and asked of all of them in parallel, one call a shard. What a shard does not answer is the failure of its keys
 * alone. Each shard runs at most `concurrency` calls at once, with a bounded line for the rest, so that a burst of misses cannot take all of a
 * database's connections. `sharding.ts` tells where a key lies.
 */
import { ConfigurationError, type RingtailError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { asStoreError, failed, givenUp } from './batch.ts'
import { Gate } from './gate.ts'
import { type Sharding, type ShardingOptions, sharding } from './sharding.ts'
import type { Loaded, Removal, Row, Save, SaveStatus, ShardStats, Store, StoreCall, StoreReader } from './store.ts'

export interface ShardedStoreOptions extends ShardingOptions {
  /** For messages and metrics. Default: `sharded`. */
  readonly name?: string
  /** Calls under way at once, a shard. Default: 16. */
  readonly concurrency?: number
  /** Calls waiting in line, a shard; what comes above is failed with an `OverloadError`. Default: 1,024. */
  readonly queue?: number
}

/** A shard, with the id it has in metrics and messages. Default: `shard-0`, `shard-1` … */
export type Shard<S> = S | { readonly id: string; readonly store: S }

/** @throws ConfigurationError when there is none, two share an id, or only some are versioned */
export function shardedStore<V>(shards: readonly Shard<Store<V>>[], options: ShardedStoreOptions = {}): Store<V> {
  const sharded = new Shards<V, Store<V>>(shards, options, 'shardedStore')
  const versioned = sharded.stores[0]!.versioned
  if (sharded.stores.some((store) => store.versioned !== versioned))
    throw ConfigurationError.of(
      'shardedStore',
      'shards that all have versions, or all have none',
      sharded.stores.map((s) => s.versioned),
    )
  return {
    name: sharded.name,
    versioned,
    load: (keys, call) => sharded.load(keys, call),
    save: (saves, call) => sharded.change<Save<V>>(saves, call, (store, part) => store.save(part, call)),
    remove: (removals, call) => sharded.change<Removal>(removals, call, (store, part) => store.remove(part, call)),
    stats: () => sharded.stats(),
  }
}

/** The same for stores that are only read, such as `postgresReader`s. */
export function shardedReader<V>(shards: readonly Shard<StoreReader<V>>[], options: ShardedStoreOptions = {}): StoreReader<V> {
  const sharded = new Shards<V, StoreReader<V>>(shards, options, 'shardedReader')
  return {
    name: sharded.name,
    load: (keys, call) => sharded.load(keys, call),
    stats: () => sharded.stats(),
  }
}

class Shards<V, S extends StoreReader<V>> {
  readonly name: string
  readonly stores: readonly S[]
  readonly #ids: readonly string[]
  readonly #gates: readonly Gate[]
  readonly #sharding: Sharding

  constructor(shards: readonly Shard<S>[], options: ShardedStoreOptions, what: string) {
    knownOptions(options, what, ['name', 'concurrency', 'queue', 'shardOf', 'slots'])
    if (!Array.isArray(shards) || shards.length === 0) throw ConfigurationError.of(what, 'at least one shard', shards)
    this.name = options.name ?? 'sharded'
    this.stores = shards.map((shard) => ('load' in shard ? shard : shard.store))
    this.#ids = shards.map((shard, index) => ('load' in shard ? `shard-${index}` : shard.id))
    if (new Set(this.#ids).size < shards.length) throw ConfigurationError.of(what, 'shards with ids of their own', this.#ids)
    this.#sharding = sharding(options, shards.length, what)
    const concurrency = wholeNumber(options.concurrency ?? 16, `${what}: concurrency`, 1)
    const queue = wholeNumber(options.queue ?? 1_024, `${what}: queue`, 0)
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
        const loaded = await this.#gates[shard]!.run(() => this.stores[shard]!.load(part, call), call?.signal)
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
    run: (store: S, part: T[]) => Promise<SaveStatus[]>,
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
          () =>
            run(
              store,
              part.map(({ item }) => item),
            ),
          call?.signal,
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
