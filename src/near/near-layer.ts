/**
 * A near cache with what keeps it right: the invalidations that are heard, the groups that an entry belongs to, the keys' names on the nodes.
 *
 * A value is kept only if, from before it was read, every change of its key that a caller had acknowledged would have been heard. What is
 * heard of removes the copy; where something may have gone unheard, everything goes. Beyond that a copy lives for the near cache's own TTL.
 */
import type { Cluster, WriteLevel } from '../cluster/cluster.ts'
import type { KeyCodec } from '../codec/key.ts'
import type { Currency, Entry } from '../entry.ts'
import { hearsKey } from '../invalidation/hears-key.ts'
import type { Follower, Invalidations } from '../invalidation/invalidation.ts'
import type { Session } from '../session.ts'
import { announceKeys } from './announce-keys.ts'
import type { NearCache, NearEntry, NearStats, Reading } from './near-cache.ts'

/** A read's result as far as it may be kept. */
interface Readable<V> {
  readonly state: string
  readonly negative: boolean
  readonly entry: Entry<V> | undefined
  readonly sizeBytes: number
}

export interface NearLayerParts<V> {
  readonly near: NearCache<V>
  readonly keys: KeyCodec
  readonly cluster: Pick<Cluster, 'ownersOf' | 'otherOwnersOf' | 'replicas'>
  /** Of the cache's writes: who is acknowledged by several owners is heard from any of them. */
  readonly writes: WriteLevel
  readonly invalidations: Invalidations
  readonly currency: Currency
  /** How long before the end of its freshness a value is no longer answered from here, ms: its readers have to be seen, to touch or to load it anew. */
  readonly aheadMs: number
}

export class NearLayer<V> {
  readonly #parts: NearLayerParts<V>
  /** How many owners may be silent while every acknowledged change is still heard. */
  readonly #spare: number

  constructor(parts: NearLayerParts<V>) {
    this.#parts = parts
    const { writes, cluster } = parts
    this.#spare = writes === 'one' ? 0 : writes === 'all' ? cluster.replicas - 1 : Math.floor(cluster.replicas / 2)
    const follower: Follower = {
      changed: (wires) => this.#heard(wires),
      lost: () => parts.near.clear(),
    }
    parts.invalidations.follow(parts.keys.prefix, follower)
  }

  /** What is kept under the key and current; the hot path. */
  find(key: string): NearEntry<V> | undefined {
    const held = this.#parts.near.get(key)
    if (held === undefined) return undefined
    const current = this.#parts.currency.isCurrent(held, key)
    if (current === true) return held
    if (current === false) this.#parts.near.drop(key)
    return undefined
  }

  /** As `find`, for a read with a session, or with a loader, which may know what the store does not. */
  findFor(key: string, session: Session | undefined, loads: boolean): NearEntry<V> | undefined {
    const held = this.find(key)
    if (held === undefined || (loads && held.negative)) return undefined
    if (session === undefined) return held
    const { version, careful } = session.demands(this.#parts.keys.encode(key))
    return careful || held.version < version ? undefined : held
  }

  /** A read of the nodes begins. @returns undefined when what it brings must not be kept. @throws ConfigurationError for a key that cannot be one */
  reading(key: string): Reading | undefined {
    const { near, keys, cluster, invalidations } = this.#parts
    return hearsKey(invalidations, cluster, keys.prefix, keys.encode(key), this.#spare) ? near.reading() : undefined
  }

  keep(key: string, reading: Reading, { state, negative, entry, sizeBytes }: Readable<V>): void {
    if (state !== 'fresh' || entry === undefined) return
    const { value, version, begun, tags } = entry
    const freshUntilMs = negative ? entry.freshUntilMs : entry.freshUntilMs - this.#parts.aheadMs
    this.#parts.near.keep(key, reading, { value, version, begun, tags, freshUntilMs, negative, sizeBytes })
  }

  /** This process is about to change these keys. */
  forget(keys: readonly string[]): void {
    for (const key of keys) this.#parts.near.drop(key)
  }

  /** This process has changed these keys: what was read before that must not stay, here or elsewhere. */
  changed(keys: readonly string[]): void {
    this.forget(keys)
    announceKeys(keys, this.#parts)
  }

  stats(): NearStats {
    return this.#parts.near.stats()
  }

  #heard(wires: readonly string[]): void {
    for (const wire of wires) {
      const bytes = this.#parts.keys.decode(wire)
      if (bytes === undefined) continue
      const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
      // A key that is no well-formed text does not come back from its bytes: then it may be any of those kept.
      if (this.#parts.keys.encode(key) === wire) this.#parts.near.drop(key)
      else this.#parts.near.clear()
    }
  }
}
