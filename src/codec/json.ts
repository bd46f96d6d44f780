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
 * What is only quicker lies on the class, and the rest cannot be changed. So a serializer that somebody makes of this one, `{ ...json(), decode }`, has
 * its own way alone, and not this one's beside it.
 */
class Json<V> implements Serializer<V> {
  readonly id = 1
  readonly name = 'json'
  readonly encode = (value: V): Uint8Array => Buffer.from(jsonText(value))
  readonly decode = decodeJson<V>

  constructor() {
    Object.freeze(this)
  }

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
/** Between texts, for no string of JSON has one in it. */
const LINE_END = 0x0a
const LIST = { opening: 0x5b, closing: 0x5d } as const
const OBJECT = { opening: 0x7b, closing: 0x7d } as const
const SEPARATOR_BYTES = 2
/** Where many texts become one. */
const scratch = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Many objects as one list: a parse asked for once, in which one of the shape of the one before it takes less time. As many as fit the scratch at a
 * time.
 *
 * Their texts are nearly surely JSON, for `jsonText` wrote them. Where some are not, the list does not parse or has another length: a text that
 * goes on in the next, and one that is two, would have to be made for each other.
 */
function decodeTogether<V>(bytes: readonly Uint8Array[], starts: readonly number[], ends: readonly number[]): V[] | undefined {
  const values: V[] = []
  for (let from = 0; from < bytes.length; ) {
    let size = SEPARATOR_BYTES
    let at = from
    for (; at < bytes.length; at++) {
      const each = bytes[at]!
      const start = starts[at]!
      const end = ends[at]!
      if (each[start] !== OBJECT.opening || each[end - 1] !== OBJECT.closing) return undefined
      if (size + end - start + SEPARATOR_BYTES > scratch.length) break
      scratch[size - 2] = COMMA
      scratch[size - 1] = LINE_END
      scratch.set(each.subarray(start, end), size)
      size += end - start + SEPARATOR_BYTES
    }
    // One that is larger than the scratch.
    if (at === from) return undefined
    scratch[0] = LIST.opening
    scratch[size - 2] = LIST.closing
    scratch[size - 1] = LINE_END
    const some = listIn(size)
    if (some === undefined || some.length !== at - from) return undefined
    for (let nth = 0; nth < some.length; nth++) values.push(some[nth] as V)
    from = at
  }
  return values
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
