/**
 * Big-endian numbers out of bytes and into them, by arithmetic.
 *
 * On the path of a hit neither a DataView nor a bigint is worth making, and `Buffer`'s own readers are not there on a plain Uint8Array. The
 * caller has checked the bounds: beyond them the result is NaN or nonsense, never an exception.
 */

export function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

export function uint32(bytes: Uint8Array, at: number): number {
  return bytes[at]! * 2 ** 24 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
}

export function putUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** @param value whole, from 0 to 2^48 − 1 */
export function putUint48(bytes: Uint8Array, at: number, value: number): void {
  putUint16(bytes, at, Math.floor(value / 2 ** 32))
  putUint32(bytes, at + 2, value % 2 ** 32)
}
