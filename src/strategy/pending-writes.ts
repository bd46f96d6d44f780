/**
 * What this process has acknowledged and the store does not have yet, by key: the newest write of each.
 *
 * It is the journal in memory: what readers are given where the nodes have lost it, and what the flusher takes from. A write that comes before an
 * older one of its key was saved takes its place, so that the store gets the last of them alone.
 */
import type { Version } from '../entry.ts'

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
}

export class PendingWrites {
  readonly #byKey = new Map<string, PendingWrite>()
  bytes = 0
  /** Writes that a later one took the place of before they were saved. */
  coalesced = 0

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
      this.bytes += write.bytes.length
      return true
    }
    if (held.version >= write.version) return false
    // In the older one's place: the key waits since then.
    this.#byKey.set(write.key, { ...write, sinceMs: held.sinceMs, over: write.over ?? held.over })
    this.bytes += write.bytes.length - held.bytes.length
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
    this.bytes -= write.bytes.length
  }
}
