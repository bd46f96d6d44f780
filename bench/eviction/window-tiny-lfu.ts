/**
 * W-TinyLFU as Caffeine has it: an LRU window, a main part of two LRU segments, admission by a count-min sketch, and a window whose share
 * climbs toward the better hit rate (Einziger et al., "TinyLFU", ToS 2017, and "Adaptive Software Cache Management", Middleware 2018).
 */
import { Chain, type Link, linkOf } from './chain.ts'
import { type Policy, SIZE_ONE, type Sizes } from './policy.ts'

const WINDOW_SHARE = 0.01
const PROTECTED_SHARE = 0.8
const SAMPLE_PER_ENTRY = 10
const STEP_SHARE = 0.0625
const STEP_DECAY = 0.98
/** A change of the hit rate by as much begins the climb anew. */
const RESTART = 0.05

export const windowTinyLfu: Policy = {
  name: 'W-TinyLFU',
  create(capacity, sizes = SIZE_ONE) {
    return new WindowTinyLfu(capacity, sizes)
  },
}

class WindowTinyLfu {
  readonly #capacity: number
  readonly #sizes: Sizes
  readonly #held = new Map<number, Link>()
  readonly #window = new Chain()
  readonly #probation = new Chain()
  readonly #protected = new Chain()
  readonly #sketch: Sketch
  readonly #climber: Climber
  #windowSize: number
  #protectedSize: number

  constructor(capacity: number, sizes: Sizes) {
    this.#capacity = capacity
    this.#sizes = sizes
    const entries = Math.max(1, Math.round(capacity / sizes.mean))
    this.#sketch = new Sketch(entries)
    this.#climber = new Climber(capacity, entries)
    this.#windowSize = Math.max(1, Math.floor(capacity * WINDOW_SHARE))
    this.#protectedSize = Math.floor((capacity - this.#windowSize) * PROTECTED_SHARE)
  }

  get size(): number {
    return this.#window.size + this.#probation.size + this.#protected.size
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
    const link = linkOf(key, this.#sizes.of(key))
    this.#held.set(key, link)
    this.#window.push(link)
    while (this.#window.size > this.#windowSize) {
      const candidate = this.#window.oldest
      this.#probation.push(candidate)
      while (this.size > this.#capacity && candidate.chain !== undefined) this.#compete(candidate)
    }
    while (this.size > this.#capacity) this.#drop(this.#victim())
  }

  #compete(candidate: Link): void {
    const victim = this.#probation.oldest === candidate ? this.#protected.oldest : this.#probation.oldest
    const isBetter = victim.key >= 0 && this.#sketch.estimate(candidate.key) > this.#sketch.estimate(victim.key)
    this.#drop(isBetter ? victim : candidate)
  }

  #victim(): Link {
    return [this.#probation, this.#protected, this.#window].find((chain) => chain.length > 0)!.oldest
  }

  #drop(link: Link): void {
    link.chain!.remove(link)
    this.#held.delete(link.key)
  }

  #demote(): void {
    while (this.#protected.size > this.#protectedSize) this.#probation.push(this.#protected.oldest)
  }

  /** Moves room between the window and the protected segment, and entries with it. */
  #resize(wanted: number): void {
    if (wanted === 0) return
    const amount = wanted > 0 ? Math.min(Math.floor(wanted), this.#protectedSize) : -Math.min(Math.floor(-wanted), this.#windowSize - 1)
    this.#windowSize += amount
    this.#protectedSize -= amount
    this.#demote()
    while (this.#window.size > this.#windowSize) this.#probation.push(this.#window.oldest)
    const mainSize = this.#capacity - this.#windowSize
    while (this.#probation.size + this.#protected.size > mainSize) this.#window.push(this.#victim())
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

  constructor(capacity: number, entries: number) {
    this.#capacity = capacity
    this.#sample = entries * SAMPLE_PER_ENTRY
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
