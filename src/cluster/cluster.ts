/**
 * The contract of a cluster: bytes under keys, each on several nodes, whatever becomes of single nodes.
 *
 * Above it nobody knows where a key lies; below it nobody knows that there is more than one node.
 */

import type { Stamp, Version } from '../entry.ts'
import type { RingtailError } from '../errors.ts'
import type { CacheNode, Change } from '../node/node.ts'

export type { Change }

/**
 * How many owners must have taken a write before it is acknowledged. `quorum`: more than half of them, the first, which readers ask, among
 * them unless it fails.
 */
export type WriteLevel = 'one' | 'quorum' | 'all'

/**
 * Whom a read asks. `primary`: the key's first owner. `nearest`: an owner in this process's zone, else the first. `quorum`: more than half of
 * the owners; the newest of their answers. `all`: every owner that answers, and at least one; for a session that wrote at level `one`.
 */
export type ReadLevel = 'primary' | 'nearest' | 'quorum' | 'all'

/** The right to load a key, until it ends or is cleared. */
export interface Lease {
  readonly token: number
  /** The owner that granted it, which judges the fill. */
  readonly node: CacheNode
  /** When it is over by itself, ms, monotonic: at the latest, unless the owner comes to the question only after its answer was given up. */
  readonly untilMs: number
}

export interface LeaseRequest {
  readonly key: string
  readonly leaseMs: number
  readonly seen: Stamp
  /** Takes the lease from whoever has it. */
  readonly force?: boolean | undefined
}

/** See `Leased` of the node; `failed`: no owner could be asked. */
export type LeaseAnswer =
  | { readonly state: 'granted'; readonly lease: Lease; readonly held: Stamp }
  | { readonly state: 'held'; readonly forMs: number }
  | { readonly state: 'changed'; readonly fetched: Fetched }
  | { readonly state: 'failed'; readonly error: RingtailError }

export interface Fill {
  readonly change: PutChange
  readonly lease: Lease
}

export type PutChange = Extract<Change, { op: 'put' }>

export interface ClusterCall {
  /** Bound of the whole call, ms. Default 250. */
  readonly deadlineMs?: number | undefined
  /** Of a read. Default: the cluster's own. */
  readonly read?: ReadLevel | undefined
}

/** What a read found. Neither bytes nor failure: a miss, said by `node`. */
export interface Fetched {
  readonly bytes: Uint8Array | undefined
  /** The node that answered; undefined when none did. */
  readonly node: CacheNode | undefined
  /** Why no owner answered. */
  readonly failure: RingtailError | undefined
}

/** What became of one change over all its owners. */
export type Replicated =
  | { readonly state: 'applied' }
  /** An owner held something newer, of that version; the change is overtaken, which is an answer, not a failure. */
  | {
      readonly state: 'refused'
      readonly version: Version
      /** The key's first owner refused it, so that no reader of the primary can have seen it. Of `put` and `replicate`. */
      readonly byPrimary?: true | undefined
      /**
       * And as many owners as the level needs refused it, so that no reader of a quorum can have seen it either. So it is wherever what
       * refused it had been acknowledged before it was called.
       */
      readonly unseen?: true | undefined
    }
  /** Fewer owners than the level asks for took it, within the deadline. Some may have. */
  | { readonly state: 'unacknowledged'; readonly error: RingtailError }

export interface Cluster {
  readonly nodes: readonly CacheNode[]
  readonly replicas: number
  ownersOf(key: string): readonly CacheNode[]
  /** While keys move: who owns this one by the ring that processes of the neighbouring phase read by; undefined otherwise. */
  otherOwnersOf?(key: string): readonly CacheNode[] | undefined
  /**
   * Reads one key from the first owner that answers within the try's timeout. The hot path, hence no promise: `settle` is called exactly
   * once, possibly before `fetch` returns, with the failure in `Fetched` if there was one. It must not throw.
   */
  fetch(key: string, settle: (fetched: Fetched) => void, call?: ClusterCall): void
  /** In the order of `keys`, one request a node; keys whose node failed are asked of their next owners, those only. Never rejects. */
  fetchMany(keys: readonly string[], call?: ClusterCall): Promise<Fetched[]>
  /**
   * A put with `expected`, decided by the key's primary alone and then put on the other owners: `refused` means that the version there was
   * another. Rejected by a primary that cannot be reached as `unacknowledged`.
   */
  compareAndSet(change: PutChange, level: WriteLevel, call?: ClusterCall): Promise<Replicated>
  /** `replicate` of one change. The hot path, hence no promise: `settle` is called exactly once, possibly before `put` returns. It must not throw. @param nowMs where the caller has just read the clock: ms since the epoch */
  put(change: Change, level: WriteLevel, settle: (replicated: Replicated) => void, call?: ClusterCall, nowMs?: number): void
  /** At each key's primary, or the next owner where that does not answer. In order; never rejects. */
  lease(requests: readonly LeaseRequest[], call?: ClusterCall): Promise<LeaseAnswer[]>
  /**
   * Puts what was loaded: the owner that granted the lease judges first, and what it takes goes to the others. `refused` when the lease was
   * lost, or the key holds something newer. In order; never rejects.
   */
  fill(fills: readonly Fill[], level: WriteLevel, call?: ClusterCall): Promise<Replicated[]>
  /** Gives leases back without a fill; nobody is told of a failure, for they end by themselves. */
  release(leases: readonly { readonly key: string; readonly lease: Lease }[]): void
  /** Sends each change to all owners of its key; resolves, per change and in order, when `level` is reached or cannot be. Never rejects. */
  replicate(changes: readonly Change[], level: WriteLevel, call?: ClusterCall): Promise<Replicated[]>
}
