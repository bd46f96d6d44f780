/**
 * Bytes as they are: images, rendered pages, what something else has serialized.
 *
 * What is read is a copy of its own. A node's replies arrive many to a chunk, and a view would keep the whole chunk in memory for as long as
 * one value of it lives; besides, the copy is the caller's to change.
 */
import { EncodeError, inspectBriefly } from '../errors.ts'
import type { Serializer } from './serializer.ts'

export function rawBytes(): Serializer<Uint8Array> {
  return {
    id: 3,
    name: 'raw-bytes',
    encode(value) {
      if (!(value instanceof Uint8Array)) throw new EncodeError(`needs a Uint8Array, but got: ${inspectBriefly(value)}`)
      return value
    },
    // Not `slice` of the bytes: Buffer's gives a view, and may draw on the shared pool.
    decode: (bytes, start, end) => new Uint8Array(bytes.subarray(start, end)),
  }
}
