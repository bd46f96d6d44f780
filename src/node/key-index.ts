/**
 * Which number a key has: a hash table of numbers alone, at about 9 bytes a key, for the keys lie elsewhere.
 *
 * Open addressing with linear probing; what is removed leaves no mark, for those behind it move up (Knuth, TAOCP 3, 6.4, algorithm R).
 */
import { grown, grownLength } from '../eviction/grown.ts'

const SMALLEST = 16
const MOST_FILLED = 3 / 4

export class KeyIndex {
  readonly #hasKey: (number: number, key: string) => boolean
  /** Numbers, each one up; 0: free. */
  #slots = new Int32Array(SMALLEST)
  /** By number. */
  #hashes = new Int32Array(0)
  #size = 0

  /** @param hasKey whether a number that is in the index has this key */
  constructor(hasKey: (number: number, key: string) => boolean) {
    this.#hasKey = hasKey
  }

  get size(): number {
    return this.#size
  }

  get tableBytes(): number {
    return this.#slots.byteLength + this.#hashes.byteLength
  }

  /** @returns -1 when there is none */
  find(key: string, hash: number): number {
    const mask = this.#slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const number = this.#slots[slot]! - 1
      if (number === -1 || (this.#hashes[number] === hash && this.#hasKey(number, key))) return number
    }
  }

  hashOf(number: number): number {
    return this.#hashes[number]!
  }

  /** A key that is not in the index. */
  add(number: number, hash: number): void {
    if (number >= this.#hashes.length) this.#hashes = grown(this.#hashes, grownLength(this.#hashes.length, number + 1))
    this.#hashes[number] = hash
    if (++this.#size > this.#slots.length * MOST_FILLED) this.#double()
    this.#place(number)
  }

  /** A number that is in the index. */
  remove(number: number): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let free = this.#hashes[number]! & mask
    while (slots[free] !== number + 1) free = (free + 1) & mask
    for (let slot = (free + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const wanted = this.#hashes[slots[slot]! - 1]! & mask
      if (((slot - wanted) & mask) < ((slot - free) & mask)) continue
      slots[free] = slots[slot]!
      free = slot
    }
    slots[free] = 0
    this.#size--
  }

  #place(number: number): void {
    const mask = this.#slots.length - 1
    let slot = this.#hashes[number]! & mask
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
    this.#slots[slot] = number + 1
  }

  #double(): void {
    const former = this.#slots
    this.#slots = new Int32Array(former.length * 2)
    for (const slot of former) if (slot !== 0) this.#place(slot - 1)
  }
}
