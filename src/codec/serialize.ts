/**
 * A value's bytes, or an error that says in which cache and why there are none.
 */
import { asError, EncodeError } from '../errors.ts'
import type { Serializer } from './serializer.ts'

/** @throws EncodeError for `undefined`, for what the serializer refuses, and above `maxValueBytes` */
export function serialize<V>(value: V, serializer: Serializer<V>, maxValueBytes: number, what: string): Uint8Array {
  if (value === undefined) throw new EncodeError(`${what}: needs a value, but got: undefined, which is what a miss is`)
  let bytes: Uint8Array
  try {
    bytes = serializer.encode(value)
  } catch (thrown) {
    const cause = asError(thrown)
    throw new EncodeError(`${what}: ${cause.message}`, { cause })
  }
  if (bytes.length > maxValueBytes) {
    throw new EncodeError(`${what}: needs a value of at most ${maxValueBytes} bytes (maxValueBytes), but got: ${bytes.length} bytes`)
  }
  return bytes
}
