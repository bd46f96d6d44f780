/**
 * A value's bytes, or an error that says in which cache and why there are none.
 */
import { asError, EncodeError } from '../errors.ts'
import type { Serializer } from './serializer.ts'

/** Where small texts become bytes that are copied from there at once. */
const scratch = Buffer.allocUnsafeSlow(32 * 1024)
/** Of one UTF-16 unit. */
const MOST_BYTES = 3

/** @throws EncodeError for `undefined`, for what the serializer refuses, and above `maxValueBytes` */
export function serialize<V>(value: V, serializer: Serializer<V>, maxValueBytes: number, what: string): Uint8Array {
  return fitting(value, (each) => serializer.encode(each), maxValueBytes, what)
}

/** `serialize` for who copies the bytes before anything else is serialized: until then they are right, and no longer. */
export function serializeBriefly<V>(value: V, serializer: Serializer<V>, maxValueBytes: number, what: string): Uint8Array {
  return fitting(
    value,
    (each) => (serializer.text === undefined ? serializer.encode(each) : briefly(serializer.text(each))),
    maxValueBytes,
    what,
  )
}

function fitting<V>(value: V, encode: (value: V) => Uint8Array, maxValueBytes: number, what: string): Uint8Array {
  if (value === undefined) throw new EncodeError(`${what}: needs a value, but got: undefined, which is what a miss is`)
  let bytes: Uint8Array
  try {
    bytes = encode(value)
  } catch (thrown) {
    const cause = asError(thrown)
    throw new EncodeError(`${what}: ${cause.message}`, { cause })
  }
  if (bytes.length > maxValueBytes) {
    throw new EncodeError(`${what}: needs a value of at most ${maxValueBytes} bytes (maxValueBytes), but got: ${bytes.length} bytes`)
  }
  return bytes
}

function briefly(text: string): Uint8Array {
  if (text.length * MOST_BYTES > scratch.length) return Buffer.from(text)
  return scratch.subarray(0, scratch.write(text))
}
