/**
 * A session: whoever wrote reads what it wrote, in whichever process its next request is served.
 *
 * A session remembers the versions of its own writes, as text that fits into a cookie or a header. A read that is given the session and
 * finds something older asks all owners of the key, and then the store; it does not answer with what is older. Its size is bounded: of more
 * writes than fit it keeps the newest, and of the others that there were some, until when; for as long as those may not have reached every
 * owner (`SETTLED_MS`), keys that it does not remember are read from all owners too.
 *
 * A token is believed: one that was made up sends its reads past the cache, to the store. Sign it where it is held by those who may do that.
 *
 * Keys are remembered by 48 bits of a hash. Two that collide make a read more careful than it need be, and nothing else.
 */
import type { Clock } from './clock.ts'
import type { Version } from './entry.ts'
import { ConfigurationError } from './errors.ts'

/** Writes that a session remembers one by one. */
export const MAX_WRITES = 64

/** How long after it was issued a write may not have reached every owner that can be read, ms. */
const SETTLED_MS = 60_000

/** Of a version: its low bits that are not milliseconds. See `version-clock.ts`. */
const MS_SHIFT = 19n

const FORMAT = 1
const WRITE_BYTES = 14

/** What a read has to see. `version` 0n: nothing in particular. */
export interface Demand {
  readonly version: Version
  /** Whether the session has forgotten writes that may not be everywhere yet: one of them may be of this key. */
  readonly careful: boolean
}

const NO_DEMAND: Demand = Object.freeze({ version: 0n, careful: false })

export class Session {
  readonly #clock: Pick<Clock, 'now'>
  /** By hash of the key on the nodes, the oldest write first. */
  readonly #writes = new Map<string, Version>()
  /** The newest version among the writes forgotten; 0n: none. */
  #forgotten: Version = 0n

  /**
   * Use `tier.session(token)`.
   * @throws ConfigurationError for what is not a token
   */
  constructor(clock: Pick<Clock, 'now'>, token?: string) {
    this.#clock = clock
    if (token !== undefined && token !== '') this.#read(token)
  }

  /** The session as text of the characters A-Z a-z 0-9 - _; '' where nothing was written. At most 1,220 of them. */
  token(): string {
    if (this.#writes.size === 0 && this.#forgotten === 0n) return ''
    const bytes = Buffer.alloc(9 + this.#writes.size * WRITE_BYTES)
    bytes[0] = FORMAT
    bytes.writeBigUInt64BE(this.#forgotten, 1)
    let at = 9
    for (const [hash, version] of this.#writes) {
      bytes.write(hash, at, 'hex')
      bytes.writeBigUInt64BE(version, at + 6)
      at += WRITE_BYTES
    }
    return bytes.toString('base64url')
  }

  /** @param key as it lies on the nodes */
  wrote(key: string, version: Version): void {
    const hash = hashOf(key)
    const before = this.#writes.get(hash) ?? 0n
    this.#writes.delete(hash)
    this.#writes.set(hash, version > before ? version : before)
    if (this.#writes.size <= MAX_WRITES) return
    const [[oldest, forgotten]] = this.#writes as unknown as [[string, Version]]
    this.#writes.delete(oldest)
    if (forgotten > this.#forgotten) this.#forgotten = forgotten
  }

  /** @param key as it lies on the nodes */
  demands(key: string): Demand {
    if (this.#writes.size === 0) return NO_DEMAND
    const version = this.#writes.get(hashOf(key))
    if (version !== undefined) return { version, careful: false }
    return Number(this.#forgotten >> MS_SHIFT) + SETTLED_MS > this.#clock.now() ? { version: 0n, careful: true } : NO_DEMAND
  }

  #read(token: string): void {
    const bytes = typeof token === 'string' && /^[\w-]+$/.test(token) ? Buffer.from(token, 'base64url') : Buffer.alloc(0)
    const writes = (bytes.length - 9) / WRITE_BYTES
    if (bytes[0] !== FORMAT || !Number.isInteger(writes) || writes > MAX_WRITES) {
      throw ConfigurationError.of('tier.session: token', 'what token() of a session returned', token)
    }
    this.#forgotten = bytes.readBigUInt64BE(1)
    for (let at = 9; at < bytes.length; at += WRITE_BYTES) {
      this.#writes.set(bytes.toString('hex', at, at + 6), bytes.readBigUInt64BE(at + 6))
    }
  }
}

/** 48 bits, as 12 hexadecimal digits: FNV-1a in two lanes that begin differently (http://www.isthe.com/chongo/tech/comp/fnv). */
function hashOf(key: string): string {
  let low = 0x811c9dc5
  let high = 0x050c5d1f
  for (let at = 0; at < key.length; at++) {
    const unit = key.charCodeAt(at)
    low = Math.imul(low ^ unit, 0x01000193)
    high = Math.imul(high ^ unit, 0x01000193) ^ (low >>> 15)
  }
  return (high >>> 16).toString(16).padStart(4, '0') + (low >>> 0).toString(16).padStart(8, '0')
}
