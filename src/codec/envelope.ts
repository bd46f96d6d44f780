/**
 * The envelope: an entry as bytes on a node.
 *
 * A fixed layout of 38 bytes, then meta, then payload, so that a Lua script on a node can judge an entry without parsing it. All numbers
 * are big-endian. A script may change kind, fresh until, grace and the lease in place; the rest is sealed by the checksum, so that what was
 * cut short or bent on its way is never taken for a value. Layout (format 1):
 *
 *      0      magic          1 byte
 *      1      format         1 byte
 *      2      kind           1 byte
 *      3      codec          low nibble: serializer; high nibble: compression
 *      4..11  version        uint64, 63 bits used
 *     12..17  fresh until    ms since the epoch, uint48
 *     18..21  grace          ms, uint32
 *     22..23  load cost      logarithmic, uint16
 *     24..27  lease token    uint32, 0: none
 *     28..31  lease until    low 32 bits of ms
 *     32..35  begun          low 32 bits of ms
 *     36..37  meta length    uint16, then meta (`meta.ts`), then payload
 *     last 4  checksum       XXH32 of everything from meta length on, seeded with codec and version; absent in tombstone and vacant,
 *                            which end with the header (a script must be able to write them)
 */
import type { EntryKind, Stamp, Version } from '../entry.ts'
import { EncodeError, inspectBriefly } from '../errors.ts'
import { putUint16, putUint32, putUint48, uint16, uint32 } from './big-endian.ts'
import { loadCostCode, loadCostMsOf } from './load-cost.ts'
import { xxh32 } from './xxh32.ts'

/** Not a byte that JSON, MessagePack maps, gzip or zstd begin with, nor valid UTF-8: foreign values are told apart by it. */
export const MAGIC = 0xc7
export const FORMAT = 1
export const HEADER_BYTES = 38
/** After the payload of a value, negative or pending entry. */
export const CHECKSUM_BYTES = 4
/** The longest grace that fits, ms: 49.7 days. A longer one is cut to it. */
export const MAX_GRACE_MS = 0xffff_ffff
/** The latest fresh-until that fits, ms since the epoch: the year 10889. A later one, Infinity too, is cut to it. */
export const MAX_FRESH_UNTIL_MS = 2 ** 48 - 1

export const OFFSET = {
  magic: 0,
  format: 1,
  kind: 2,
  codec: 3,
  version: 4,
  freshUntil: 12,
  grace: 18,
  loadCost: 22,
  leaseToken: 24,
  leaseUntil: 28,
  begun: 32,
  metaLength: 36,
} as const

/** The byte at `OFFSET.kind`, by kind. */
export const KIND_BYTE: Readonly<Record<EntryKind, number>> = { value: 1, negative: 2, pending: 3, tombstone: 4, vacant: 5 }

/** By the byte at `OFFSET.kind`; undefined for a byte that is no kind. */
const KIND_OF_BYTE: readonly (EntryKind | undefined)[] = [undefined, 'value', 'negative', 'pending', 'tombstone', 'vacant']

/** What a header says, apart from the lease, which nodes write. */
export interface Header {
  readonly kind: EntryKind
  /** Low nibble: serializer; high nibble: compression. 0 where there is no payload. */
  readonly codec: number
  /** 0n ≤ version < 2^63. */
  readonly version: Version
  /** ms since the epoch; a fraction is dropped. */
  readonly freshUntilMs: number
  readonly graceMs: number
  readonly loadCostMs: number
  /** ms since the epoch, or their low 32 bits. */
  readonly begun: number
}

const EMPTY = new Uint8Array(0)

/** The lease in a header. */
export interface Lease {
  /** 0: none. */
  readonly token: number
  /** Low 32 bits of ms since the epoch, by the node's own clock. */
  readonly until: number
}

/**
 * An entry as bytes, in one allocation.
 * @param meta at most 65,535 bytes, see `meta.ts` @param payload what the codec made of the value
 * @throws EncodeError when a field does not fit its place
 */
export function encodeEnvelope(header: Header, meta: Uint8Array, payload: Uint8Array): Buffer {
  const sealed = header.kind !== 'tombstone' && header.kind !== 'vacant'
  const metaLength = sealed ? fitting(meta.length, 'meta length', 0xffff) : 0
  const end = sealed ? HEADER_BYTES + metaLength + payload.length : HEADER_BYTES
  const bytes = Buffer.allocUnsafe(sealed ? end + CHECKSUM_BYTES : end)
  bytes[OFFSET.magic] = MAGIC
  bytes[OFFSET.format] = FORMAT
  bytes[OFFSET.kind] = KIND_BYTE[header.kind]
  bytes[OFFSET.codec] = fitting(header.codec, 'codec', 0xff)
  putVersion(bytes, fittingVersion(header.version))
  const freshUntilMs = Math.min(Math.floor(header.freshUntilMs), MAX_FRESH_UNTIL_MS)
  putUint48(bytes, OFFSET.freshUntil, fitting(freshUntilMs, 'fresh until', MAX_FRESH_UNTIL_MS))
  putUint32(bytes, OFFSET.grace, fitting(Math.min(Math.floor(header.graceMs), MAX_GRACE_MS), 'grace', MAX_GRACE_MS))
  putUint16(bytes, OFFSET.loadCost, loadCostCode(header.loadCostMs))
  putUint32(bytes, OFFSET.leaseToken, 0)
  putUint32(bytes, OFFSET.leaseUntil, 0)
  putUint32(bytes, OFFSET.begun, fitting(Math.floor(header.begun), 'begun', Number.MAX_SAFE_INTEGER) % 2 ** 32)
  putUint16(bytes, OFFSET.metaLength, metaLength)
  if (sealed) {
    bytes.set(meta, HEADER_BYTES)
    bytes.set(payload, HEADER_BYTES + metaLength)
    putUint32(bytes, end, checksumOf(bytes, end))
  }
  return bytes
}

/** A bigint taken apart without another being made. */
const version64 = new BigUint64Array(1)
const version32 = new Uint32Array(version64.buffer)
/** Which half of it lies where differs by machine. */
version64[0] = 1n
const LOW = version32[0] === 1 ? 0 : 1
const HIGH = 1 - LOW

function putVersion(bytes: Uint8Array, version: Version): void {
  version64[0] = version
  putUint32(bytes, OFFSET.version, version32[HIGH]!)
  putUint32(bytes, OFFSET.version + 4, version32[LOW]!)
}

/** Gives an entry that has not left yet another version. @param bytes what `encodeEnvelope` made */
export function stampVersion(bytes: Uint8Array, version: Version): void {
  putVersion(bytes, fittingVersion(version))
  if (bytes.length === HEADER_BYTES) return
  const end = payloadEndOf(bytes)
  putUint32(bytes, end, checksumOf(bytes, end))
}

/** Whether bytes begin with a header that this release reads: the cheap check, not a proof of a whole entry. */
export function isEnvelope(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && bytes[OFFSET.magic] === MAGIC && bytes[OFFSET.format] === FORMAT
}

/** The version in a header. @param bytes an envelope */
export function versionOf(bytes: Uint8Array): Version {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(OFFSET.version)
}

/** Where an entry stands in its key's order. @param bytes an envelope */
export function stampOf(bytes: Uint8Array): Stamp {
  return { version: versionOf(bytes), begun: begunOf(bytes), freshUntilMs: freshUntilOf(bytes) }
}

/**
 * Whether `next` may take the place of `current`: its stamp is the later one, or `current` holds nothing: it is no envelope, or the vacant
 * entry of version 0 that a lease makes where nothing lay. The order that every owner applies (`node/scripts/apply.lua` is the same in Lua).
 */
export function supersedes(next: Uint8Array, current: Uint8Array): boolean {
  return !isEnvelope(current) || isBareLease(current) || compareStamps(next, current) > 0
}

/**
 * Version; of one version when it began, so that a newer load of a row takes the place of an older one, even with a shorter life; of that
 * fresh-until. Above 0 when `a` is the later, 0 when they are the same. @param a an envelope, like `b`
 */
export function compareStamps(a: Uint8Array, b: Uint8Array): number {
  return (
    difference(a, b, OFFSET.version, OFFSET.freshUntil) ||
    compareBegun(begunOf(a), begunOf(b)) ||
    difference(a, b, OFFSET.freshUntil, OFFSET.grace)
  )
}

/** `compareStamps` against a stamp. One of zeros is that of nothing (`NO_STAMP`), and everything is later. @param bytes an envelope */
export function compareToStamp(bytes: Uint8Array, { version, begun, freshUntilMs }: Stamp): number {
  if (version === 0n && begun === 0 && freshUntilMs === 0) return 1
  const own = versionOf(bytes)
  if (own !== version) return own > version ? 1 : -1
  return compareBegun(begunOf(bytes), begun) || freshUntilOf(bytes) - freshUntilMs
}

/**
 * Serial comparison (RFC 1982) of low 32 bits of ms, above 0 when `a` is the later: within 24.8 days of one another they compare as whole
 * times would, through the wrap. Just half a circle apart each is behind the other, and neither takes the other's place.
 */
export function compareBegun(a: number, b: number): number {
  return (a - b) | 0
}

/** A lease and nothing else, where nothing was. @param bytes an envelope */
function isBareLease(bytes: Uint8Array): boolean {
  return bytes[OFFSET.kind] === KIND_BYTE.vacant && versionOf(bytes) === 0n
}

function difference(a: Uint8Array, b: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) {
    const apart = a[at]! - b[at]!
    if (apart !== 0) return apart
  }
  return 0
}

/** @param bytes an envelope, like all below @returns undefined for a byte that is no kind */
export function kindOf(bytes: Uint8Array): EntryKind | undefined {
  return KIND_OF_BYTE[bytes[OFFSET.kind]!]
}

/** Whether an entry says that its row is yet to be removed: pending, and without a value. @param bytes an envelope */
export function isRemoval(bytes: Uint8Array): boolean {
  return bytes[OFFSET.kind] === KIND_BYTE.pending && bytes[OFFSET.codec] === 0
}

/** Low nibble: serializer; high nibble: compression. */
export function codecOf(bytes: Uint8Array): number {
  return bytes[OFFSET.codec]!
}

/** ms since the epoch. By arithmetic on bytes: a hit reads it, and neither a DataView nor a bigint is worth making for it. */
export function freshUntilOf(bytes: Uint8Array): number {
  return uint16(bytes, OFFSET.freshUntil) * 2 ** 32 + uint32(bytes, OFFSET.freshUntil + 2)
}

/** ms after fresh-until in which the value may be served stale. */
export function graceOf(bytes: Uint8Array): number {
  return uint32(bytes, OFFSET.grace)
}

/** ms, within 0.04 % of what was measured; 0: unknown. */
export function loadCostOf(bytes: Uint8Array): number {
  return loadCostMsOf(uint16(bytes, OFFSET.loadCost))
}

export function leaseOf(bytes: Uint8Array): Lease {
  return { token: uint32(bytes, OFFSET.leaseToken), until: uint32(bytes, OFFSET.leaseUntil) }
}

/** A copy with another lease. What a script does to a header in place is done to a copy here: whoever reads the bytes may hold them still. */
export function withLease(bytes: Uint8Array, { token, until }: Lease): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt32BE(token, OFFSET.leaseToken)
  copy.writeUInt32BE(until, OFFSET.leaseUntil)
  return copy
}

/** What lies where there is a lease and nothing else: a vacant entry, of a stamp of zeros. */
export function vacantEnvelope(lease: Lease): Buffer {
  return withLease(
    encodeEnvelope({ kind: 'vacant', codec: 0, version: 0n, freshUntilMs: 0, graceMs: 0, loadCostMs: 0, begun: 0 }, EMPTY, EMPTY),
    lease,
  )
}

/** A copy that is fresh until another time. @param freshUntilMs whole ms since the epoch, at most `MAX_FRESH_UNTIL_MS` */
export function withFreshUntil(bytes: Uint8Array, freshUntilMs: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUIntBE(freshUntilMs, OFFSET.freshUntil, 6)
  return copy
}

/**
 * What a pending entry becomes when the store has it: a value that is fresh for as long from now as it would have been from its write, or the
 * tombstone of a removal; so much later in its key's order as to take the pending one's place.
 */
export function settledEnvelope(bytes: Uint8Array, nowMs: number): Buffer {
  const removal = isRemoval(bytes)
  const copy = Buffer.from(removal ? bytes.subarray(0, HEADER_BYTES) : bytes)
  copy.writeUInt32BE((begunOf(bytes) + 1) % 2 ** 32, OFFSET.begun)
  copy[OFFSET.kind] = removal ? KIND_BYTE.tombstone : KIND_BYTE.value
  copy.writeUIntBE(removal ? 0 : Math.min(Math.floor(nowMs) + pendingTtlMs(bytes), MAX_FRESH_UNTIL_MS), OFFSET.freshUntil, 6)
  return copy
}

/** For how long a pending entry's value is to be fresh once the store has it, ms: what its fresh-until lies after its beginning. */
export function pendingTtlMs(bytes: Uint8Array): number {
  return (freshUntilOf(bytes) - begunOf(bytes)) % 2 ** 32
}

/** Low 32 bits of ms since the epoch. */
export function begunOf(bytes: Uint8Array): number {
  return uint32(bytes, OFFSET.begun)
}

/** Where meta ends and the payload begins. May lie beyond the bytes of a corrupt entry: `isSealed` tells. */
export function payloadStartOf(bytes: Uint8Array): number {
  return HEADER_BYTES + uint16(bytes, OFFSET.metaLength)
}

/** Where the payload of a value, negative or pending entry ends and the checksum begins. */
export function payloadEndOf(bytes: Uint8Array): number {
  return bytes.length - CHECKSUM_BYTES
}

/** Whether a value, negative or pending entry is whole: long enough for what it announces, and with the right checksum. */
export function isSealed(bytes: Uint8Array): boolean {
  const end = payloadEndOf(bytes)
  return payloadStartOf(bytes) <= end && uint32(bytes, end) === checksumOf(bytes, end)
}

function checksumOf(bytes: Uint8Array, end: number): number {
  // The seed changes with every single bit of version and codec, which spares a copy or a second call to take them in.
  const seed = uint32(bytes, OFFSET.version) ^ Math.imul(uint32(bytes, OFFSET.version + 4), 0x9e3779b1) ^ (bytes[OFFSET.codec]! << 24)
  return xxh32(bytes, OFFSET.metaLength, end, seed)
}

function fitting(value: number, what: string, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new EncodeError(`entry: ${what} needs to be a whole number from 0 to ${max}, but got: ${inspectBriefly(value)}`)
  }
  return value
}

function fittingVersion(version: Version): Version {
  if (version < 0n || version >= 1n << 63n) {
    throw new EncodeError(`entry: version needs to be at least 0 and below 2^63, but got: ${inspectBriefly(version)}`)
  }
  return version
}
