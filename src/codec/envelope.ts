/**
 * The envelope: an entry as bytes on a node.
 *
 * A fixed layout of 38 bytes, then meta, then payload, so that a Lua script on a node can judge an entry without parsing it. All numbers
 * are big-endian. Layout (format 1):
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
 *     36..37  meta length    uint16, then meta, then payload
 */
import type { EntryKind, Version } from '../entry.ts'

/** Not a byte that JSON, MessagePack maps, gzip or zstd begin with, nor valid UTF-8: foreign values are told apart by it. */
export const MAGIC = 0xc7
export const FORMAT = 1
export const HEADER_BYTES = 38

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

/** Whether bytes begin with a header that this release reads: the cheap check, not a proof of a whole entry. */
export function isEnvelope(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_BYTES && bytes[OFFSET.magic] === MAGIC && bytes[OFFSET.format] === FORMAT
}

/** The version in a header. @param bytes an envelope */
export function versionOf(bytes: Uint8Array): Version {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(OFFSET.version)
}

/**
 * Whether `next` may take the place of `current`: it is of a newer version, or of an equal one and fresh for longer, or `current` is no
 * envelope. The order that every owner applies (`node/scripts/apply.lua` is the same in Lua). Fresh-until directly follows the version,
 * so that both together compare as one run of bytes.
 */
export function supersedes(next: Uint8Array, current: Uint8Array): boolean {
  if (!isEnvelope(current)) return true
  for (let at = OFFSET.version; at < OFFSET.grace; at++) {
    const difference = next[at]! - current[at]!
    if (difference !== 0) return difference > 0
  }
  return false
}
