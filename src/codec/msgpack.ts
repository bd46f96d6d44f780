/**
 * MessagePack: about a fifth smaller than JSON, and it keeps Dates, BigInts and bytes as what they are.
 *
 * By msgpackr, an optional peer, loaded when `msgpack()` is first called; standard MessagePack, readable elsewhere: none of msgpackr's own
 * records or references. msgpackr reads a key `__proto__` as `__proto_`, so payloads in which that text occurs at all take a slower way that
 * keeps it. Maps, Sets and whatever else would come back as something different are refused, see `plain-data.ts`.
 */
import { createRequire } from 'node:module'
import { ConfigurationError, EncodeError } from '../errors.ts'
import { type Keeps, unfitPart } from './plain-data.ts'
import type { Serializer } from './serializer.ts'

const MSGPACK_KEEPS: Keeps = { bigint: true, bytes: true, undefined: true, nonFinite: true, illFormed: false }

/** What is used of msgpackr, typed by structure: its types are only there where it is installed. */
interface Packr {
  pack(value: unknown): Uint8Array
  unpack(bytes: Uint8Array): unknown
}
type Msgpackr = { readonly Packr: new (options: object) => Packr }

/** @throws ConfigurationError when msgpackr is not installed */
export function msgpack<V = unknown>(): Serializer<V> {
  const { Packr } = loadMsgpackr()
  const standard = { useRecords: false, variableMapSize: true, copyBuffers: true, useBigIntExtension: true, structuredClone: false }
  const quick = new Packr({ ...standard, mapsAsObjects: true })
  const exact = new Packr({ ...standard, mapsAsObjects: false })
  return {
    id: 2,
    name: 'msgpack',
    encode(value) {
      const unfit = unfitPart(value, MSGPACK_KEEPS)
      if (unfit !== undefined) {
        throw new EncodeError(`needs a value that MessagePack can give back, but got: ${unfit.problem} at value${unfit.path}`)
      }
      return quick.pack(value)
    },
    decode(bytes, start, end) {
      const payload = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
      return (payload.includes(PROTO) ? objectsOfMaps(exact.unpack(payload)) : quick.unpack(payload)) as V
    },
  }
}

const PROTO = Buffer.from('__proto__')

let loaded: Msgpackr | undefined

function loadMsgpackr(): Msgpackr {
  try {
    loaded ??= createRequire(import.meta.url)('msgpackr') as Msgpackr
    return loaded
  } catch (cause) {
    throw new ConfigurationError("msgpack(): needs the package 'msgpackr' (npm install msgpackr), but it could not be loaded", { cause })
  }
}

/** Every Map as an object with the same keys, as own properties even where they are called `__proto__`. */
function objectsOfMaps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(objectsOfMaps)
  if (value instanceof Map) {
    const object = {}
    for (const [key, part] of value) {
      if (typeof key === 'object') throw new TypeError('a key that is no text')
      Object.defineProperty(object, String(key), { value: objectsOfMaps(part), writable: true, enumerable: true, configurable: true })
    }
    return object
  }
  if (typeof value === 'object' && value !== null && !(value instanceof Date) && !(value instanceof Uint8Array)) {
    throw new TypeError('an extension that standard MessagePack does not have')
  }
  return value
}
