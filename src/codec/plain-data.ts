/**
 * What a serializer would bend in silence.
 *
 * `JSON.stringify` leaves functions out, turns NaN and an `undefined` in an array into null and a Map into `{}`; MessagePack gives a Map back
 * as an object. Here such a part is found before it is written, with the path that leads to it, so that it is an error where it was made and
 * not a wrong value where it is read. A property that is `undefined` is let through: absent or undefined, it reads the same. An object
 * with a `toJSON` is taken to know what it does, and a class's instance comes back as a plain object of its properties.
 */

/** What one serializer keeps beyond strings, finite numbers, booleans, null, arrays and objects. */
export interface Keeps {
  readonly bigint: boolean
  readonly bytes: boolean
  readonly undefined: boolean
  readonly nonFinite: boolean
  /** Strings with lone surrogates, which are no Unicode text. */
  readonly illFormed: boolean
}

export interface UnfitPart {
  /** `.items[3].price`; empty for the value itself. */
  readonly path: string
  readonly problem: string
}

/** Deepest nesting; deeper is taken to be circular. */
export const MAX_DEPTH = 500

/** The first part of `value` that would not come back as it is. */
export function unfitPart(value: unknown, keeps: Keeps): UnfitPart | undefined {
  const path: (string | number)[] = []
  const problem = value === undefined ? 'undefined' : problemIn(value, keeps, path)
  return problem === undefined ? undefined : { path: pathText(path), problem }
}

/** On its way back up `path` is filled from the end, so that a value without problems costs no path. */
function problemIn(value: unknown, keeps: Keeps, path: (string | number)[], depth = 0): string | undefined {
  switch (typeof value) {
    case 'string':
      return keeps.illFormed || value.isWellFormed() ? undefined : 'text with a lone surrogate'
    case 'number':
      return keeps.nonFinite || Number.isFinite(value) ? undefined : String(value)
    case 'boolean':
      return undefined
    case 'undefined':
      return keeps.undefined ? undefined : 'undefined'
    case 'bigint':
      return keeps.bigint ? undefined : 'a BigInt'
    case 'object':
      if (value === null) return undefined
      if (depth > MAX_DEPTH) return `a circle, or nesting deeper than ${MAX_DEPTH} levels`
      return Array.isArray(value) ? problemInArray(value, keeps, path, depth) : problemInObject(value, keeps, path, depth)
    default:
      return `a ${typeof value}`
  }
}

function problemInArray(array: readonly unknown[], keeps: Keeps, path: (string | number)[], depth: number): string | undefined {
  for (let index = 0; index < array.length; index++) {
    const problem = problemIn(array[index], keeps, path, depth + 1)
    if (problem !== undefined) {
      path.push(index)
      return problem
    }
  }
  return undefined
}

function problemInObject(object: object, keeps: Keeps, path: (string | number)[], depth: number): string | undefined {
  const prototype = Object.getPrototypeOf(object)
  if (prototype !== Object.prototype && prototype !== null) {
    if (object instanceof Date) return Number.isNaN(object.getTime()) ? 'an invalid Date' : undefined
    if (object instanceof Uint8Array) return keeps.bytes ? undefined : 'bytes (rawBytes() or msgpack() keep them)'
    const lost = LOST_CLASSES.find((each) => object instanceof each)
    if (lost !== undefined || ArrayBuffer.isView(object)) return `a ${prototype.constructor?.name ?? lost?.name}`
  }
  if (typeof (object as { toJSON?: unknown }).toJSON === 'function') return undefined
  for (const key of Object.keys(object)) {
    const part = (object as Record<string, unknown>)[key]
    if (part === undefined) continue
    const problem = keeps.illFormed || key.isWellFormed() ? problemIn(part, keeps, path, depth + 1) : 'under a key with a lone surrogate'
    if (problem !== undefined) {
      path.push(key)
      return problem
    }
  }
  return undefined
}

/** Their instances have no properties to write, or wrap what should be written. */
const LOST_CLASSES = [Map, Set, WeakMap, WeakSet, WeakRef, Promise, RegExp, Error, ArrayBuffer, SharedArrayBuffer, Boolean, Number, String]

function pathText(reversed: readonly (string | number)[]): string {
  const text = reversed
    .toReversed()
    .map((step) => (typeof step === 'number' ? `[${step}]` : /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`))
    .join('')
  return text.length > 200 ? `${text.slice(0, 100)}…${text.slice(-99)}` : text
}
