/**
 * Entries in memory, bounded in bytes.
 *
 * When there is no room, entries that have an expiry make some; those without one are kept, as `volatile-*` policies of Redis do. Which goes is
 * decided as in the near cache (`PackedSieveTinyLfu`): what is read often stays, and a scan does not displace it. An entry is a number: its key and bytes lie packed
 * in pages (`packed-records.ts`), and what is known of it in tables, so that one costs some 90 bytes beside its key and its bytes, and not a thousand.
 *
 * Expiry needs no timer: an entry past its time is gone when it is looked at, and every store looks at two more, so the dead do not pile up.
 */
import { grown, grownLength } from '../eviction/grown.ts'
import { keyHash } from '../eviction/key-hash.ts'
import { PackedSieveTinyLfu } from '../eviction/packed-sieve-tiny-lfu.ts'
import { KeyIndex } from './key-index.ts'
import { PackedRecords, storedBytes } from './packed-records.ts'

/** What an entry costs beside its record: its part of all tables, and of what they have in reserve; measured, rounded up. */
const TABLE_BYTES = 48

/** What an entry counts: for 200 bytes of key and value 282. @param keyLength in bytes */
export function entryBytes(keyLength: number, bytesLength: number): number {
  return storedBytes(keyLength, bytesLength) + TABLE_BYTES
}

const NEVER = Number.POSITIVE_INFINITY
/** Expiry of a number that is no entry's. */
const FREE = Number.NEGATIVE_INFINITY
const SWEPT_A_STORE = 2

export class BoundedEntries {
  readonly maxBytes: number
  readonly #nowMs: () => number
  readonly #gone: (key: string) => void
  readonly #records = new PackedRecords()
  readonly #index = new KeyIndex((entry, key) => this.#records.hasKey(entry, key))
  readonly #policy: PackedSieveTinyLfu
  /** By entry, on the clock that is handed in. */
  #expiresAtMs = new Float64Array(0)
  readonly #freeNumbers: number[] = []
  /** Numbers below this have been given out. */
  #numbers = 0
  /** Of entries that are never evicted. */
  #keptBytes = 0
  /** Where the search for expired entries goes on. */
  #broom = 0
  evicted = 0
  expired = 0

  /** @param nowMs a clock that never goes back @param gone told of each key that was evicted or found expired */
  constructor(maxBytes: number, nowMs: () => number, gone: (key: string) => void) {
    this.maxBytes = maxBytes
    this.#nowMs = nowMs
    this.#gone = gone
    this.#policy = new PackedSieveTinyLfu(maxBytes, {
      hashOf: (entry) => this.#index.hashOf(entry),
      sizeOf: (entry) => this.#sizeOf(entry),
      evict: (entry) => this.#evict(entry),
    })
  }

  get size(): number {
    return this.#index.size
  }

  get usedBytes(): number {
    return this.#keptBytes + this.#policy.sizeBytes
  }

  /** What all of it takes in memory, but for entries larger than 32 KiB. */
  get tableBytes(): number {
    return this.#records.tableBytes + this.#index.tableBytes + this.#policy.tableBytes + this.#expiresAtMs.byteLength
  }

  /** Entries may come and go meanwhile: those that stay are met, once. */
  *keys(): Iterable<string> {
    for (let entry = 0; entry < this.#numbers; entry++) if (this.#expiresAtMs[entry] !== FREE) yield this.#records.keyOf(entry)
  }

  /** A copy of the bytes under a key, without counting it as read. */
  peek(key: string): Uint8Array | undefined {
    const entry = this.#find(key)
    return entry === -1 ? undefined : this.#records.bytesOf(entry)
  }

  /** A copy of the bytes under a key. */
  get(key: string): Uint8Array | undefined {
    const entry = this.#find(key)
    if (entry === -1) return undefined
    if (this.#expiresAtMs[entry] !== NEVER) this.#policy.read(entry)
    return this.#records.bytesOf(entry)
  }

  /** @returns remaining time, ms; 0: no expiry; undefined: no such key */
  ttlMs(key: string): number | undefined {
    const entry = this.#find(key)
    if (entry === -1) return undefined
    const expiresAtMs = this.#expiresAtMs[entry]!
    return expiresAtMs === NEVER ? 0 : Math.max(1, Math.ceil(expiresAtMs - this.#nowMs()))
  }

  /**
   * Stores a copy of `bytes`. What was under the key is gone in either case: it was overtaken.
   * @param ttlMs 0: no expiry, never evicted @returns false when there is no room even without all that may go
   */
  set(key: string, bytes: Uint8Array, ttlMs: number): boolean {
    this.#sweep()
    const hash = keyHash(key)
    const former = this.#index.find(key, hash)
    const sizeBytes = entryBytes(Buffer.byteLength(key), bytes.length)
    const isKept = ttlMs === 0
    const formerKept = former !== -1 && this.#expiresAtMs[former] === NEVER ? this.#sizeOf(former) : 0
    if (sizeBytes > this.maxBytes - (this.#keptBytes - formerKept)) {
      if (former !== -1) this.#remove(former)
      return false
    }
    const expiresAtMs = isKept ? NEVER : this.#nowMs() + Math.max(1, Math.ceil(ttlMs))
    if (former !== -1 && !isKept && this.#expiresAtMs[former] !== NEVER) this.#replace(former, key, bytes, expiresAtMs)
    else this.#add(former, hash, key, bytes, expiresAtMs)
    return true
  }

  /** Puts `bytes`, of the same length, in the place of those there: age, mark and expiry stay. */
  rewrite(key: string, bytes: Uint8Array): void {
    const entry = this.#find(key)
    if (entry !== -1) this.#records.rewrite(entry, bytes)
  }

  /** Gives an entry that has an expiry another one. @param ttlMs from now, above 0 */
  prolong(key: string, ttlMs: number): void {
    const entry = this.#find(key)
    if (entry !== -1 && this.#expiresAtMs[entry] !== NEVER) this.#expiresAtMs[entry] = this.#nowMs() + Math.ceil(ttlMs)
  }

  delete(key: string): boolean {
    const entry = this.#index.find(key, keyHash(key))
    if (entry === -1) return false
    this.#remove(entry)
    return true
  }

  /** One that is not past its time; -1: none. */
  #find(key: string): number {
    const entry = this.#index.find(key, keyHash(key))
    if (entry === -1 || this.#expiresAtMs[entry]! > this.#nowMs()) return entry
    this.#expire(entry)
    return -1
  }

  /** The key keeps its number, so that who walks over all meets it once, and its place among the others: it is the same key that is read. */
  #replace(entry: number, key: string, bytes: Uint8Array, expiresAtMs: number): void {
    const formerBytes = this.#sizeOf(entry)
    this.#records.remove(entry)
    this.#records.put(entry, key, bytes)
    this.#expiresAtMs[entry] = expiresAtMs
    this.#policy.resized(entry, formerBytes)
  }

  /** @param former the key's number so far, which it keeps; -1: none */
  #add(former: number, hash: number, key: string, bytes: Uint8Array, expiresAtMs: number): void {
    if (former !== -1) this.#remove(former)
    if (former !== -1) this.#freeNumbers.pop()
    const entry = former !== -1 ? former : (this.#freeNumbers.pop() ?? this.#numbers++)
    if (entry >= this.#expiresAtMs.length) this.#expiresAtMs = grown(this.#expiresAtMs, grownLength(this.#expiresAtMs.length, entry + 1))
    this.#expiresAtMs[entry] = expiresAtMs
    this.#records.put(entry, key, bytes)
    this.#index.add(entry, hash)
    if (expiresAtMs === NEVER) {
      this.#keptBytes += this.#sizeOf(entry)
      this.#policy.limit(this.maxBytes - this.#keptBytes)
    } else {
      this.#policy.reserve(entry + 1)
      this.#policy.add(entry)
    }
  }

  #sizeOf(entry: number): number {
    return entryBytes(this.#records.keyLengthOf(entry), this.#records.lengthOf(entry))
  }

  #expire(entry: number): void {
    const key = this.#records.keyOf(entry)
    this.#remove(entry)
    this.expired++
    this.#gone(key)
  }

  #evict(entry: number): void {
    const key = this.#records.keyOf(entry)
    this.#forget(entry)
    this.evicted++
    this.#gone(key)
  }

  #remove(entry: number): void {
    if (this.#expiresAtMs[entry] === NEVER) {
      this.#keptBytes -= this.#sizeOf(entry)
      this.#policy.limit(this.maxBytes - this.#keptBytes)
    } else {
      this.#policy.remove(entry)
    }
    this.#forget(entry)
  }

  #forget(entry: number): void {
    this.#index.remove(entry)
    this.#records.remove(entry)
    this.#expiresAtMs[entry] = FREE
    this.#freeNumbers.push(entry)
  }

  #sweep(): void {
    if (this.#numbers === 0) return
    const nowMs = this.#nowMs()
    for (let looked = 0; looked < SWEPT_A_STORE; looked++) {
      const entry = this.#broom < this.#numbers ? this.#broom : 0
      this.#broom = entry + 1
      const expiresAtMs = this.#expiresAtMs[entry]!
      if (expiresAtMs !== FREE && expiresAtMs <= nowMs) this.#expire(entry)
    }
  }
}
