/**
 * What a row runs on: nodes, lifetimes, strategy, and how it begins.
 */

/** What a row runs on, unless it says otherwise. */
export interface RowSetting {
  /** Nodes at `maxmemory`, evicting. */
  readonly full: boolean
  /** Of every cached value, ms. */
  readonly ttlMs: number
  readonly graceMs: number
  readonly strategy: 'write-through' | 'write-behind'
  /** Shards that the row takes away or slows down: what is read of them may be older than its bound if it is marked stale. Nothing else may. */
  readonly staleShards: readonly number[]
  /** Whether each shard has so few places that the load of the plan takes most of them. */
  readonly scarce: boolean
  /** Whether each client captures the changes of the shards, as far as another does not, the first client first. */
  readonly captured: boolean
  /** Load before the fault, as a multiple of the plan's. */
  readonly lead: number
  /** Whether clients have read every key before there is load. */
  readonly warm: boolean
  /** Nodes that run and are in nobody's ring yet. */
  readonly spares: readonly { readonly id: string; readonly zone: string }[]
  /** Whether the first client runs under a wall clock that the ground can set. */
  readonly fakeClock: boolean
}

export const USUAL: RowSetting = {
  full: false,
  ttlMs: 60_000,
  graceMs: 600_000,
  strategy: 'write-through',
  staleShards: [],
  scarce: false,
  captured: false,
  lead: 1,
  warm: true,
  spares: [],
  fakeClock: false,
}

/** Where a row writes behind: long enough for writes to be pending at any moment. */
export const FLUSH_AFTER = '1s'
/** Of the connections to a shard, the places where they are scarce. */
export const SCARCE = 1 / 4
