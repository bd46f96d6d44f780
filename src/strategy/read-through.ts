/**
 * Read-through: what is missing is loaded from the store; nothing is written.
 *
 * For what is only read here (a page joined from five tables, a report) and changed elsewhere. `delete` forgets the cached copy, so that
 * the next read loads it. Entries are ordered by when their load began, not by row versions: a joined row has none of its own.
 */
import { UnsupportedError } from '../errors.ts'
import type { TellQueue } from '../queues.ts'
import type { StoreReader } from '../store/store.ts'
import { checkedReader } from './checked-store.ts'
import { Reading } from './reading.ts'
import { RowChanges } from './row-changes.ts'
import type {
  Read,
  ReadCall,
  RowChange,
  Settled,
  StoreCounts,
  Strategy,
  StrategyCall,
  StrategyChoice,
  StrategyParts,
  Truth,
} from './strategy.ts'
import { settledOf } from './write-outcome.ts'

/** @param reader a store, or anything that can load: `postgresReader({ query: … })` */
export function readThrough<V>(reader: StoreReader<V>): StrategyChoice<V> {
  checkedReader(reader, 'readThrough: reader')
  return { name: 'read-through', build: (parts) => new ReadThrough(parts, parts.guard?.(reader) ?? reader) }
}

class ReadThrough<V> implements Strategy<V> {
  readonly name = 'read-through'
  readonly truth: Truth<V>
  readonly #parts: StrategyParts<V>
  readonly #reading: Reading<V>

  constructor(parts: StrategyParts<V>, reader: StoreReader<V>) {
    this.#parts = parts
    this.truth = { reader, ordered: false }
    this.#reading = new Reading(parts, reader, false)
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

  write(_key: string, _value: V, _settle: () => void, fail: (error: unknown) => void): void {
    fail(this.#readOnly())
  }

  async writeMany(entries: readonly (readonly [string, V])[]): Promise<Settled<void>[]> {
    return entries.map(() => ({ error: this.#readOnly() }))
  }

  async removeMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<void>[]> {
    const { keyspace } = this.#parts
    for (const key of keys) this.#reading.loads.forget(key)
    return (await keyspace.eraseMany(keys, call)).map(settledOf)
  }

  update(): Promise<V> {
    return Promise.reject(this.#readOnly())
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

  storeCounts(): StoreCounts | undefined {
    return this.#reading.storeCounts()
  }

  #readOnly(): UnsupportedError {
    return new UnsupportedError(
      `cache '${this.#parts.cache}' is read-through and writes nothing: use writeThrough(store) or writeAround(store), or delete() to forget a cached copy`,
    )
  }
}
