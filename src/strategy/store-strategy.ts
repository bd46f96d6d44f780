/**
 * What write-through and write-around have in common: reads load from the store, writes save to it first.
 */
import type { Replicated } from '../keyspaces/keyspace.ts'
import type { TellQueue } from '../queues.ts'
import type { Store } from '../store/store.ts'
import { Reading } from './reading.ts'
import { RowChanges } from './row-changes.ts'
import { Saving, type Written } from './saving.ts'
import type { Read, ReadCall, RowChange, Settled, StoreCounts, Strategy, StrategyCall, StrategyParts, Truth } from './strategy.ts'

export class StoreStrategy<V> implements Strategy<V> {
  readonly name: string
  readonly truth: Truth<V>
  readonly #parts: StrategyParts<V>
  readonly #ordered: boolean
  readonly #reading: Reading<V>
  readonly #saving: Saving<V>
  readonly #rowChanges: RowChanges<V>

  /** @param copies what happens to the cached copies of a written row */
  constructor(name: string, parts: StrategyParts<V>, store: Store<V>, copies: 'replace' | 'remove') {
    this.name = name
    this.truth = { reader: store, ordered: store.versioned }
    this.#parts = parts
    this.#ordered = store.versioned
    this.#reading = new Reading(parts, store, store.versioned)
    const settle = (written: readonly Written[], call: StrategyCall | undefined) =>
      copies === 'replace' ? this.#replace(written, call) : this.#remove(written, call)
    this.#saving = new Saving(parts, store, this.#reading.loads, settle)
    const outrank = (keys: readonly string[]) => this.#saving.outrank(keys)
    this.#rowChanges = new RowChanges({ strategy: parts, loads: this.#reading.loads, ordered: store.versioned, outrank })
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
    this.#saving.saveMany([[key, value]], call).then(([only]) => ('error' in only! ? fail(only.error) : settle()), fail)
  }

  writeMany(entries: readonly (readonly [string, V])[], call?: StrategyCall): Promise<Settled<void>[]> {
    return this.#saving.saveMany(entries, call)
  }

  removeMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<void>[]> {
    return this.#saving.removeMany(keys, call)
  }

  update(key: string, change: (current: V | undefined) => V | Promise<V>, call?: StrategyCall): Promise<V> {
    return this.#saving.update(key, change, call)
  }

  applyMany(changes: readonly RowChange<V>[], call?: StrategyCall): Promise<Settled<void>[]> {
    return this.#rowChanges.apply(changes, call)
  }

  touchMany(keys: readonly string[], call?: StrategyCall): Promise<Settled<boolean>[]> {
    return this.#reading.touchMany(keys, call)
  }

  async drained(): Promise<void> {
    await Promise.all([this.#reading.loads.drained(), this.#saving.drained()])
  }

  tellQueues(tell: TellQueue): void {
    this.#reading.tellQueues(tell)
    this.#saving.tellQueues(tell)
  }

  storeCounts(): StoreCounts {
    const counts = this.#reading.storeCounts()!
    return { ...counts, queries: counts.queries + this.#saving.queries }
  }

  async #replace(written: readonly Written[], call: StrategyCall | undefined): Promise<readonly string[]> {
    const entries = written.flatMap(({ entry }) => (entry === undefined ? [] : [entry]))
    const gone = written.filter(({ entry }) => entry === undefined)
    const [replaced] = await Promise.all([
      this.#parts.keyspace.putPrepared(entries, call),
      gone.length > 0 ? this.#remove(gone, call) : undefined,
    ])
    this.#tell(replaced, 'write')
    return refusedOf(entries, replaced)
  }

  async #remove(written: readonly Written[], call: StrategyCall | undefined): Promise<readonly string[]> {
    const { keyspace } = this.#parts
    // A store without versions does not say what came after what: nothing that was cached before may stay.
    const removed = this.#ordered
      ? await keyspace.removeMany(written, call)
      : await keyspace.eraseMany(
          written.map(({ key }) => key),
          call,
        )
    this.#tell(removed, 'delete')
    // Where a row is gone, something newer is a later row, and none of ours.
    return refusedOf(written, removed).filter((key) => written.some((each) => each.key === key && each.entry !== undefined))
  }

  /** The store has the write; copies that could not be reached are old until their TTL is over. */
  #tell(replicated: readonly Replicated[], operation: 'write' | 'delete'): void {
    for (const each of replicated) {
      if (each.state === 'unacknowledged') this.#parts.bypassed(operation, each.error.message)
    }
  }
}

function refusedOf(items: readonly { readonly key: string }[], outcomes: readonly Replicated[]): string[] {
  return items.flatMap(({ key }, at) => (outcomes[at]!.state === 'refused' ? [key] : []))
}
