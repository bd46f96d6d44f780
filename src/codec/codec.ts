/**
 * The contract of a codec: a value as an entry's bytes, and back.
 *
 * `envelope-codec.ts` is the ordinary one, `plain-codec.ts` the one for foreign values. What is read is judged, never trusted: bytes that are
 * not a whole entry of this cache's shape are a rejection with a reason, which is a miss above, and nothing that lies on a node can make
 * `decode` throw.
 */
import type { Entry, EntryKind, Version } from '../entry.ts'

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
 * `dictionary`: packed by one that is not known here.
 */
export type Reason = 'foreign' | 'corrupt' | 'format' | 'schema' | 'invalid' | 'dictionary'

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
  /** Gives bytes that `encode` made and that have not left yet another version; nothing where there are none. */
  stamp(bytes: Uint8Array, version: Version): void
  /** Never throws for what the bytes are; @throws ConfigurationError when `validate` is asynchronous */
  decode(bytes: Uint8Array): Decoded<V> | Rejection
  /** As `decode` of each, in order; where there are no bytes, undefined. */
  decodeMany(all: readonly (Uint8Array | undefined)[]): (Decoded<V> | Rejection | undefined)[]
  /**
   * Of bytes that `decode` rejects for their dictionary: is being fetched, so that they may be decoded once this is fulfilled. Never rejects.
   * @returns undefined where nothing is lacking, or cannot be had
   */
  lacking?(bytes: Uint8Array): Promise<unknown> | undefined
}
