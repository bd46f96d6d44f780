/**
 * The contract of a cluster: bytes under keys, each on several nodes, whatever becomes of single nodes.
 *
 * Above it nobody knows where a key lies; below it nobody knows that there is more than one node.
 */

import type { Version } from '../entry.ts'
import type { RingtailError } from '../errors.ts'
import type { CacheNode, Change } from '../node/node.ts'

export type { Change }

/**
 * How many owners must have taken a write before it is acknowledged. `quorum`: more than half of them, the first, which readers ask, among
 * them unless it fails.
 */
export type WriteLevel = 'one' | 'quorum' | 'all'

export type PutChange = Extract<Change, { op: 'put' }>

export interface ClusterCall {
  /** Bound of the whole call, ms. Default 250. */
  readonly deadlineMs?: number | undefined
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
  | { readonly state: 'refused'; readonly version: Version }
  /** Fewer owners than the level asks for took it, within the deadline. Some may have. */
  | { readonly state: 'unacknowledged'; readonly error: RingtailError }

export interface Cluster {
  readonly nodes: readonly CacheNode[]
  readonly replicas: number
  ownersOf(key: string): readonly CacheNode[]
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
  /** Sends each change to all owners of its key; resolves, per change and in order, when `level` is reached or cannot be. Never rejects. */
  replicate(changes: readonly Change[], level: WriteLevel, call?: ClusterCall): Promise<Replicated[]>
}
