/**
 * Changed keys that wait to be looked at, each a bound after its change was heard of: by then the change has to be everywhere.
 *
 * A change is told once by each owner, and a hot key changes all the time: a key waits once. Which keys are taken is decided by their hash, so
 * that processes with one share look at the same ones and a key is followed over time; what is beyond the queue's limit is counted.
 */
import { xxh32 } from '../codec/xxh32.ts'

/** Keys that wait at a time. */
const MAX_WAITING = 10_000

export class SampledChanges {
  readonly #share: number
  readonly #waitMs: number
  /** Key → when it is due, monotonic ms; in the order of that, for all wait equally long. */
  readonly #waiting = new Map<string, number>()
  #skipped = 0

  constructor(share: number, waitMs: number) {
    this.#share = share
    this.#waitMs = waitMs
  }

  get size(): number {
    return this.#waiting.size
  }

  get skipped(): number {
    return this.#skipped
  }

  get nextDueMs(): number | undefined {
    const [first] = this.#waiting.values()
    return first
  }

  changed(wires: readonly string[], nowMs: number): void {
    for (const wire of wires) {
      if (this.#waiting.has(wire) || !this.#isSampled(wire)) continue
      if (this.#waiting.size === MAX_WAITING) this.#skipped++
      else this.#waiting.set(wire, nowMs + this.#waitMs)
    }
  }

  /** Takes what is due, at most so many. */
  take(nowMs: number, most: number): string[] {
    const taken: string[] = []
    for (const [wire, dueMs] of this.#waiting) {
      if (dueMs > nowMs || taken.length === most) break
      taken.push(wire)
      this.#waiting.delete(wire)
    }
    return taken
  }

  #isSampled(wire: string): boolean {
    if (this.#share >= 1) return true
    const bytes = Buffer.from(wire)
    return xxh32(bytes, 0, bytes.length, 0) < this.#share * 2 ** 32
  }
}
