/**
 * Cache-aside: the application loads and writes the truth itself, the cache is told.
 *
 * There is no store. `getOrSet` loads what is missing with the caller's loader; `set` and `delete` change the cache alone, the last
 * writer winning by version; `update` is compare-and-set at the key's primary.
 */
import { ConflictError, UnavailableError } from '../errors.ts'
import type { Put, Replicated } from '../keyspaces/keyspace.ts'
import type { TellQueue } from '../queues.ts'
import { Reading } from './reading.ts'
import { backOff, MAX_TRIES } from './retry.ts'
import { RowChanges } from './row-changes.ts'
import type { Read, ReadCall, RowChange, Settled, Strategy, StrategyCall, StrategyChoice, StrategyParts } from './strategy.ts'
import { settledOf } from './write-outcome.ts'

/** The strategy of a cache without a store: session data, rendered pages, whatever the application loads itself. */
export function cacheAside<V>(): StrategyChoice<V> {
  return { name: 'cache-aside', build: (parts) => new CacheAside(parts) }
}

class CacheAside<V> implements Strategy<V> {
  readonly name = 'cache-aside'
  readonly #parts: StrategyParts<V>
  readonly #reading: Reading<V>

  constructor(parts: StrategyParts<V>) {
    this.#parts = parts
    this.#reading = new Reading(parts, undefined, false)
  }

  read(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void {
    this.#reading.read(key, settle, fail, call)
  }

  readMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]> {
    return this.#reading.readMany(keys, call)
  }

  refreshMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<V | undefined>[]> {
    return this.#reading.refreshMany(keys, call)
  }

  write(key: string, value: V, settle: () => void, fail: (error: unknown) => void, call?: StrategyCall): void {
    const settled = (outcome: Replicated): void => {
      if (outcome.state === 'unacknowledged') fail(outcome.error)
      else settle()
    }
    this.#parts.keyspace.write(this.#putOf(key, value, call), settled, call)
  }

  async writeMany(entries: readonly (readonly [string, V])[], call?: StrategyCall): Promise<Settled<void>[]> {
    const puts = entries.map(([key, value]) => this.#putOf(key, value, call))
    return (await this.#parts.keyspace.writeMany(puts, call)).map(settledOf)
  }

  async removeMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<void>[]> {
    const { keyspace } = this.#parts
    for (const key of keys) this.#reading.loads.forget(key)
    return (await keyspace.eraseMany(keys, call)).map(settledOf)
  }

  async update(key: string, change: (current: V | undefined) => V | Promise<V>, call?: StrategyCall): Promise<V> {
    const { keyspace } = this.#parts
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      // The primary judges, so what it holds is what has to be named, whomever the cache's reads ask.
      const found = await keyspace.findOne(key, { ...call, read: 'primary' })
      if (found.state === 'unreachable') throw found.failure ?? new UnavailableError('no owner of the key answered')
      const value = await change(found.value)
      keyspace.observe(found.seen.version)
      const outcome = await keyspace.compareAndSet(this.#putOf(key, value, call), found.expected, call)
      if (outcome.state === 'applied') return value
      if (outcome.state === 'unacknowledged') throw outcome.error
      await backOff(attempt, this.#parts)
    }
    throw new ConflictError(`update of '${key}': others changed it each time in ${MAX_TRIES} tries`)
  }

  applyMany(changes: readonly RowChange<V>[], call?: StrategyCall): Promise<Settled<void>[]> {
    return new RowChanges({ strategy: this.#parts, loads: this.#reading.loads, ordered: false }).apply(changes, call)
  }

  touchMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<boolean>[]> {
    return this.#reading.touchMany(keys, call)
  }

  tellQueues(tell: TellQueue): void {
    this.#reading.tellQueues(tell)
  }

  drained(): Promise<void> {
    return this.#reading.loads.drained()
  }

  storeCounts(): undefined {
    return undefined
  }

  #putOf(key: string, value: V, call: StrategyCall | undefined): Put<V> {
    this.#reading.loads.forget(key)
    const { keyspace } = this.#parts
    const version = keyspace.nextVersion()
    return { key, value, kind: 'value', version, times: call?.times, tags: call?.tags, begunMs: keyspace.nowMs(), loadCostMs: 0 }
  }
}
