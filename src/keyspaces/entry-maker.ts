/**
 * One cache's entries in the making: a value's times, tags and version, and the change that puts it on the nodes.
 */
import type { Clock, Random } from '../clock.ts'
import type { Change, PutChange } from '../cluster/cluster.ts'
import type { Codec } from '../codec/codec.ts'
import { graceOf, isRemoval, pendingTtlMs, settledEnvelope, versionOf } from '../codec/envelope.ts'
import type { KeyCodec } from '../codec/key.ts'
import type { EntryKind, Stamp, Version } from '../entry.ts'
import { asError, ConfigurationError } from '../errors.ts'
import { checkedTags } from '../options.ts'

/** How long a tombstone is kept: an older change that arrives within this time is refused. 5 minutes. */
const TOMBSTONE_MS = 300_000

/** An entry lives for so long at most, ms, however long its TTL is: 24 days, what serial numbers of 32 bits can tell apart. */
const MAX_LIFE_MS = 24 * 86_400_000

/** Overrides of the cache's own times, ms. */
export interface PutTimes {
  readonly ttlMs?: number | undefined
  readonly graceMs?: number | undefined
}

/** One entry to be put. */
export interface Put<V> {
  readonly key: string
  /** Undefined: a negative entry. */
  readonly value: V | undefined
  readonly kind: Extract<EntryKind, 'value' | 'negative' | 'pending'>
  readonly version: Version
  readonly times?: PutTimes | undefined
  /** Default: what the cache's `tags` option says of the value. */
  readonly tags?: readonly string[] | undefined
  /** When the load or write began, by `keyspace.nowMs()`. */
  readonly begunMs: number
  /** What loading it took, ms; 0 for a write. */
  readonly loadCostMs: number
  /** What the look-up before a load saw. */
  readonly over?: Stamp | undefined
}

export interface EntryMakerParts<V> {
  /** Its name, for messages. */
  readonly cache: string
  readonly codec: Codec<V>
  readonly keys: KeyCodec
  readonly ttlMs: number
  readonly graceMs: number
  readonly negativeTtlMs: number
  /** The fraction of a TTL by which it is shortened at most, at random. */
  readonly jitter: number
  /** The groups that a value belongs to. */
  readonly tagsOf?: ((value: V, key: string) => readonly string[]) | undefined
  readonly clock: Clock
  readonly random: Random
}

const NO_TAGS: readonly string[] = Object.freeze([])

export class EntryMaker<V> {
  readonly #parts: EntryMakerParts<V>

  constructor(parts: EntryMakerParts<V>) {
    this.#parts = parts
  }

  /** @throws ConfigurationError when the cache's `tags` option throws, or returns what are no tags */
  tagsOf(put: Put<V>): readonly string[] {
    const { tagsOf, cache } = this.#parts
    if (put.kind === 'negative') return NO_TAGS
    if (put.tags !== undefined || tagsOf === undefined) return put.tags ?? NO_TAGS
    let tags: readonly string[] | undefined
    try {
      tags = tagsOf(put.value as V, put.key)
    } catch (cause) {
      throw new ConfigurationError(`cache '${cache}': tags: needs a function that does not throw, but got: ${asError(cause).message}`, {
        cause,
      })
    }
    return tags === undefined ? NO_TAGS : checkedTags(tags, `cache '${cache}': what its tags option returns`)
  }

  /** @throws EncodeError @throws ConfigurationError for a key that cannot be one */
  put(put: Put<V>, tags: readonly string[]): PutChange | Extract<Change, { op: 'set' }> {
    const { clock, codec, random, jitter, keys, negativeTtlMs } = this.#parts
    const key = keys.encode(put.key)
    const negative = put.kind === 'negative'
    const fullTtlMs = negative ? negativeTtlMs : (put.times?.ttlMs ?? this.#parts.ttlMs)
    const ttlMs = Math.min(MAX_LIFE_MS, Math.max(1, Math.round(fullTtlMs * (1 - jitter * random()))))
    const graceMs = negative || !codec.enveloped ? 0 : Math.min(MAX_LIFE_MS - ttlMs, put.times?.graceMs ?? this.#parts.graceMs)
    const header = {
      version: put.version,
      freshUntilMs: clock.now() + ttlMs,
      graceMs,
      loadCostMs: put.loadCostMs,
      begun: put.begunMs,
      tags,
    }
    const bytes = codec.encode(put.kind, put.value, header)
    // What takes a tombstone's place keeps watch in its stead.
    const inItsPlace = negative && put.version > 0n && put.over?.version === put.version
    const keptMs = inItsPlace ? Math.max(ttlMs, TOMBSTONE_MS) : ttlMs + graceMs
    return { op: codec.enveloped ? 'put' : 'set', key, bytes, ttlMs: put.kind === 'pending' ? 0 : keptMs }
  }

  tombstone(key: string, version: Version, begunMs: number): Change {
    const { codec, keys } = this.#parts
    if (!codec.enveloped) return { op: 'drop', key: keys.encode(key) }
    const header = { version, freshUntilMs: 0, graceMs: 0, begun: begunMs }
    return { op: 'put', key: keys.encode(key), bytes: codec.encode('tombstone', undefined, header), ttlMs: TOMBSTONE_MS }
  }

  /** What says that a row is yet to be removed: kept until it is. */
  removal(key: string, version: Version, begunMs: number): PutChange {
    const { codec, keys } = this.#parts
    const header = { version, freshUntilMs: begunMs, graceMs: 0, begun: begunMs }
    return { op: 'put', key: keys.encode(key), bytes: codec.encode('pending', undefined, header), ttlMs: 0 }
  }

  /** What was written is to lie on the nodes as it did, until the store has it. @param bytes of a pending entry */
  pending(key: string, bytes: Uint8Array): PutChange {
    return { op: 'put', key: this.#parts.keys.encode(key), bytes, ttlMs: 0, issuedMs: this.#parts.clock.now() }
  }

  /** The store has it now, so that it may age. @param bytes of a pending entry @param version that the store gave it */
  settled(key: string, bytes: Uint8Array, version: Version): PutChange {
    const { clock, codec, keys } = this.#parts
    const nowMs = clock.now()
    const settled = settledEnvelope(bytes, nowMs)
    if (version !== versionOf(bytes)) codec.stamp(settled, version)
    const ttlMs = isRemoval(bytes) ? TOMBSTONE_MS : Math.max(1, pendingTtlMs(bytes) + graceOf(bytes))
    return { op: 'put', key: keys.encode(key), bytes: settled, ttlMs, issuedMs: nowMs }
  }

  touch(key: string, version: Version, times: PutTimes | undefined): Change {
    const { clock, keys } = this.#parts
    const ttlMs = times?.ttlMs ?? this.#parts.ttlMs
    const keptMs = ttlMs + (times?.graceMs ?? this.#parts.graceMs)
    return { op: 'touch', key: keys.encode(key), version, freshUntilMs: clock.now() + ttlMs, ttlMs: keptMs }
  }
}
