/**
 * What this process has acknowledged and the store does not have yet, by key: the newest write of each.
 *
 * It is the journal in memory: what readers are given where the nodes have lost it, and what the flusher takes from. A write that comes before an
 * older one of its key was saved takes its place, so that the store gets the last of them alone.
 */
import type { Version } from '../entry.ts'
import { fullerBy, type QueueTeller, type TellQueue } from '../queues.ts'

export interface PendingWrite {
  readonly key: string
  readonly version: Version
  readonly op: 'save' | 'remove'
  /** The pending entry, as it lies in the journal and on the nodes. */
  readonly bytes: Uint8Array
  /** By the monotonic clock: since when the store is behind on this key, ms. */
  readonly sinceMs: number
  /** The version that the store gave an older write of ours, where that is not below this one's: then it is saved over just that. */
  readonly over?: Version | undefined
  /** The journal did not take it: it lies here and on the nodes alone. */
  readonly isUnjournalled?: boolean | undefined
}

/** What the journal does not take, at most; its own limit bounds the rest. */
const MAX_UNJOURNALLED = 20_000
const MAX_UNJOURNALLED_BYTES = 16 * 1024 * 1024

export class PendingWrites implements QueueTeller {
  readonly #byKey = new Map<string, PendingWrite>()
  bytes = 0
  /** Writes that a later one took the place of before they were saved. */
  coalesced = 0
  /** Of writes that the journal did not take. */
  readonly #unjournalled = { writes: 0, bytes: 0 }

  /** Whether there is room for one more that the journal does not take. */
  get hasRoom(): boolean {
    return this.#unjournalled.writes < MAX_UNJOURNALLED && this.#unjournalled.bytes < MAX_UNJOURNALLED_BYTES
  }

  tellQueues(tell: TellQueue): void {
    const { writes, bytes } = this.#unjournalled
    tell('writesUnjournalled', fullerBy(writes, MAX_UNJOURNALLED, bytes, MAX_UNJOURNALLED_BYTES), MAX_UNJOURNALLED)
  }

  get size(): number {
    return this.#byKey.size
  }

  get(key: string): PendingWrite | undefined {
    return this.#byKey.get(key)
  }

  /** The one that has waited longest is the first. */
  values(): Iterable<PendingWrite> {
    return this.#byKey.values()
  }

  /** @returns false where a newer one of the key waits */
  add(write: PendingWrite): boolean {
    const held = this.#byKey.get(write.key)
    if (held === undefined) {
      this.#byKey.set(write.key, write)
      this.#count(write, 1)
      return true
    }
    if (held.version >= write.version) return false
    // In the older one's place: the key waits since then.
    this.#byKey.set(write.key, { ...write, sinceMs: held.sinceMs, over: write.over ?? held.over })
    this.#count(held, -1)
    this.#count(write, 1)
    this.coalesced++
    return true
  }

  /** The store has this version, under `saved`. What was written since stays, and is saved over that. */
  saved(key: string, version: Version, saved: Version): void {
    const held = this.#byKey.get(key)
    if (held === undefined) return
    if (held.version <= version) this.#remove(held)
    else if (held.version <= saved) this.#byKey.set(key, { ...held, over: saved })
  }

  /** The row is not what the store gave us: what waits is saved over whatever is older. */
  notOver(key: string): void {
    const held = this.#byKey.get(key)
    if (held?.over !== undefined) this.#byKey.set(key, { ...held, over: undefined })
  }

  /** Nothing of this version or an older one is to be saved any more. */
  done(key: string, version: Version): void {
    const held = this.#byKey.get(key)
    if (held !== undefined && held.version <= version) this.#remove(held)
  }

  #remove(write: PendingWrite): void {
    this.#byKey.delete(write.key)
    this.#count(write, -1)
  }

  #count({ bytes, isUnjournalled }: PendingWrite, one: 1 | -1): void {
    this.bytes += one * bytes.length
    if (isUnjournalled !== true) return
    this.#unjournalled.writes += one
    this.#unjournalled.bytes += one * bytes.length
  }
}
