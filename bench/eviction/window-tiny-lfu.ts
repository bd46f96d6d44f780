/**
 * W-TinyLFU as Caffeine has it: an LRU window, a main part of two LRU segments, admission by a count-min sketch, and a window whose share
 * climbs toward the better hit rate (Einziger et al., "TinyLFU", ToS 2017, and "Adaptive Software Cache Management", Middleware 2018).
 */
import { Chain, type Link, linkOf } from './chain.ts'
import type { Policy } from './policy.ts'

const WINDOW_SHARE = 0.01
const PROTECTED_SHARE = 0.8
const SAMPLE_PER_ENTRY = 10
const STEP_SHARE = 0.0625
const STEP_DECAY = 0.98
/** A change of the hit rate by as much begins the climb anew. */
const RESTART = 0.05

export const windowTinyLfu: Policy = {
  name: 'W-TinyLFU',
  create(capacity) {
    const cache = new WindowTinyLfu(capacity)
    return cache
  },
}

class WindowTinyLfu {
  readonly #capacity: number
  readonly #held = new Map<number, Link>()
  readonly #window = new Chain()
  readonly #probation = new Chain()
  readonly #protected = new Chain()
  readonly #sketch: Sketch
  readonly #climber: Climber
  #windowLength: number
  #protectedLength: number

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#sketch = new Sketch(capacity)
    this.#climber = new Climber(capacity)
    this.#windowLength = Math.max(1, Math.floor(capacity * WINDOW_SHARE))
    this.#protectedLength = Math.floor((capacity - this.#windowLength) * PROTECTED_SHARE)
  }

  get size(): number {
    return this.#held.size
  }

  access(key: number): boolean {
    this.#sketch.count(key)
    const found = this.#held.get(key)
    if (found === undefined) this.#insert(key)
    else if (found.chain === this.#window) this.#window.push(found)
    else this.#protected.push(found)
    this.#demote()
    this.#resize(this.#climber.step(found !== undefined))
    return found !== undefined
  }

  #insert(key: number): void {
    const link = linkOf(key)
    this.#held.set(key, link)
    this.#window.push(link)
    if (this.#window.length <= this.#windowLength) {
      if (this.#held.size > this.#capacity) this.#drop(this.#victim())
      return
    }
    const candidate = this.#window.oldest
    const victim = this.#victim()
    this.#probation.push(candidate)
    if (this.#held.size <= this.#capacity) return
    const isBetter = victim.key >= 0 && this.#sketch.estimate(candidate.key) > this.#sketch.estimate(victim.key)
    this.#drop(isBetter ? victim : candidate)
  }

  #victim(): Link {
    return this.#probation.length > 0 ? this.#probation.oldest : this.#protected.oldest
  }

  #drop(link: Link): void {
    link.chain!.remove(link)
    this.#held.delete(link.key)
  }

  #demote(): void {
    while (this.#protected.length > this.#protectedLength) this.#probation.push(this.#protected.oldest)
  }

  /** Moves room between the window and the protected segment, and entries with it. */
  #resize(wanted: number): void {
    if (wanted === 0) return
    const length = wanted > 0 ? Math.min(Math.floor(wanted), this.#protectedLength) : -Math.min(Math.floor(-wanted), this.#windowLength - 1)
    this.#windowLength += length
    this.#protectedLength -= length
    this.#demote()
    while (this.#window.length > this.#windowLength) this.#probation.push(this.#window.oldest)
    const mainLength = this.#capacity - this.#windowLength
    while (this.#probation.length + this.#protected.length > mainLength) this.#window.push(this.#victim())
  }
}

/** Hill climbing: go on while the hit rate rises, turn when it falls, in smaller and smaller steps. */
class Climber {
  readonly #capacity: number
  readonly #sample: number
  #step: number
  #hits = 0
  #accesses = 0
  #formerRate = 0

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#sample = capacity * SAMPLE_PER_ENTRY
    this.#step = -STEP_SHARE * capacity
  }

  /** @returns by how much the window should grow now */
  step(isHit: boolean): number {
    if (isHit) this.#hits++
    if (++this.#accesses < this.#sample) return 0
    const rate = this.#hits / this.#accesses
    const change = rate - this.#formerRate
    const amount = change >= 0 ? this.#step : -this.#step
    this.#step = Math.abs(change) >= RESTART ? STEP_SHARE * this.#capacity * Math.sign(amount) : STEP_DECAY * amount
    this.#formerRate = rate
    this.#hits = 0
    this.#accesses = 0
    return amount
  }
}

/** Four rows of counters up to 15, four a row for each entry; halved after ten counted an entry. */
class Sketch {
  readonly #rowLength: number
  readonly #counters: Uint8Array
  readonly #sample: number
  #counted = 0

  constructor(capacity: number) {
    this.#rowLength = 2 ** Math.max(3, Math.ceil(Math.log2(capacity * 4)))
    this.#counters = new Uint8Array(this.#rowLength * 4)
    this.#sample = capacity * SAMPLE_PER_ENTRY
  }

  estimate(key: number): number {
    let least = 15
    for (let row = 0; row < 4; row++) least = Math.min(least, this.#counters[this.#at(key, row)]!)
    return least
  }

  count(key: number): void {
    let isNew = false
    for (let row = 0; row < 4; row++) {
      const at = this.#at(key, row)
      if (this.#counters[at]! < 15) {
        this.#counters[at]!++
        isNew = true
      }
    }
    if (!isNew || ++this.#counted < this.#sample) return
    for (let at = 0; at < this.#counters.length; at++) this.#counters[at]! >>>= 1
    this.#counted >>>= 1
  }

  #at(key: number, row: number): number {
    return row * this.#rowLength + (mixed(key + row * 0x9e3779b9) & (this.#rowLength - 1))
  }
}

/** A 32-bit mixer (the finish of MurmurHash3). */
export function mixed(number: number): number {
  let hash = Math.imul(number ^ (number >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
