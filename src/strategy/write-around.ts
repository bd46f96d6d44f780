/**
 * Write-around: the store first, then the cached copies are removed; the next read loads.
 *
 * For values written more often than read: the cache holds only what somebody asked for.
 */
import type { Store } from '../store/store.ts'
import { checkedStore } from './checked-store.ts'
import { StoreStrategy } from './store-strategy.ts'
import type { StrategyChoice } from './strategy.ts'

/** @param store where rows live */
export function writeAround<V>(store: Store<V>): StrategyChoice<V> {
  checkedStore(store, 'writeAround: store')
  return { name: 'write-around', build: (parts) => new StoreStrategy('write-around', parts, parts.guard?.(store) ?? store, 'remove') }
}
