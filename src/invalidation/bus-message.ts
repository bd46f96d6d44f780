/**
 * What a process says on the bus: who it is, its number, and the keys it changed.
 *
 * A message without keys repeats the number of the last one that had some: a heartbeat. One of kind `all` says that more keys were changed
 * than it would name. Numbers are big-endian:
 *
 *      0      format      1 byte
 *      1      kind        1 byte: 1 keys, 2 heartbeat, 3 all
 *      2..9   publisher   8 random bytes
 *     10..15  number      uint48: 1 for the first message of keys or all, one more for each of them
 *     then, for keys      each a uint16 length and UTF-8
 */

export type BusMessage =
  | { readonly kind: 'keys'; readonly publisher: string; readonly number: number; readonly keys: readonly string[] }
  | { readonly kind: 'heartbeat' | 'all'; readonly publisher: string; readonly number: number }

/** Keys of one message, at most. */
export const MAX_KEYS = 1_000
const FORMAT = 1
const HEADER_BYTES = 16
const KINDS = [undefined, 'keys', 'heartbeat', 'all'] as const

export function encodeMessage(message: BusMessage): Buffer {
  const keys = message.kind === 'keys' ? message.keys : []
  const lengths = keys.map((key) => Buffer.byteLength(key))
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + 2 + length, HEADER_BYTES))
  bytes[0] = FORMAT
  bytes[1] = KINDS.indexOf(message.kind)
  bytes.write(message.publisher, 2, 8, 'hex')
  let at = bytes.writeUIntBE(message.number, 10, 6)
  for (const [nth, key] of keys.entries()) {
    at = bytes.writeUInt16BE(lengths[nth]!, at)
    at += bytes.write(key, at)
  }
  return bytes
}

/** @returns undefined for bytes that are no such message, or of a later format */
export function decodeMessage(received: Uint8Array): BusMessage | undefined {
  const bytes = Buffer.from(received.buffer, received.byteOffset, received.byteLength)
  const kind = bytes.length < HEADER_BYTES || bytes[0] !== FORMAT ? undefined : KINDS[bytes[1]!]
  if (kind === undefined) return undefined
  const publisher = bytes.toString('hex', 2, 10)
  const number = bytes.readUIntBE(10, 6)
  if (number === 0) return undefined
  if (kind !== 'keys') return { kind, publisher, number }
  const keys: string[] = []
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    if (at + 2 > bytes.length) return undefined
    const from = at + 2
    at = from + bytes.readUInt16BE(at)
    if (at > bytes.length) return undefined
    keys.push(bytes.toString('utf8', from, at))
  }
  return { kind, publisher, number, keys }
}
