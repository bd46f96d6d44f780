/**
 * A value's bytes, or an error that says in which cache and why there are none.
 */
import { asError, EncodeError } from '../errors.ts'
import type { Serializer } from './serializer.ts'

/** Where small texts become bytes. */
const scratch = Buffer.allocUnsafeSlow(32 * 1024)
/** Of one UTF-16 unit. */
const MOST_BYTES = 3

/** @returns bytes to be read before this is called again @throws EncodeError for `undefined`, for what the serializer refuses, and above `maxValueBytes` */
export function serialize<V>(value: V, serializer: Serializer<V>, maxValueBytes: number, what: string): Uint8Array {
  if (value === undefined) throw new EncodeError(`${what}: needs a value, but got: undefined, which is what a miss is`)
  let bytes: Uint8Array
  try {
    bytes = serializer.text === undefined ? serializer.encode(value) : utf8Of(serializer.text(value))
  } catch (thrown) {
    const cause = asError(thrown)
    throw new EncodeError(`${what}: ${cause.message}`, { cause })
  }
  if (bytes.length > maxValueBytes) {
    throw new EncodeError(`${what}: needs a value of at most ${maxValueBytes} bytes (maxValueBytes), but got: ${bytes.length} bytes`)
  }
  return bytes
}

function utf8Of(text: string): Uint8Array {
  if (text.length * MOST_BYTES > scratch.length) return Buffer.from(text)
  return scratch.subarray(0, scratch.write(text))
}
