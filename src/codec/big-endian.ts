/**
 * Big-endian numbers out of bytes, by arithmetic.
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
