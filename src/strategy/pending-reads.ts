/**
 * Reads beside writes that the store does not have yet: the nodes answer, unless this process has written something newer that they lost.
 *
 * A pending entry is found like any other, by every process. What is added here is what only this process knows: its own writes, which it answers
 * from memory and lays on the nodes again; and that pending entries which nobody saves are noticed by those who read them.
 */
import type { Adoption } from './adoption.ts'
import type { PendingWrite, PendingWrites } from './pending-writes.ts'
import type { Reading } from './reading.ts'
import type { Read, ReadCall, Settled, StrategyParts } from './strategy.ts'

export interface PendingReadsParts<V> {
  readonly strategy: StrategyParts<V>
  readonly reading: Reading<V>
  readonly pending: PendingWrites
  readonly adoption: Adoption<V>
}

export class PendingReads<V> {
  readonly #parts: PendingReadsParts<V>

  constructor(parts: PendingReadsParts<V>) {
    this.#parts = parts
  }

  /** As `Strategy.read`. */
  read(key: string, settle: (read: Read<V>) => void, fail: (error: unknown) => void, call?: ReadCall<V>): void {
    const { reading, pending, adoption } = this.#parts
    const saw = (read: Read<V>): void => {
      if (read.entry?.kind === 'pending') adoption.saw(key, read)
      settle(read)
    }
    if (pending.size === 0 || pending.get(key) === undefined) reading.read(key, saw, fail, call)
    else this.#readOwn(key, call).then(settle, fail)
  }

  /** As `Strategy.readMany`. */
  async readMany(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]> {
    const { pending } = this.#parts
    const own = pending.size === 0 ? [] : keys.filter((key) => pending.get(key) !== undefined)
    if (own.length === 0) return this.#readOthers(keys, call)
    const others = keys.filter((key) => pending.get(key) === undefined)
    const reads = new Map<string, Settled<Read<V>>>()
    const [ofOthers] = await Promise.all([
      this.#readOthers(others, call),
      ...own.map(async (key) => {
        reads.set(
          key,
          await this.#readOwn(key, call).then(
            (value): Settled<Read<V>> => ({ value }),
            (error): Settled<Read<V>> => ({ error }),
          ),
        )
      }),
    ])
    for (const [at, key] of others.entries()) reads.set(key, ofOthers[at]!)
    return keys.map((key) => reads.get(key)!)
  }

  async #readOthers(keys: readonly string[], call?: ReadCall<V>): Promise<Settled<Read<V>>[]> {
    const { reading, adoption } = this.#parts
    const reads = await reading.readMany(keys, call)
    for (const [at, key] of keys.entries()) {
      const read = reads[at]!
      if ('value' in read && read.value.entry?.kind === 'pending') adoption.saw(key, read.value)
    }
    return reads
  }

  /** What the nodes hold, unless this process has written something newer. */
  async #readOwn(key: string, call: ReadCall<V> | undefined): Promise<Read<V>> {
    const { reading, pending, strategy } = this.#parts
    const read = (): Promise<Read<V>> => new Promise((resolve, reject) => reading.read(key, resolve, reject, call))
    const found = await strategy.keyspace.findOne(key, call)
    const own = pending.get(key)
    if (own === undefined || found.seen.version >= own.version)
      return found.state === 'fresh' && call?.loader === undefined ? found : read()
    if (found.state !== 'unreachable') void strategy.keyspace.pending.layAgain([own])
    const value = this.#valueOf(own)
    // Of what is removed a caller's own loader may know.
    if (value === undefined && call?.loader !== undefined) return read()
    return { state: 'fresh', negative: value === undefined, value, node: undefined, entry: undefined, sizeBytes: own.bytes.length }
  }

  #valueOf({ op, bytes }: PendingWrite): V | undefined {
    if (op === 'remove') return undefined
    const read = this.#parts.strategy.keyspace.pending.valueOf(bytes)
    return 'value' in read ? read.value : undefined
  }
}
