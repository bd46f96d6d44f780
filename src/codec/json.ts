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
  return new Json<V>()
}

/**
 * What is only quicker lies on the class. So a serializer that somebody makes of this one, `{ ...json(), decode }`, has its own way alone, and never
 * this one's beside it.
 */
class Json<V> implements Serializer<V> {
  readonly id = 1
  readonly name = 'json'
  readonly encode = (value: V): Uint8Array => Buffer.from(jsonText(value))
  readonly decode = decodeJson<V>

  text(value: V): string {
    return jsonText(value)
  }

  decodeMany(bytes: readonly Uint8Array[], starts: readonly number[], ends: readonly number[]): V[] | undefined {
    return decodeTogether(bytes, starts, ends)
  }
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

const COMMA = 0x2c
const OPENING = 0x5b
const CLOSING = 0x5d
/** Where many texts become one. */
const scratch = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Many texts as one list: a parse asked for once, in which an object of the shape of the one before it takes less time. As many as fit the scratch at a
 * time. Each was written by `jsonText`, or its envelope would not have its checksum; so no text can end in the next one.
 */
function decodeTogether<V>(bytes: readonly Uint8Array[], starts: readonly number[], ends: readonly number[]): V[] | undefined {
  const values: V[] = []
  for (let from = 0; from < bytes.length; ) {
    let size = 1
    let at = from
    for (; at < bytes.length; at++) {
      const length = ends[at]! - starts[at]!
      if (size + length + 1 > scratch.length) break
      scratch[size - 1] = COMMA
      copy(bytes[at]!, starts[at]!, ends[at]!, size)
      size += length + 1
    }
    // One that is larger than the scratch.
    if (at === from) return undefined
    scratch[0] = OPENING
    scratch[size - 1] = CLOSING
    const some = listIn(size)
    if (some === undefined || some.length !== at - from) return undefined
    for (let nth = 0; nth < some.length; nth++) values.push(some[nth] as V)
    from = at
  }
  return values
}

function copy(bytes: Uint8Array, start: number, end: number, to: number): void {
  scratch.set(bytes.subarray(start, end), to)
}

function listIn(size: number): unknown[] | undefined {
  const text = utf8Text(scratch, 0, size)
  if (text.includes('\ufffd')) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * `Buffer`'s own method behind `toString`, about 70 ns quicker a call for it takes no encoding's name; it works on any Uint8Array.
 * Were it ever to go, `toString` takes its place.
 */
const utf8Slice = (Buffer.prototype as { utf8Slice?: (this: Uint8Array, start: number, end: number) => string }).utf8Slice

function utf8Text(bytes: Uint8Array, start: number, end: number): string {
  return utf8Slice === undefined ? Buffer.prototype.toString.call(bytes, 'utf8', start, end) : utf8Slice.call(bytes, start, end)
}
