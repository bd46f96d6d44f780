/**
 * Meta: what some entries carry beside header and payload, and most do not.
 *
 * A run of fields, each a type byte, a uint16 length and that many bytes, so that a later release can add one: a reader skips a type that it
 * does not know, unless its top bit is set, which says that the entry cannot be understood without it (the rule of PNG's critical chunks).
 * Numbers are big-endian. No fields, no bytes: an entry of schema 0 without tags has an empty meta, and its reader nothing to do.
 *
 *     0x01  schema       uint32: the shape of the value, as its cache numbers them; absent: 0
 *     0x02  tags         each a uint16 length and UTF-8
 *     0x81  dictionary   uint32: what the payload was compressed with, beside its algorithm; absent: 0, none
 */
import { EncodeError, inspectBriefly } from '../errors.ts'
import { uint16, uint32 } from './big-endian.ts'

export interface Meta {
  readonly schema: number
  readonly tags: readonly string[]
  readonly dictionary: number
}

/** What an empty meta says. */
export const NO_META: Meta = Object.freeze({ schema: 0, tags: Object.freeze([]), dictionary: 0 })
export const NO_META_BYTES: Uint8Array = new Uint8Array(0)

export const MAX_META_BYTES = 0xffff
/** Most tags of one entry. */
export const MAX_TAGS = 256

const TYPE = { schema: 0x01, tags: 0x02, dictionary: 0x81 } as const
const CRITICAL = 0x80
const FIELD_HEADER_BYTES = 3

/** @throws EncodeError for more than 256 tags, a tag that is no well-formed text, or more than 65,535 bytes in all */
export function encodeMeta(meta: Meta): Uint8Array {
  if (meta.schema === 0 && meta.dictionary === 0 && meta.tags.length === 0) return NO_META_BYTES
  const tags = meta.tags.length === 0 ? [] : tagBytes(meta.tags)
  const tagsLength = tags.reduce((sum, tag) => sum + 2 + tag.length, 0)
  const length =
    (meta.schema === 0 ? 0 : FIELD_HEADER_BYTES + 4) +
    (meta.dictionary === 0 ? 0 : FIELD_HEADER_BYTES + 4) +
    (tags.length === 0 ? 0 : FIELD_HEADER_BYTES + tagsLength)
  if (length > MAX_META_BYTES) throw new EncodeError(`entry: needs at most ${MAX_META_BYTES} bytes of tags and meta, but got: ${length}`)

  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  if (meta.schema !== 0) at = writeUint32Field(bytes, at, TYPE.schema, meta.schema)
  if (meta.dictionary !== 0) at = writeUint32Field(bytes, at, TYPE.dictionary, meta.dictionary)
  if (tags.length !== 0) {
    bytes[at] = TYPE.tags
    at = bytes.writeUInt16BE(tagsLength, at + 1)
    for (const tag of tags) {
      at = bytes.writeUInt16BE(tag.length, at)
      bytes.set(tag, at)
      at += tag.length
    }
  }
  return bytes
}

/**
 * The meta at [start, end). Never reads beyond `end`, never throws.
 * @returns 'corrupt' when a length does not add up, 'unknown' when there is a critical field that this release does not know
 */
export function decodeMeta(bytes: Uint8Array, start: number, end: number): Meta | 'corrupt' | 'unknown' {
  if (start === end) return NO_META
  const meta = { schema: 0, tags: NO_META.tags, dictionary: 0 }
  let at = start
  while (at < end) {
    if (at + FIELD_HEADER_BYTES > end) return 'corrupt'
    const type = bytes[at]!
    const from = at + FIELD_HEADER_BYTES
    at = from + uint16(bytes, at + 1)
    if (at > end) return 'corrupt'
    if (type === TYPE.schema || type === TYPE.dictionary) {
      if (at - from !== 4) return 'corrupt'
      meta[type === TYPE.schema ? 'schema' : 'dictionary'] = uint32(bytes, from)
    } else if (type === TYPE.tags) {
      const tags = decodeTags(bytes, from, at)
      if (tags === undefined) return 'corrupt'
      meta.tags = tags
    } else if ((type & CRITICAL) !== 0) {
      return 'unknown'
    }
  }
  return meta
}

function decodeTags(bytes: Uint8Array, start: number, end: number): string[] | undefined {
  const tags: string[] = []
  let at = start
  while (at < end) {
    if (at + 2 > end || tags.length === MAX_TAGS) return undefined
    const from = at + 2
    at = from + uint16(bytes, at)
    if (at > end) return undefined
    tags.push(Buffer.prototype.toString.call(bytes, 'utf8', from, at))
  }
  return tags
}

function tagBytes(tags: readonly string[]): Uint8Array[] {
  if (tags.length > MAX_TAGS) throw new EncodeError(`entry: needs at most ${MAX_TAGS} tags, but got: ${tags.length}`)
  return tags.map((tag) => {
    if (typeof tag !== 'string' || !tag.isWellFormed()) {
      throw new EncodeError(`entry: a tag needs to be well-formed text, but got: ${inspectBriefly(tag)}`)
    }
    const bytes = Buffer.from(tag)
    if (bytes.length > MAX_META_BYTES) {
      throw new EncodeError(`entry: a tag needs to be at most ${MAX_META_BYTES} bytes long, but got: ${bytes.length}`)
    }
    return bytes
  })
}

function writeUint32Field(bytes: Buffer, at: number, type: number, value: number): number {
  bytes[at] = type
  return bytes.writeUInt32BE(value, bytes.writeUInt16BE(4, at + 1))
}
