/**
 * MD5 of a text, as ketama hashes keys and servers.
 *
 * Ketama asks for it on every look-up, where `node:crypto` costs more in crossing over to OpenSSL than in hashing, and a system in FIPS mode
 * refuses it altogether. A key is short, so one or two blocks of plain 32-bit arithmetic answer sooner. It places keys and protects nothing.
 * Source: RFC 1321; the names of the constants and the four rounds follow it.
 */

/**
 * The digest of the text's UTF-8 bytes as four unsigned 32-bit words, each read from the digest's bytes little-endian, which is how ketama reads them.
 * The array is the caller's to read until the next call.
 */
export function md5Words(text: string): Uint32Array {
  const length = fillBlocks(text)
  state[0] = 0x67452301
  state[1] = 0xefcdab89
  state[2] = 0x98badcfe
  state[3] = 0x10325476
  for (let start = 0; start < length; start += 16) mixBlock(start)
  return state
}

const state = new Uint32Array(4)
const utf8 = new TextEncoder()

/** Reused from call to call; a longer text gets a buffer of its own, so that one long key does not keep its memory. */
const KEPT_BYTES = 4096
const keptBytes = new Uint8Array(KEPT_BYTES)
const keptWords = new DataView(keptBytes.buffer)
let bytes = keptBytes
let words = keptWords

/** Amount of rotation of each step, by round (a row) and step modulo 4. */
const ROTATION = new Uint8Array([7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21])
/** The table T of the RFC: 2^32 × |sin(i + 1)|, whole part. */
const SINES = Int32Array.from({ length: 64 }, (_, step) => Math.floor(2 ** 32 * Math.abs(Math.sin(step + 1))) | 0)

/** Lays text, padding and length out in blocks. @returns the number of 32-bit words */
function fillBlocks(text: string): number {
  const most = text.length * 3 + 72
  bytes = most <= KEPT_BYTES ? keptBytes : new Uint8Array(most)
  words = bytes === keptBytes ? keptWords : new DataView(bytes.buffer)
  const size = utf8.encodeInto(text, bytes).written
  const padded = ((size + 8) >>> 6) * 64 + 64
  bytes.fill(0, size, padded)
  bytes[size] = 0x80
  words.setUint32(padded - 8, size * 8, true)
  words.setUint32(padded - 4, Math.floor(size / 2 ** 29), true)
  return padded >>> 2
}

function mixBlock(start: number): void {
  let a = state[0]! | 0
  let b = state[1]! | 0
  let c = state[2]! | 0
  let d = state[3]! | 0
  for (let step = 0; step < 64; step++) {
    const round = step >>> 4
    let mixed: number
    let word: number
    if (round === 0) {
      mixed = (b & c) | (~b & d)
      word = step
    } else if (round === 1) {
      mixed = (b & d) | (c & ~d)
      word = 5 * step + 1
    } else if (round === 2) {
      mixed = b ^ c ^ d
      word = 3 * step + 5
    } else {
      mixed = c ^ (b | ~d)
      word = 7 * step
    }
    const sum = (a + mixed + SINES[step]! + words.getInt32((start + (word & 15)) * 4, true)) | 0
    const by = ROTATION[round * 4 + (step & 3)]!
    a = d
    d = c
    c = b
    b = (b + ((sum << by) | (sum >>> (32 - by)))) | 0
  }
  state[0] = state[0]! + a
  state[1] = state[1]! + b
  state[2] = state[2]! + c
  state[3] = state[3]! + d
}
