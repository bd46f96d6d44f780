/**
 * One value for many callers.
 *
 * What the near cache hands out is shared by everyone who asks, so nobody may change it. Plain objects and arrays are frozen through, once,
 * which costs their readers nothing. What cannot be frozen (bytes, Date, Map, Set, RegExp) makes the whole value one that is copied for each
 * reader. What can be neither frozen nor copied as it is (functions, instances of other classes) is not shared at all.
 *
 * Not `structuredClone`: it turns a Buffer into a Uint8Array, an instance of a class into a plain object, and takes several times as long.
 */

export interface Shared<V> {
  /** Frozen through; or, when `isCopied`, a copy of its own that nobody may be handed. */
  readonly value: V
  /** Each reader is to be given `copyThrough` of it. */
  readonly isCopied: boolean
}

/** A value of more parts than that is not walked through, and not shared. */
const MOST_PARTS = 100_000

type Kind = 'frozen' | 'copied' | 'unfit'

/**
 * Makes a value one that can be shared. Circles are no matter, nor is depth.
 * @param copy rather than freeze it, even if it could be frozen
 * @returns undefined when it cannot be shared; it is then left as it was
 */
export function shared<V>(value: V, copy: boolean): Shared<V> | undefined {
  if (!isObject(value)) return isPlain(value) ? { value, isCopied: false } : undefined
  let isCopied = copy
  // A Set that grows while it is walked is a queue: nothing is walked twice.
  const parts = new Set<object>([value])
  for (const part of parts) {
    const kind = kindOf(part)
    if (kind === 'unfit' || parts.size > MOST_PARTS) return undefined
    if (kind === 'copied') isCopied = true
    for (const inner of innerOf(part)) {
      if (isObject(inner)) parts.add(inner)
      else if (!isPlain(inner)) return undefined
    }
  }
  if (isCopied) return { value: copyThrough(value), isCopied }
  for (const part of parts) Object.freeze(part)
  return { value, isCopied }
}

/** A copy that shares nothing with the value, of what `shared` takes; circles come out as circles. */
export function copyThrough<V>(value: V): V {
  if (!isObject(value)) return value
  const copies = new Map<object, object>()
  const copyOf = (inner: unknown): unknown => {
    if (!isObject(inner)) return inner
    const known = copies.get(inner)
    if (known !== undefined) return known
    const copy = emptyCopyOf(inner)
    copies.set(inner, copy)
    return copy
  }
  const whole = copyOf(value)
  for (const [part, copy] of copies) fill(part, copy, copyOf)
  return whole as V
}

const TypedArray: { readonly prototype: object } = Object.getPrototypeOf(Uint8Array)
const COPIED_CLASSES: readonly { readonly prototype: object }[] = [Date, Map, Set, RegExp, ArrayBuffer]

function kindOf(part: object): Kind {
  const prototype = Object.getPrototypeOf(part)
  if (prototype === Object.prototype || prototype === Array.prototype || prototype === null) return 'frozen'
  if (Buffer.isBuffer(part) || Object.getPrototypeOf(prototype) === TypedArray.prototype) return 'copied'
  return COPIED_CLASSES.some((each) => prototype === each.prototype) ? 'copied' : 'unfit'
}

function innerOf(part: object): Iterable<unknown> {
  if (Array.isArray(part)) return part
  if (part instanceof Map) return [...part.keys(), ...part.values()]
  if (part instanceof Set) return part
  if (kindOf(part) === 'copied') return []
  return Reflect.ownKeys(part).map((key) => (part as Record<PropertyKey, unknown>)[key])
}

/** What has no inner parts is whole at once. */
function emptyCopyOf(part: object): object {
  if (Array.isArray(part)) return []
  if (part instanceof Map) return new Map()
  if (part instanceof Set) return new Set()
  if (part instanceof Date) return new Date(part.getTime())
  if (part instanceof RegExp) return new RegExp(part)
  if (part instanceof ArrayBuffer) return part.slice(0)
  if (Buffer.isBuffer(part)) return Buffer.from(part)
  if (ArrayBuffer.isView(part)) return (part as Uint8Array).slice()
  return Object.getPrototypeOf(part) === null ? Object.create(null) : {}
}

function fill(part: object, copy: object, copyOf: (inner: unknown) => unknown): void {
  if (Array.isArray(part)) for (const inner of part) (copy as unknown[]).push(copyOf(inner))
  else if (part instanceof Map) for (const [key, inner] of part) (copy as Map<unknown, unknown>).set(copyOf(key), copyOf(inner))
  else if (part instanceof Set) for (const inner of part) (copy as Set<unknown>).add(copyOf(inner))
  else if (kindOf(part) === 'frozen') for (const key of Reflect.ownKeys(part)) fillProperty(part, copy, key, copyOf)
}

function fillProperty(part: object, copy: object, key: PropertyKey, copyOf: (inner: unknown) => unknown): void {
  const inner = copyOf((part as Record<PropertyKey, unknown>)[key])
  // Assigned, it would be the prototype.
  if (key === '__proto__') Object.defineProperty(copy, key, { value: inner, writable: true, enumerable: true, configurable: true })
  else (copy as Record<PropertyKey, unknown>)[key] = inner
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isPlain(value: unknown): boolean {
  return typeof value !== 'function' && typeof value !== 'symbol'
}
