/**
 * JSON, the default: any language can read it, and nothing parses faster in V8 than what V8 parses itself.
 *
 * Dates become strings and objects with a `toJSON` what it returns, as JSON has it. What JSON would change in silence (functions, NaN, a
 * Map, `undefined` in an array …) is refused, see `plain-data.ts`. `__proto__` as a key is data, on both ways.
 */
import { isUtf8 } from 'node:buffer'
import { EncodeError } from '../errors.ts'
import { type Keeps, unfitPart } from './plain-data.ts'
import type { Serializer } from './serializer.ts'

const JSON_KEEPS: Keeps = { bigint: false, bytes: false, undefined: false, nonFinite: false, illFormed: true }

export function json<V = unknown>(): Serializer<V> {
  return { id: 1, name: 'json', encode: (value) => Buffer.from(jsonText(value)), text: jsonText, decode: decodeJson<V> }
}

function jsonText(value: unknown): string {
  const unfit = unfitPart(value, JSON_KEEPS)
  if (unfit !== undefined) throw new EncodeError(`needs a value that JSON can give back, but got: ${unfit.problem} at value${unfit.path}`)
  const text = JSON.stringify(value)
  if (text === undefined) throw new EncodeError('needs a value that JSON can give back, but got: a toJSON that returned undefined')
  return text
}

function decodeJson<V>(bytes: Uint8Array, start: number, end: number): V {
  const text = utf8Text(bytes, start, end)
  // Decoding puts U+FFFD where bytes are no UTF-8: where there is none (and in a text of one-byte characters the search is over at once), all were.
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) throw new SyntaxError('not UTF-8')
  return JSON.parse(text)
}

/**
 * `Buffer`'s own method behind `toString`, about 70 ns quicker a call for it takes no encoding's name; it works on any Uint8Array.
 * Were it ever to go, `toString` takes its place.
 */
const utf8Slice = (Buffer.prototype as { utf8Slice?: (this: Uint8Array, start: number, end: number) => string }).utf8Slice

function utf8Text(bytes: Uint8Array, start: number, end: number): string {
  return utf8Slice === undefined ? Buffer.prototype.toString.call(bytes, 'utf8', start, end) : utf8Slice.call(bytes, start, end)
}
