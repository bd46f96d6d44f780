/**
 * Entries in memory, bounded in bytes.
 *
 * When there is no room, entries that have an expiry make some; those without one are kept, as `volatile-*` policies of Redis do. Which
 * goes is decided by SIEVE (Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024): a queue in order of arrival, a mark on what was read, a
 * hand that walks from the oldest, forgives the marked once and takes the first unmarked. O(1) amortised, and a read writes one bit.
 *
 * Expiry needs no timer: an entry past its time is gone when it is looked at, and every store looks at two more, so the dead do not pile up.
 */

/** What an entry costs beside its key and bytes: map slot, object and buffer header, rounded up. */
export const ENTRY_OVERHEAD_BYTES = 160

interface Held {
  readonly key: string
  bytes: Uint8Array
  /** On the clock that is handed in; Infinity: none. */
  expiresAtMs: number
  readonly sizeBytes: number
  visited: boolean
  older: Held | undefined
  newer: Held | undefined
}

export class BoundedEntries {
  readonly maxBytes: number
  readonly #nowMs: () => number
  readonly #gone: (key: string) => void
  readonly #held = new Map<string, Held>()
  #oldest: Held | undefined
  #newest: Held | undefined
  #hand: Held | undefined
  /** Where the search for expired entries goes on. */
  #broom: Held | undefined
  usedBytes = 0
  evicted = 0
  expired = 0

  /** @param nowMs a clock that never goes back @param gone told of each key that was evicted or found expired */
  constructor(maxBytes: number, nowMs: () => number, gone: (key: string) => void) {
    this.maxBytes = maxBytes
    this.#nowMs = nowMs
    this.#gone = gone
  }

  get size(): number {
    return this.#held.size
  }

  keys(): Iterable<string> {
    return this.#held.keys()
  }

  /** The bytes under a key, without marking it as read. */
  peek(key: string): Uint8Array | undefined {
    return this.#alive(key)?.bytes
  }

  get(key: string): Uint8Array | undefined {
    const held = this.#alive(key)
    if (held === undefined) return undefined
    held.visited = true
    return held.bytes
  }

  /** @returns remaining time, ms; 0: no expiry; undefined: no such key */
  ttlMs(key: string): number | undefined {
    const held = this.#alive(key)
    if (held === undefined) return undefined
    return held.expiresAtMs === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.ceil(held.expiresAtMs - this.#nowMs()))
  }

  /**
   * Stores a copy of `bytes`. What was under the key is gone in either case: it was overtaken.
   * @param ttlMs 0: no expiry, never evicted @returns false when there is no room even without all that may go
   */
  set(key: string, bytes: Uint8Array, ttlMs: number): boolean {
    const visited = this.#held.get(key)?.visited ?? false
    this.delete(key)
    this.#sweep()
    const sizeBytes = key.length + bytes.length + ENTRY_OVERHEAD_BYTES
    if (sizeBytes > this.maxBytes || !this.#makeRoom(sizeBytes)) return false
    const copy = Buffer.allocUnsafeSlow(bytes.length)
    copy.set(bytes)
    const expiresAtMs = ttlMs === 0 ? Number.POSITIVE_INFINITY : this.#nowMs() + Math.max(1, Math.ceil(ttlMs))
    const held: Held = { key, bytes: copy, expiresAtMs, sizeBytes, visited, older: undefined, newer: undefined }
    this.#held.set(key, held)
    this.usedBytes += sizeBytes
    if (ttlMs !== 0) this.#append(held)
    return true
  }

  /** Puts `bytes`, of the same length, in the place of those there: age, mark and expiry stay. */
  rewrite(key: string, bytes: Uint8Array): void {
    const held = this.#alive(key)
    if (held !== undefined) held.bytes = bytes
  }

  /** Gives an entry that has an expiry another one. @param ttlMs from now, above 0 */
  prolong(key: string, ttlMs: number): void {
    const held = this.#alive(key)
    if (held !== undefined && held.expiresAtMs !== Number.POSITIVE_INFINITY) held.expiresAtMs = this.#nowMs() + Math.ceil(ttlMs)
  }

  delete(key: string): boolean {
    const held = this.#held.get(key)
    if (held === undefined) return false
    this.#remove(held)
    return true
  }

  #alive(key: string): Held | undefined {
    const held = this.#held.get(key)
    if (held === undefined || held.expiresAtMs > this.#nowMs()) return held
    this.#expire(held)
    return undefined
  }

  #expire(held: Held): void {
    this.#remove(held)
    this.expired++
    this.#gone(held.key)
  }

  #makeRoom(sizeBytes: number): boolean {
    while (this.usedBytes + sizeBytes > this.maxBytes) {
      const victim = this.#nextVictim()
      if (victim === undefined) return false
      this.#remove(victim)
      this.evicted++
      this.#gone(victim.key)
    }
    return true
  }

  /** Ends: each entry walked over loses its mark, so the second round finds one. */
  #nextVictim(): Held | undefined {
    let hand = this.#hand ?? this.#oldest
    while (hand?.visited === true) {
      hand.visited = false
      hand = hand.newer ?? this.#oldest
    }
    this.#hand = hand
    return hand
  }

  /** Looks at two entries, from the oldest on and around. */
  #sweep(): void {
    const nowMs = this.#nowMs()
    for (let looked = 0; looked < 2; looked++) {
      const held = this.#broom ?? this.#oldest
      if (held === undefined) return
      this.#broom = held.newer
      if (held.expiresAtMs <= nowMs) this.#expire(held)
    }
  }

  #append(held: Held): void {
    held.older = this.#newest
    if (this.#newest === undefined) this.#oldest = held
    else this.#newest.newer = held
    this.#newest = held
  }

  #remove(held: Held): void {
    this.#held.delete(held.key)
    this.usedBytes -= held.sizeBytes
    if (held.expiresAtMs === Number.POSITIVE_INFINITY) return
    if (this.#hand === held) this.#hand = held.newer
    if (this.#broom === held) this.#broom = held.newer
    if (held.older === undefined) this.#oldest = held.newer
    else held.older.newer = held.newer
    if (held.newer === undefined) this.#newest = held.older
    else held.newer.older = held.older
  }
}
