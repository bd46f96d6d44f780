/**
 * Random states of keys, and random calls of the scripts upon them: what `script-comparison.ts` tries on a server and on its likeness.
 *
 * Values are drawn from the places where arithmetic goes wrong (the ends of 32 and 53 bits, the wrap of times, half its circle) rather than
 * evenly, and from few of them, so that what is asked often meets what lies there. All of it comes from one seed.
 */
import type { Random } from '../clock.ts'
import { FORMAT, HEADER_BYTES, type Lease, MAGIC, OFFSET } from '../codec/envelope.ts'
import { NO_STAMP, type Stamp } from '../entry.ts'
import { type Change, LATE_MS, type LeaseAsk, MAX_TOUCHED_LIFE_MS } from '../node/node.ts'

/** What lies under a key before the call. */
export type Laid =
  | { readonly type: 'nothing' }
  | { readonly type: 'string'; readonly bytes: Buffer; readonly ttlMs: number }
  | { readonly type: 'list' | 'hash'; readonly ttlMs: number }

export interface ScriptCase {
  readonly laid: ReadonlyMap<string, Laid>
  /** One of the two has something. */
  readonly changes: readonly Change[]
  readonly asks: readonly LeaseAsk[]
}

const KEYS_A_CASE = 3
const MOST_ITEMS = 8

const VERSIONS = [0n, 1n, 2n, 0xffff_ffffn, 1n << 32n, (1n << 32n) + 1n, (1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1n, (1n << 63n) - 1n]
const TOKENS = [1, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
const WRAPPED = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 2, 2 ** 32 - 1]
/** Far enough apart for the time that a comparison takes. */
const LIVES_MS = [0, 0, 60_000, 600_000, 3_600_000, 30 * 86_400_000]
const PAYLOADS = ['', 'x', 'some payload', '\0\xff'.repeat(20)]

export class ScriptCases {
  readonly #random: Random
  /** The server's time, to a minute or so: what is late, and whether a lease is live, is drawn well to either side of it. */
  readonly #nowMs: number

  constructor(random: Random, nowMs: number) {
    this.#random = random
    this.#nowMs = nowMs
  }

  /** @param name what its keys begin with */
  next(name: string): ScriptCase {
    const keys = Array.from({ length: 1 + this.#below(KEYS_A_CASE) }, (_, i) => `${name}:${i === 1 ? 'é' : i}`)
    const laid = new Map(keys.map((key) => [key, this.#laid()]))
    const items = Array.from({ length: 1 + this.#below(MOST_ITEMS) }, () => this.#of(keys))
    if (this.#oneIn(3)) return { laid, changes: [], asks: items.map((key) => this.#ask(key, laid.get(key)!)) }
    return { laid, changes: items.map((key) => this.#change(key, laid.get(key)!)), asks: [] }
  }

  #laid(): Laid {
    if (this.#oneIn(6)) return { type: 'nothing' }
    const ttlMs = this.#of(LIVES_MS)
    if (this.#oneIn(20)) return { type: this.#of(['list', 'hash'] as const), ttlMs }
    return { type: 'string', bytes: this.#oneIn(8) ? this.#foreign() : this.#envelope(this.#begun()), ttlMs }
  }

  #change(key: string, laid: Laid): Change {
    const lease = this.#tokenNear(laid)
    switch (this.#of(['put', 'put', 'put', 'fill', 'fill', 'expect', 'touch', 'touch', 'release', 'set', 'drop'] as const)) {
      case 'put':
        return this.#put(key, laid)
      case 'fill':
        return { ...this.#put(key, laid), lease }
      case 'expect':
        return { ...this.#put(key, laid), expected: this.#versionNear(laid) }
      case 'touch':
        return { op: 'touch', key, version: this.#versionNear(laid), freshUntilMs: this.#freshUntil(), ttlMs: this.#of(LIVES_MS) }
      case 'release':
        return { op: 'release', key, lease }
      case 'set':
        return { op: 'set', key, bytes: this.#foreign(), ttlMs: this.#of(LIVES_MS) }
      case 'drop':
        return { op: 'drop', key }
    }
  }

  #put(key: string, laid: Laid): Extract<Change, { op: 'put' }> {
    const bytes = this.#oneIn(12) ? this.#foreign() : this.#oneIn(3) ? this.#envelopeNear(laid) : this.#envelope(this.#begunNow())
    const issuedMs = this.#oneIn(2) ? this.#nowMs : this.#oneIn(4) ? this.#begun() : undefined
    return { op: 'put', key, bytes, ttlMs: this.#of(LIVES_MS), issuedMs }
  }

  #ask(key: string, laid: Laid): LeaseAsk {
    const leaseMs = this.#of([30_000, 300_000, 2 ** 31 - 1])
    return { key, token: this.#of(TOKENS), leaseMs, seen: this.#seenNear(laid), force: this.#oneIn(5) }
  }

  #envelope(begun: number): Buffer {
    const bytes = Buffer.alloc(HEADER_BYTES)
    const { token, until } = this.#oneIn(2) ? this.#lease() : { token: 0, until: 0 }
    bytes[OFFSET.magic] = MAGIC
    bytes[OFFSET.format] = FORMAT
    bytes[OFFSET.kind] = this.#oneIn(12) ? this.#of([0, 6, 255]) : 1 + this.#below(5)
    bytes[OFFSET.codec] = this.#below(256)
    bytes.writeBigUInt64BE(this.#oneIn(40) ? (1n << 64n) - 1n : this.#of(VERSIONS), OFFSET.version)
    bytes.writeUIntBE(Math.min(this.#freshUntil(), 2 ** 48 - 1), OFFSET.freshUntil, 6)
    bytes.writeUInt32BE(this.#of(WRAPPED), OFFSET.grace)
    bytes.writeUInt32BE(token, OFFSET.leaseToken)
    bytes.writeUInt32BE(until, OFFSET.leaseUntil)
    bytes.writeUInt32BE(begun % 2 ** 32, OFFSET.begun)
    return Buffer.concat([bytes, Buffer.from(this.#of(PAYLOADS), 'latin1')])
  }

  /** Of the stamp that lies there, or one that is near it. */
  #envelopeNear(laid: Laid): Buffer {
    const bytes = this.#envelope(this.#begunNow())
    const held = headerOf(laid)
    if (held === undefined) return bytes
    held.copy(bytes, OFFSET.version, OFFSET.version, this.#oneIn(3) ? OFFSET.freshUntil : OFFSET.grace)
    if (!this.#oneIn(3)) held.copy(bytes, OFFSET.begun, OFFSET.begun, OFFSET.metaLength)
    return bytes
  }

  #begunNow(): number {
    return this.#oneIn(2) ? this.#begun() : this.#nowMs
  }

  /** Bytes of others, an envelope cut short, one of another release, one whose magic is bent. */
  #foreign(): Buffer {
    const envelope = this.#envelope(this.#begun())
    if (this.#oneIn(3)) return Buffer.from(this.#of(['', 'x', '{"a":1}'.repeat(9), '\xc7']), 'latin1')
    if (this.#oneIn(2)) return envelope.subarray(0, this.#below(HEADER_BYTES))
    envelope[this.#oneIn(2) ? OFFSET.magic : OFFSET.format] = this.#below(256)
    return envelope
  }

  #lease(): Lease {
    const until = this.#oneIn(4) ? this.#of(WRAPPED) : this.#nowMs + this.#of([-86_400_000, -60_000, 60_000, 3_600_000, 20 * 86_400_000])
    return { token: this.#oneIn(8) ? 0 : this.#of(TOKENS), until: until % 2 ** 32 }
  }

  /** ms since the epoch, or low 32 bits of them. */
  #begun(): number {
    if (this.#oneIn(2)) return this.#of(WRAPPED)
    const apart = [0, 1, 1, LATE_MS - 60_000, LATE_MS + 60_000, 86_400_000, MAX_TOUCHED_LIFE_MS - 900_000, MAX_TOUCHED_LIFE_MS + 60_000]
    return this.#nowMs - this.#of([...apart, -3_600_000, -20 * 86_400_000, 2 ** 31 - 60_000, 2 ** 31 + 60_000])
  }

  #freshUntil(): number {
    return this.#of([0, 1, 2 ** 32 - 1, 2 ** 32, this.#nowMs, this.#nowMs + 3_600_000, this.#nowMs + 40 * 86_400_000, 2 ** 48 - 1])
  }

  /** Often just what lies there. */
  #versionNear(laid: Laid): bigint {
    const held = headerOf(laid)
    return held !== undefined && !this.#oneIn(3) ? held.readBigUInt64BE(OFFSET.version) : this.#of(VERSIONS)
  }

  #tokenNear(laid: Laid): number {
    const held = headerOf(laid)
    if (held !== undefined && !this.#oneIn(3)) return held.readUInt32BE(OFFSET.leaseToken)
    return this.#oneIn(10) ? 0 : this.#of(TOKENS)
  }

  #seenNear(laid: Laid): Stamp {
    const held = headerOf(laid)
    if (this.#oneIn(4)) return NO_STAMP
    const drawn = { version: this.#of(VERSIONS), begun: this.#begun() % 2 ** 32, freshUntilMs: this.#freshUntil() }
    if (held === undefined || this.#oneIn(4)) return drawn
    const version = held.readBigUInt64BE(OFFSET.version)
    const begun = this.#oneIn(3) ? drawn.begun : held.readUInt32BE(OFFSET.begun)
    return { version, begun, freshUntilMs: this.#oneIn(3) ? drawn.freshUntilMs : held.readUIntBE(OFFSET.freshUntil, 6) }
  }

  #of<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!
  }

  #oneIn(n: number): boolean {
    return this.#below(n) === 0
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n)
  }
}

function headerOf(laid: Laid): Buffer | undefined {
  return laid.type === 'string' && laid.bytes.length >= HEADER_BYTES ? laid.bytes : undefined
}
