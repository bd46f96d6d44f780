/**
 * Write-through: the store first, which is the truth and orders the writes, then every owner.
 *
 * A write is acknowledged when the store has it. If the nodes then cannot be reached, it is still a write: the tier is told, and what
 * cached copies there are age by their TTL. Where the store has no row versions the copies are removed instead of replaced.
 */
import type { Store } from '../store/store.ts'
import { checkedStore } from './checked-store.ts'
import { StoreStrategy } from './store-strategy.ts'
import type { StrategyChoice } from './strategy.ts'

/** @param store where rows live; with a version column, unless its `versioned` is false */
export function writeThrough<V>(store: Store<V>): StrategyChoice<V> {
  checkedStore(store, 'writeThrough: store')
  return {
    name: 'write-through',
    build: (parts) => new StoreStrategy('write-through', parts, parts.guard?.(store) ?? store, store.versioned ? 'replace' : 'remove'),
  }
}
