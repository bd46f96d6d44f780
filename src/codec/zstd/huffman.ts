/**
 * Huffman coding of literals, as zstd has it (RFC 8878, 4.2), for tables over the bytes of ASCII.
 *
 * A value with other bytes among its literals is left to zlib, and so is what this cannot describe: the weights are written out, four bits each.
 */
import type { BitWriter } from './bits.ts'

/** Literals below this have a code. */
export const CODED_BYTES = 128
/** Longest code, bits. */
export const MAX_CODE_BITS = 11

export interface HuffmanTable {
  /** By byte: how many bits its code has, and the code. */
  readonly lengths: Uint8Array
  readonly codes: Uint16Array
  /** The longest code's length. */
  readonly log: number
  /** By the next `log` bits: the byte, and how many of them are its code. */
  readonly bytes: Uint8Array
  readonly counts: Uint8Array
}

/** Code lengths for counts; every byte gets a code. */
export function codeLengths(counts: ArrayLike<number>): Uint8Array {
  // Halved counts flatten the tree until no code is too long.
  let weights = Float64Array.from({ length: CODED_BYTES }, (_, byte) => Math.max(1, counts[byte]! * 16))
  for (;;) {
    const lengths = depthsOf(weights)
    if (lengths.every((length) => length <= MAX_CODE_BITS)) return lengths
    weights = weights.map((weight) => Math.ceil(weight / 2) + 1)
  }
}

export function huffmanTable(lengths: Uint8Array): HuffmanTable {
  const log = Math.max(...lengths)
  const codes = new Uint16Array(CODED_BYTES)
  const bytes = new Uint8Array(1 << log)
  const counts = new Uint8Array(1 << log)
  let cell = 0
  // The longest codes come first, and of one length the lowest byte.
  for (let length = log; length > 0; length--) {
    for (let byte = 0; byte < CODED_BYTES; byte++) {
      if (lengths[byte] !== length) continue
      const cells = 1 << (log - length)
      codes[byte] = cell >> (log - length)
      bytes.fill(byte, cell, cell + cells)
      counts.fill(length, cell, cell + cells)
      cell += cells
    }
  }
  return { lengths, codes, log, bytes, counts }
}

/** The weights of all bytes but the last, which follows from them. */
export function describeLengths(out: BitWriter, lengths: Uint8Array): void {
  const log = Math.max(...lengths)
  out.put(127 + CODED_BYTES - 1, 8)
  for (let byte = 0; byte < CODED_BYTES; byte += 2) {
    const second = byte + 1 < CODED_BYTES - 1 ? log + 1 - lengths[byte + 1]! : 0
    out.put(((log + 1 - lengths[byte]!) << 4) | second, 8)
  }
}

/** @returns undefined for what `describeLengths` does not make */
export function readLengths(bytes: Uint8Array, start: number): { readonly lengths: Uint8Array; readonly end: number } | undefined {
  const end = start + 1 + CODED_BYTES / 2
  if (bytes[start] !== 127 + CODED_BYTES - 1 || end > bytes.length) return undefined
  const weights = new Uint8Array(CODED_BYTES)
  let total = 0
  for (let byte = 0; byte < CODED_BYTES - 1; byte++) {
    const two = bytes[start + 1 + (byte >> 1)]!
    weights[byte] = byte % 2 === 0 ? two >> 4 : two & 15
    if (weights[byte] === 0 || weights[byte]! > MAX_CODE_BITS) return undefined
    total += 1 << (weights[byte]! - 1)
  }
  const log = 32 - Math.clz32(total)
  const rest = (1 << log) - total
  if (log > MAX_CODE_BITS || (rest & (rest - 1)) !== 0) return undefined
  weights[CODED_BYTES - 1] = 32 - Math.clz32(rest)
  return { lengths: weights.map((weight) => log + 1 - weight), end }
}

/** Depths in a Huffman tree. */
function depthsOf(weights: Float64Array): Uint8Array {
  const parents = new Int16Array(2 * CODED_BYTES - 1)
  const sums = new Float64Array(2 * CODED_BYTES - 1)
  const open = Array.from(weights, (_, node) => node)
  sums.set(weights)
  for (let node = CODED_BYTES; node < parents.length; node++) {
    open.sort((a, b) => sums[b]! - sums[a]!)
    for (const child of [open.pop()!, open.pop()!]) {
      parents[child] = node
      sums[node]! += sums[child]!
    }
    open.push(node)
  }
  const depths = new Uint8Array(parents.length)
  for (let node = parents.length - 2; node >= 0; node--) depths[node] = depths[parents[node]!]! + 1
  return depths.slice(0, CODED_BYTES)
}
