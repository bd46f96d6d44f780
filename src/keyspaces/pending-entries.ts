/**
 * Entries of writes that the store does not have yet: how they come to lie on the nodes, and what becomes of them when it has them.
 *
 * A pending entry has no expiry, so that nodes do not evict it, and is the truth for every reader. Once its write is in the store it becomes
 * an ordinary value that ages, or the tombstone of a removal; under the same version, unless the store gave it a higher one.
 */

import type { Change, Cluster, ClusterCall, Replicated, WriteLevel } from '../cluster/cluster.ts'
import type { Codec } from '../codec/codec.ts'
import { begunOf, isEnvelope, isRemoval, kindOf, versionOf } from '../codec/envelope.ts'
import type { KeyCodec } from '../codec/key.ts'
import type { Version } from '../entry.ts'
import type { EntryMaker } from './entry-maker.ts'

/** One of them, as it was written. */
export interface PendingBytes {
  readonly key: string
  readonly bytes: Uint8Array
}

interface PendingEntriesParts<V> {
  readonly cluster: Cluster
  readonly codec: Codec<V>
  readonly keys: KeyCodec
  readonly writes: WriteLevel
  readonly nowMs: () => number
}

/** One that was found on the nodes. */
export interface PendingFound {
  readonly bytes: Uint8Array
  readonly version: Version
  readonly op: 'save' | 'remove'
  /** Low 32 bits of ms since the epoch. */
  readonly begun: number
}

export class PendingEntries<V> {
  readonly #parts: PendingEntriesParts<V>
  readonly #maker: EntryMaker<V>

  constructor(parts: PendingEntriesParts<V>, maker: EntryMaker<V>) {
    this.#parts = parts
    this.#maker = maker
  }

  /** What says that a row is yet to be removed. @param begunMs by `keyspace.nowMs()` @throws ConfigurationError for a key that cannot be one */
  prepareRemoval(
    key: string,
    version: Version,
    begunMs: number,
  ): { readonly key: string; readonly change: Change; readonly member: undefined } {
    return { key, change: this.#maker.removal(key, version, begunMs), member: undefined }
  }

  /** Lays them on their owners once more. In order; never rejects. */
  layAgain(pending: readonly PendingBytes[], call?: ClusterCall): Promise<Replicated[]> {
    const changes = pending.map(({ key, bytes }) => this.#maker.pending(key, bytes))
    return this.#parts.cluster.replicate(changes, this.#parts.writes, call)
  }

  /** The store has them, under these versions. `unacknowledged`: some owner may hold it as pending still. In order; never rejects. */
  settle(pending: readonly (PendingBytes & { readonly version: Version })[], call?: ClusterCall): Promise<Replicated[]> {
    const changes = pending.map(({ key, bytes, version }) => this.#maker.settled(key, bytes, version))
    return this.#parts.cluster.replicate(changes, 'all', call)
  }

  /** They are not to be in the store any more: a tombstone takes the place of each, unless something newer has. As `settle`. */
  drop(pending: readonly PendingBytes[], call?: ClusterCall): Promise<Replicated[]> {
    const nowMs = this.#parts.nowMs()
    const changes = pending.map(({ key, bytes }) => {
      // Of one version what began later counts.
      const aheadMs = (begunOf(bytes) - (nowMs % 2 ** 32)) | 0
      return this.#maker.tombstone(key, versionOf(bytes), nowMs + Math.max(0, aheadMs + 1))
    })
    return this.#parts.cluster.replicate(changes, 'all', call)
  }

  /** What lies under a key, of all its owners the newest. @returns undefined where that is no pending entry, or nobody answered */
  async at(key: string): Promise<PendingFound | undefined> {
    const wire = this.#parts.keys.encode(key)
    const [fetched] = await this.#parts.cluster.fetchMany([wire], { read: 'all' })
    const bytes = fetched?.bytes
    if (bytes === undefined || !isEnvelope(bytes) || kindOf(bytes) !== 'pending') return undefined
    // Kept for long: not a view of a reply.
    const copy = Uint8Array.prototype.slice.call(bytes)
    return { bytes: copy, version: versionOf(copy), op: isRemoval(copy) ? 'remove' : 'save', begun: begunOf(copy) }
  }

  versionOf(bytes: Uint8Array): Version {
    return versionOf(bytes)
  }

  /** @returns the value; undefined in what removes; or why it cannot be read: it was written under another schema, or is damaged */
  valueOf(bytes: Uint8Array): { readonly value: V | undefined } | { readonly reason: string } {
    const decoded = this.#parts.codec.decode(bytes)
    return decoded.rejected === undefined ? { value: decoded.value } : { reason: `${decoded.rejected}: ${decoded.detail}` }
  }
}
