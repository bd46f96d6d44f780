/**
 * The contract of a codec: a value as an entry's bytes, and back.
 *
 * `envelope-codec.ts` is the ordinary one, `plain-codec.ts` the one for foreign values. What is read is judged, never trusted: bytes that are
 * not a whole entry of this cache's shape are a rejection with a reason, which is a miss above, and nothing that lies on a node can make
 * `decode` throw.
 */
import type { Entry, EntryKind, Version } from '../entry.ts'
import type { Compression } from './compression.ts'
import type { Serializer } from './serializer.ts'
import type { StandardSchema } from './standard-schema.ts'

export interface CodecOptions<V> {
  /** Default: `json()`. */
  readonly serializer?: Serializer<V> | undefined
  /** Default: `zstd()`, which leaves values below 4 KiB alone. Entries compressed by it are read whatever is set here. */
  readonly compression?: Compression | undefined
  /** The shape of the values, 0 to 2^32 − 1: raise it when they change, and entries of another number are misses. Default 0. */
  readonly schema?: number | undefined
  /** Judges each value that is read, and may transform it; synchronous. zod, valibot and others offer it. */
  readonly validate?: StandardSchema<V> | undefined
  /** Bytes of a serialized value, before compression. Default 16 MiB. */
  readonly maxValueBytes?: number | undefined
}

/** What an entry says beside its kind and value. */
export interface EntryFields {
  readonly version: Version
  readonly freshUntilMs: number
  readonly graceMs: number
  /** Default 0: unknown. */
  readonly loadCostMs?: number | undefined
  /** ms since the epoch, or their low 32 bits. */
  readonly begun: number
  readonly tags?: readonly string[] | undefined
}

/**
 * Why bytes are no entry of this cache. `foreign`: not Ringtail's. `corrupt`: cut short or bent. `format`: of a release or a codec that is
 * not read here. `schema`: of another schema number, as a rolling deploy leaves them. `invalid`: the validation refused the value.
 */
export type Reason = 'foreign' | 'corrupt' | 'format' | 'schema' | 'invalid'

export interface Rejection {
  readonly rejected: Reason
  /** For an event; holds no value. */
  readonly detail: string
}

/** An entry as it was read. Version, grace, load cost and begun are read from its bytes when asked for, not before. */
export interface Decoded<V> extends Entry<V> {
  readonly rejected: undefined
}

export interface Codec<V> {
  /** Whether entries carry an envelope, hence kinds, versions and times. */
  readonly enveloped: boolean
  /** @param value ignored unless `kind` is 'value' or 'pending' @throws EncodeError when the value does not serialize or is too large */
  encode(kind: EntryKind, value: V | undefined, fields: EntryFields): Uint8Array
  /** Never throws for what the bytes are; @throws ConfigurationError when `validate` is asynchronous */
  decode(bytes: Uint8Array): Decoded<V> | Rejection
}
