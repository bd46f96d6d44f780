/**
 * A cache's keys as they lie on the nodes: `rt:<cache>:<key>`.
 *
 * Every byte string is a key, and no two keys, of one cache or of two, are ever the same on the wire. What a URL's path may hold
 * (RFC 3986: letters, digits and `-._~!$&'()*+,;=:@/`) stands as it is, so that ordinary keys are ordinary to read; every other byte is `%XX`,
 * the percent sign and braces among them, for braces would choose the slot in a Redis Cluster. A cache's name has no colon, so the second
 * colon always ends it. Text is its UTF-8; lone surrogates are written as WTF-8 does, since to a Set of strings they are different keys.
 */
import { ConfigurationError } from '../errors.ts'

/** Longest key on the wire, in bytes, `rt:` and the cache's name included. */
export const MAX_KEY_BYTES = 1024

/** What all keys of Ringtail's own begin with. */
const OURS = 'rt:'

export interface KeyCodec {
  /** What every key on the wire begins with: '' for plain keys. */
  readonly prefix: string
  /** @throws ConfigurationError for a key that is no text or bytes, or too long */
  encode(key: string | Uint8Array): string
  /** @returns undefined when the key on the wire is not one of this cache's */
  decode(wire: string): Uint8Array | undefined
}

/** @param cache 1 to 64 of A–Z a–z 0–9 _ . - @throws ConfigurationError for another name */
export function namespacedKey(cache: string): KeyCodec {
  const prefix = `${OURS}${cacheName(cache)}:`
  const what = `cache '${cache}': key`
  return {
    prefix,
    encode(key) {
      const wire = prefix + (typeof key === 'string' && isOrdinary(key) ? key : escaped(key, what))
      if (wire.length > MAX_KEY_BYTES) {
        throw new ConfigurationError(
          `${what}: needs at most ${MAX_KEY_BYTES} bytes once encoded, prefix included, but got: ${wire.length} bytes`,
        )
      }
      return wire
    },
    decode: (wire) => (wire.startsWith(prefix) ? unescaped(wire, prefix.length) : undefined),
  }
}

/**
 * Keys as they are, for values that other clients wrote or read: nothing is added, so all such caches of a tier share one space. What begins
 * with `rt:` is refused: it is an entry of a namespaced cache, or a record that a node is governed by (`rt:!node`).
 */
export function plainKey(cache: string): KeyCodec {
  const what = `cache '${cacheName(cache)}': plain key`
  return {
    prefix: '',
    encode(key) {
      const text = typeof key === 'string' ? key : key instanceof Uint8Array ? textOf(key) : undefined
      if (text === undefined || text === '' || !text.isWellFormed()) {
        throw ConfigurationError.of(what, 'well-formed text that is not empty, or the UTF-8 bytes of one', key)
      }
      if (text.startsWith(OURS))
        throw ConfigurationError.of(what, `a key that does not begin with '${OURS}', which is Ringtail's own`, text)
      // A UTF-16 unit is at most three bytes, so most keys need no counting.
      if (text.length * 3 > MAX_KEY_BYTES && Buffer.byteLength(text) > MAX_KEY_BYTES) {
        throw new ConfigurationError(`${what}: needs at most ${MAX_KEY_BYTES} bytes, but got: ${Buffer.byteLength(text)} bytes`)
      }
      return text
    },
    decode: (wire) => (wire === '' || wire.startsWith(OURS) ? undefined : Buffer.from(wire)),
  }
}

/** @returns the name, once it is one that a cache may have */
export function cacheName(name: string): string {
  if (typeof name !== 'string' || !/^[A-Za-z0-9_.-]{1,64}$/.test(name)) {
    throw ConfigurationError.of("a cache's name", '1 to 64 of the characters A-Z a-z 0-9 _ . -', name)
  }
  return name
}

const ORDINARY = /^[A-Za-z0-9\-._~!$&'()*+,;=:@/]*$/
/** 1 for each character of ASCII that stands as it is: looking there takes less time than the expression, and every call does. */
const STANDS = Uint8Array.from({ length: 128 }, (_, code) => (ORDINARY.test(String.fromCharCode(code)) ? 1 : 0))

function isOrdinary(key: string): boolean {
  for (let at = 0; at < key.length; at++) if (STANDS[key.charCodeAt(at)] !== 1) return false
  return true
}

/** What stands for each byte. */
const ESCAPES: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte)
  return ORDINARY.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
})

function escaped(key: string | Uint8Array, what: string): string {
  if (typeof key !== 'string' && !(key instanceof Uint8Array)) throw ConfigurationError.of(what, 'text or a Uint8Array', key)
  // Nothing gets shorter: what is too long already need not be escaped first.
  if (key.length > MAX_KEY_BYTES) {
    throw new ConfigurationError(
      `${what}: needs at most ${MAX_KEY_BYTES} bytes once encoded, prefix included, but got: ${key.length} or more`,
    )
  }
  const bytes = typeof key !== 'string' ? key : key.isWellFormed() ? Buffer.from(key) : wtf8(key)
  let text = ''
  for (let at = 0; at < bytes.length; at++) text += ESCAPES[bytes[at]!]
  return text
}

/** The inverse of `escaped`, and of nothing else: what it would not have written is not of this cache. */
function unescaped(wire: string, start: number): Uint8Array | undefined {
  const bytes = Buffer.alloc(wire.length - start)
  let length = 0
  for (let at = start; at < wire.length; ) {
    const byte = wire[at] === '%' ? Number.parseInt(wire.slice(at + 1, at + 3), 16) : wire.charCodeAt(at)
    const expected = ESCAPES[byte]
    if (expected === undefined || !wire.startsWith(expected, at)) return undefined
    bytes[length++] = byte
    at += expected.length
  }
  return bytes.subarray(0, length)
}

/** UTF-8, with three bytes for a lone surrogate too (https://wtf-8.codeberg.page). */
function wtf8(text: string): Uint8Array {
  const parts: Uint8Array[] = []
  for (const character of text) {
    const point = character.codePointAt(0)!
    const lone = point >= 0xd800 && point <= 0xdfff
    parts.push(lone ? Buffer.from([0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f)]) : Buffer.from(character))
  }
  return Buffer.concat(parts)
}

/** @returns undefined when the bytes are no UTF-8 */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return STRICT_UTF8.decode(bytes)
  } catch {
    return undefined
  }
}

const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
