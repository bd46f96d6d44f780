/**
 * The copies that a process keeps of what it reads most.
 *
 * A copy next to the caller answers in well under a microsecond, but is one more place that can be out of date. So an entry lies here for a
 * bounded time, until its key or all is invalidated; and what was being read at that moment is not kept (`recent-drops.ts`). What is
 * kept is bounded in bytes, and chosen so that a scan does not displace it (`sieve-tiny-lfu.ts`). Values are shared, hence frozen,
 * or copied for each reader (`freeze.ts`).
 *
 * The promise: after `drop(key)` or `clear()`, nothing is returned whose reading began before it.
 */
import type { Clock } from '../clock.ts'
import type { Entry, Version } from '../entry.ts'
import { keyHash } from '../eviction/key-hash.ts'
import { type Ranked, SieveTinyLfu } from '../eviction/sieve-tiny-lfu.ts'
import { copyThrough, type Shared, shared } from './freeze.ts'
import { type Reading, RecentDrops } from './recent-drops.ts'

export type { Reading }

/** What an entry costs beside its key and its bytes: map slot, object, version, tags, its part of the sketch; measured, rounded up. */
export const NEAR_OVERHEAD_BYTES = 352

/** An entry larger than this part of the whole is not kept. */
const LARGEST_SHARE = 1 / 8

/** Entries that each `keep` looks at for expired ones. */
const SWEPT_A_KEEP = 2

export interface NearParts {
  /** Of all entries together, each counted as its key, its bytes on a node and `NEAR_OVERHEAD_BYTES`. */
  readonly maxBytes: number
  /** How long an entry is kept at most, ms, however long it is fresh. */
  readonly ttlMs: number
  /** Every reader gets a copy of its own, rather than the one frozen value. */
  readonly copy: boolean
  readonly clock: Pick<Clock, 'now' | 'monotonic'>
}

/** What a read of the nodes brought, to be kept. */
export interface Keepable<V> extends Pick<Entry<V>, 'value' | 'version' | 'begun' | 'tags' | 'freshUntilMs'> {
  /** The store has no such row: `value` is undefined, and that is an answer. */
  readonly negative: boolean
  /** Of the entry as it lies on a node. */
  readonly sizeBytes: number
}

export interface NearEntry<V> extends Omit<Keepable<V>, 'value' | 'sizeBytes'> {
  /** As it is counted against `maxBytes`. */
  readonly sizeBytes: number
  /** Frozen, or the caller's own copy. */
  value(): V | undefined
}

export interface NearStats {
  readonly entries: number
  /** Of all entries, as they are counted against `maxBytes`. */
  readonly bytes: number
  readonly maxBytes: number
  readonly evicted: number
  readonly expired: number
  /** Removed because their keys were invalidated; not the calls of `drop`. */
  readonly dropped: number
  /** Calls of `clear`. */
  readonly cleared: number
  /** Not kept because the key was invalidated while it was being read, or held something newer. */
  readonly overtaken: number
  /** Not kept because they were too large, of a kind that can be neither frozen nor copied, or no longer fresh. */
  readonly refused: number
}

export class NearCache<V> {
  readonly #parts: NearParts
  readonly #clock: NearParts['clock']
  readonly #held = new Map<string, Held<V>>()
  readonly #policy: SieveTinyLfu<Held<V>>
  readonly #drops = new RecentDrops()
  #broom = this.#held.values()
  #evicted = 0
  #expired = 0
  #dropped = 0
  #cleared = 0
  #overtaken = 0
  #refused = 0

  constructor(parts: NearParts) {
    this.#parts = parts
    this.#clock = parts.clock
    this.#policy = new SieveTinyLfu(parts.maxBytes, (held) => {
      this.#held.delete(held.key)
      this.#evicted++
    })
  }

  /** @returns undefined when there is none, or its time is over */
  get(key: string): NearEntry<V> | undefined {
    const held = this.#held.get(key)
    if (held === undefined) return undefined
    if (held.untilMs <= this.#clock.monotonic()) {
      this.#expire(held)
      return undefined
    }
    this.#policy.read(held)
    return held
  }

  /** To be noted before the nodes are asked, and handed to `keep` with each entry that they bring. It needs no end. */
  reading(): Reading {
    return this.#drops.reading
  }

  /**
   * Keeps what a read of the nodes brought. A value that can be frozen is, here: the one given, which the caller may hand on.
   * @returns whether it was taken: not when its key was dropped since the reading, a newer one is held, it is no longer fresh, larger than an
   *   eighth of the whole, or can be neither frozen nor copied. What is taken may be evicted at once.
   */
  keep(key: string, reading: Reading, entry: Keepable<V>): boolean {
    const { ttlMs, copy, maxBytes } = this.#parts
    const nowMs = this.#clock.monotonic()
    this.#sweep(nowMs)
    const hash = keyHash(key)
    const former = this.#held.get(key)
    const isOlder = former !== undefined && former.untilMs > nowMs && former.version > entry.version
    if (isOlder || this.#drops.hasOvertaken(reading, hash)) {
      this.#overtaken++
      return false
    }
    const untilMs = Math.floor(nowMs + Math.min(ttlMs, entry.freshUntilMs - this.#clock.now()))
    const sizeBytes = key.length + entry.sizeBytes + NEAR_OVERHEAD_BYTES
    const kept = untilMs > nowMs && sizeBytes <= maxBytes * LARGEST_SHARE ? shared(entry.value, copy) : undefined
    if (kept === undefined) {
      this.#refused++
      return false
    }
    if (former !== undefined) this.#remove(former)
    const held = new Held(key, hash, sizeBytes, entry, kept, untilMs)
    this.#held.set(key, held)
    this.#policy.add(held)
    return true
  }

  /** The key was changed: its entry goes, and what is being read of it now will not be kept. */
  drop(key: string): void {
    this.#drops.drop(key)
    const held = this.#held.get(key)
    if (held === undefined) return
    this.#remove(held)
    this.#dropped++
  }

  /** Anything may have changed: all goes, and nothing that is being read now will be kept. */
  clear(): void {
    this.#drops.dropAll()
    this.#held.clear()
    this.#policy.clear()
    this.#broom = this.#held.values()
    this.#cleared++
  }

  stats(): NearStats {
    return {
      entries: this.#held.size,
      bytes: this.#policy.sizeBytes,
      maxBytes: this.#parts.maxBytes,
      evicted: this.#evicted,
      expired: this.#expired,
      dropped: this.#dropped,
      cleared: this.#cleared,
      overtaken: this.#overtaken,
      refused: this.#refused,
    }
  }

  /** So that what nobody asks for any more does not stay until it is evicted. */
  #sweep(nowMs: number): void {
    for (let looked = 0; looked < SWEPT_A_KEEP; looked++) {
      const next = this.#broom.next()
      if (next.done === true) this.#broom = this.#held.values()
      else if (next.value.untilMs <= nowMs) this.#expire(next.value)
    }
  }

  #expire(held: Held<V>): void {
    this.#remove(held)
    this.#expired++
  }

  #remove(held: Held<V>): void {
    this.#held.delete(held.key)
    this.#policy.remove(held)
  }
}

class Held<V> implements NearEntry<V>, Ranked<Held<V>> {
  readonly key: string
  readonly hash: number
  readonly sizeBytes: number
  /** On the monotonic clock, whole ms: such a number, below 2^31, lies in the object itself, which a look-up has at hand, and one with a fraction elsewhere. */
  readonly untilMs: number
  readonly #value: V | undefined
  readonly #isCopied: boolean
  readonly negative: boolean
  readonly version: Version
  readonly begun: number
  readonly tags: readonly string[]
  readonly freshUntilMs: number
  frequency = 0
  epoch = 0
  visited = false
  inMain = false
  older: Held<V> | undefined = undefined
  newer: Held<V> | undefined = undefined

  constructor(key: string, hash: number, sizeBytes: number, entry: Keepable<V>, value: Shared<V | undefined>, untilMs: number) {
    this.key = key
    this.hash = hash
    this.sizeBytes = sizeBytes
    this.untilMs = untilMs
    this.#value = value.value
    this.#isCopied = value.isCopied
    this.negative = entry.negative
    this.version = entry.version
    this.begun = entry.begun
    this.tags = entry.tags
    this.freshUntilMs = entry.freshUntilMs
  }

  value(): V | undefined {
    return this.#isCopied ? copyThrough(this.#value) : this.#value
  }
}
