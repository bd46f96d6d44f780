/**
 * XXH32 (Yann Collet, https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md), the checksum at the end of an entry.
 *
 * In TypeScript, because entries are small and many: crossing into native code costs more than hashing a few hundred bytes here (256 B:
 * about 100 ns against 250 to 330 ns of zlib's crc32 and the view that it needs; from 4 KiB on they are equal). A change within one aligned
 * word of four bytes is always noticed, any other but once in 2^32.
 */

const PRIME_1 = 0x9e3779b1 | 0
const PRIME_2 = 0x85ebca77 | 0
const PRIME_3 = 0xc2b2ae3d | 0
const PRIME_4 = 0x27d4eb2f | 0
const PRIME_5 = 0x165667b1 | 0
const STRIPE_BYTES = 16

/** Of [start, end), which the caller knows to lie within `bytes`. @returns a uint32 */
export function xxh32(bytes: Uint8Array, start: number, end: number, seed: number): number {
  const view = viewOf(bytes.buffer)
  const stop = bytes.byteOffset + end
  let at = bytes.byteOffset + start
  let hash: number
  if (end - start >= STRIPE_BYTES) {
    let a = (seed + PRIME_1 + PRIME_2) | 0
    let b = (seed + PRIME_2) | 0
    let c = seed | 0
    let d = (seed - PRIME_1) | 0
    const last = stop - STRIPE_BYTES
    do {
      a = round(a, view.getInt32(at, true))
      b = round(b, view.getInt32(at + 4, true))
      c = round(c, view.getInt32(at + 8, true))
      d = round(d, view.getInt32(at + 12, true))
      at += STRIPE_BYTES
    } while (at <= last)
    hash = (rotated(a, 1) + rotated(b, 7) + rotated(c, 12) + rotated(d, 18)) | 0
  } else {
    hash = (seed + PRIME_5) | 0
  }
  hash = (hash + (end - start)) | 0
  for (; at + 4 <= stop; at += 4) hash = Math.imul(rotated((hash + Math.imul(view.getInt32(at, true), PRIME_3)) | 0, 17), PRIME_4)
  for (; at < stop; at++) hash = Math.imul(rotated((hash + Math.imul(view.getUint8(at), PRIME_5)) | 0, 11), PRIME_1)
  return avalanche(hash)
}

function round(lane: number, input: number): number {
  return Math.imul(rotated((lane + Math.imul(input, PRIME_2)) | 0, 13), PRIME_1)
}

function rotated(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function avalanche(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  const twice = Math.imul(once ^ (once >>> 13), PRIME_3)
  return (twice ^ (twice >>> 16)) >>> 0
}

/** The view of the last buffer: a batch of replies arrives in one, and making a view for each costs as much as hashing it. */
let lastView: DataView = new DataView(new ArrayBuffer(0))

function viewOf(buffer: ArrayBufferLike): DataView {
  if (lastView.buffer !== buffer) lastView = new DataView(buffer)
  return lastView
}
