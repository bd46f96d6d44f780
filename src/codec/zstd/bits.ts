/**
 * Bits as zstd lays them: written forward, from the lowest bit of the first byte on, and read backward from a last bit that is set.
 */

export class BitWriter {
  bytes: Uint8Array
  /** How many whole bytes there are. */
  length = 0
  #held = 0
  #count = 0

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  reset(): void {
    this.length = 0
    this.#held = 0
    this.#count = 0
  }

  /** @param count at most 24; what of `value` is above them is left out */
  put(value: number, count: number): void {
    this.#held |= (value & ((1 << count) - 1)) << this.#count
    this.#count += count
    while (this.#count >= 8) {
      this.bytes[this.length++] = this.#held
      this.#held >>>= 8
      this.#count -= 8
    }
  }

  /** Fills the last byte up. */
  close(): void {
    if (this.#count > 0) this.bytes[this.length++] = this.#held
    this.#held = 0
    this.#count = 0
  }

  /** Sets the bit from which it is read backward. */
  closeBackward(): void {
    this.put(1, 1)
    this.close()
  }
}

export class BackwardReader {
  #bytes: Uint8Array
  #start: number
  /** How many bits are left; below 0 when more were read than there were. */
  left: number

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes
    this.#start = start
    const last = end > start ? bytes[end - 1]! : 0
    if (last === 0) throw new Error('zstd: needs a last bit that is set, but got none')
    this.left = (end - start - 1) * 8 + 31 - Math.clz32(last)
  }

  /** @param count at most 24 @returns with zeros for what there is not */
  read(count: number): number {
    this.left -= count
    return this.#at(this.left, count)
  }

  peek(count: number): number {
    return this.#at(this.left - count, count)
  }

  #at(bit: number, count: number): number {
    if (count === 0) return 0
    if (bit < 0) return bit + count <= 0 ? 0 : this.#at(0, bit + count) << -bit
    const bytes = this.#bytes
    const at = this.#start + (bit >> 3)
    const four = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    return (four >>> (bit & 7)) & ((1 << count) - 1)
  }
}
