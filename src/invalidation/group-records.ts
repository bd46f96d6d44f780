/**
 * The records of one cache's groups, as they lie on its nodes.
 *
 * A record says when its group was last deleted. It is a tombstone: an envelope of 38 bytes whose version's milliseconds are that moment, so
 * that nodes keep the latest by the rule they have for entries. It never expires: fresh-until stands at the end of time. One more record
 * beside them, which nobody follows, holds the latest moment that was given to any group. A record that a writer made for the first entry
 * of a group is told from that of a delete by the last bit of its version.
 *
 *     rt:!group:<cache>:all            the cache
 *     rt:!group:<cache>:ns:<name>      a namespace           names are escaped as keys are (`codec/key.ts`)
 *     rt:!group:<cache>:tag:<name>     a tag
 *     rt:!raised:<cache>               the latest of all
 */
import type { PutChange } from '../cluster/cluster.ts'
import { encodeEnvelope, HEADER_BYTES, isEnvelope, KIND_BYTE, MAX_FRESH_UNTIL_MS, OFFSET, versionOf } from '../codec/envelope.ts'
import { type KeyCodec, namespacedKey } from '../codec/key.ts'
import { ConfigurationError, inspectBriefly } from '../errors.ts'
import { versionAt, versionMs } from '../version-clock.ts'

/** What can be deleted at once: a whole cache, a namespace of it, or all entries with a tag. */
export type Group = { readonly kind: 'all' } | { readonly kind: 'ns' | 'tag'; readonly name: string }

export const MAX_TAG_BYTES = 256

const NOTHING = new Uint8Array(0)

export class GroupRecords {
  /** What the keys of all records of groups begin with. */
  readonly prefix: string
  readonly raisedKey: string
  readonly #cache: string
  readonly #names: KeyCodec

  constructor(cache: string) {
    this.#cache = cache
    this.#names = namespacedKey(cache)
    this.prefix = `rt:!group:${cache}:`
    this.raisedKey = `rt:!raised:${cache}`
  }

  keyOf(group: Group): string {
    if (group.kind === 'all') return `${this.prefix}all`
    return `${this.prefix}${group.kind}:${this.#names.encode(group.name).slice(this.#names.prefix.length)}`
  }

  /** The inverse; undefined for what is no key of a record, or of a name that no well-formed text has. */
  groupOf(key: string): Group | undefined {
    const [, kind, escaped] = /^(ns|tag):(.*)$/s.exec(key.slice(this.prefix.length)) ?? []
    if (kind === undefined) return key === `${this.prefix}all` ? { kind: 'all' } : undefined
    const bytes = this.#names.decode(this.#names.prefix + escaped)
    const group: Group = { kind: kind as 'ns' | 'tag', name: Buffer.from(bytes ?? NOTHING).toString() }
    return bytes !== undefined && this.keyOf(group) === key ? group : undefined
  }

  /** @throws ConfigurationError for what cannot be a tag's name */
  checkTag(name: unknown): asserts name is string {
    const what = `cache '${this.#cache}': tag`
    if (typeof name !== 'string' || name === '' || !name.isWellFormed()) {
      throw ConfigurationError.of(what, `well-formed text of 1 to ${MAX_TAG_BYTES} bytes`, name)
    }
    // A UTF-16 unit is at most three bytes, so most names need no counting.
    if (name.length * 3 > MAX_TAG_BYTES && Buffer.byteLength(name) > MAX_TAG_BYTES) {
      throw new ConfigurationError(
        `${what}: needs at most ${MAX_TAG_BYTES} bytes, but got: ${Buffer.byteLength(name)} in ${inspectBriefly(name)}`,
      )
    }
  }
}

/** When a group was last deleted. */
export interface GroupRecord {
  /** ms since the epoch. */
  readonly ms: number
  /** Whether it ever was: false for the record of a group that was only opened, by the writer of its first entry. */
  readonly deleted: boolean
}

/** Of two at the same moment the delete is the newer one. */
const DELETED_BIT = 1n

/** The put of a record. @param nowMs of the put, ms since the epoch */
export function recordPut(key: string, { ms: atMs, deleted }: GroupRecord, nowMs: number): PutChange {
  // All but the version follows from it, so that the same delete is the same record whoever puts it.
  const header = { kind: 'tombstone', codec: 0, freshUntilMs: MAX_FRESH_UNTIL_MS, graceMs: 0, loadCostMs: 0, begun: atMs } as const
  const bytes = encodeEnvelope({ ...header, version: versionAt(atMs) | (deleted ? DELETED_BIT : 0n) }, NOTHING, NOTHING)
  return { op: 'put', key, bytes, ttlMs: 0, issuedMs: nowMs }
}

/** @returns undefined for bytes that are no record */
export function recordOf(bytes: Uint8Array | undefined): GroupRecord | undefined {
  if (bytes === undefined || bytes.length !== HEADER_BYTES || !isEnvelope(bytes)) return undefined
  if (bytes[OFFSET.kind] !== KIND_BYTE.tombstone) return undefined
  const version = versionOf(bytes)
  return { ms: versionMs(version), deleted: (version & DELETED_BIT) !== 0n }
}
