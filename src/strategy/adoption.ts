/**
 * Pending entries that nobody saves: found by those who read them, and saved by one of them.
 *
 * Who wrote one saves it as a rule within a moment. But a process can be killed between the nodes and its journal, lose its disk, or lose
 * sight of an owner for too long, and a pending entry has no end of its own. So one that is read, and older than a write that is on its way should
 * be, is taken up by its reader as if it were the reader's own. That is safe whoever else is at it: a save carries the entry's version, and the
 * store keeps what is newer.
 */
import type { JournalRecord } from '../journal/journal.ts'
import type { PendingWrites } from './pending-writes.ts'
import type { Read, StrategyParts } from './strategy.ts'

/** Keys that were looked at, and are not looked at again for a while. */
const MAX_SEEN = 1_024

export interface AdoptionParts<V> {
  readonly strategy: StrategyParts<V>
  readonly pending: PendingWrites
  readonly afterMs: number
  /** Takes a write over. */
  readonly adopt: (record: JournalRecord) => Promise<void>
}

export class Adoption<V> {
  readonly #parts: AdoptionParts<V>
  /** By key: when it was looked at last, by the monotonic clock. */
  readonly #seen = new Map<string, number>()

  constructor(parts: AdoptionParts<V>) {
    this.#parts = parts
  }

  /** A reader has found this. */
  saw(key: string, { entry }: Read<V>): void {
    if (entry?.kind !== 'pending' || !this.#isOld(entry.begun) || this.#parts.pending.get(key) !== undefined) return
    const { clock } = this.#parts.strategy
    const nowMs = clock.monotonic()
    const seenMs = this.#seen.get(key)
    if (seenMs !== undefined && nowMs - seenMs < this.#parts.afterMs) return
    this.#seen.delete(key)
    if (this.#seen.size >= MAX_SEEN) this.#seen.delete(this.#seen.keys().next().value!)
    this.#seen.set(key, nowMs)
    // What cannot be looked at now is looked at when it is read again.
    this.#take(key).catch(() => {})
  }

  /** The reader may have been told by an owner that is behind: all of them are asked. */
  async #take(key: string): Promise<void> {
    const { strategy, pending, adopt } = this.#parts
    const found = await strategy.keyspace.pending.at(key)
    if (found === undefined || !this.#isOld(found.begun) || pending.get(key) !== undefined) return
    await adopt({ cache: strategy.cache, key, op: found.op, version: found.version, body: found.bytes })
  }

  /** @param begun low 32 bits of ms since the epoch */
  #isOld(begun: number): boolean {
    const { strategy, afterMs } = this.#parts
    return (((strategy.keyspace.nowMs() % 2 ** 32) - begun) | 0) >= afterMs
  }
}
