/**
 * What one server is known to hold, key by key, as seen from outside: the law that an owner's entries only go forward.
 *
 * While nothing was lost (by expiry, eviction or a restart), what lies under a key is of no earlier stamp than what lay there before, and
 * does not vanish. When something was lost is remembered too: whatever was promised of it before ends there.
 */
import { compareStamps, isEnvelope, kindOf, versionOf } from '../../src/codec/envelope.ts'

interface Known {
  readonly bytes: Uint8Array
  readonly expiresAtMs: number
}

/** Expiry is judged in whole milliseconds, rounded up: an entry is taken as expired a little earlier, so that no promise outlives it. */
const ROUNDING_MS = 1.5

export class OwnerRecord {
  readonly #nowMs: () => number
  readonly #known = new Map<string, Known>()
  readonly #lostAtMs = new Map<string, number>()
  readonly #keys = new Set<string>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Every key that was ever changed here. */
  keys(): Iterable<string> {
    return this.#keys
  }

  /** Takes note of what lies under a key now. @param dropped it was asked to go @returns what must not be, if it is so */
  see(key: string, bytes: Uint8Array | undefined, ttlMs: number | undefined, dropped: boolean): string | undefined {
    this.#keys.add(key)
    if (dropped) this.lose(key)
    const before = this.#current(key)
    const nowMs = this.#nowMs()
    if (bytes === undefined || ttlMs === undefined || !isEnvelope(bytes) || kindOf(bytes) === 'vacant') {
      if (before === undefined) return undefined
      this.#known.delete(key)
      return `${describe(before.bytes)} is gone, and neither expired nor was evicted`
    }
    this.#known.set(key, { bytes: bytes.slice(), expiresAtMs: ttlMs === 0 ? Number.POSITIVE_INFINITY : nowMs + ttlMs })
    if (before === undefined || compareStamps(bytes, before.bytes) >= 0) return undefined
    return `${describe(bytes)} took the place of the newer ${describe(before.bytes)}`
  }

  lose(key: string): void {
    this.#known.delete(key)
    this.#lostAtMs.set(key, this.#nowMs())
  }

  loseAll(): void {
    for (const key of this.#keys) this.lose(key)
  }

  /** When something under the key was last lost; -1: never. */
  lostAtMs(key: string): number {
    this.#current(key)
    return this.#lostAtMs.get(key) ?? -1
  }

  /** The version held; undefined when nothing is, or only a lease. */
  versionOf(key: string): bigint | undefined {
    const known = this.#current(key)
    return known === undefined ? undefined : versionOf(known.bytes)
  }

  #current(key: string): Known | undefined {
    const known = this.#known.get(key)
    if (known === undefined || known.expiresAtMs - ROUNDING_MS > this.#nowMs()) return known
    this.#known.delete(key)
    this.#lostAtMs.set(key, known.expiresAtMs)
    return undefined
  }
}

export function describe(bytes: Uint8Array): string {
  return isEnvelope(bytes) ? `${kindOf(bytes)} @${shortVersion(versionOf(bytes))}` : `${bytes.length} foreign bytes`
}

/** The end of a version, by which versions of one run are told apart. */
export function shortVersion(version: bigint): string {
  return String(version % 10_000_000_000_000n)
}
