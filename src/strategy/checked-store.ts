/**
 * Whether what a strategy was handed is a store: found out when the cache is configured, not at its first write.
 */
import { ConfigurationError } from '../errors.ts'
import type { Store, StoreReader } from '../store/store.ts'

/** @throws ConfigurationError for what cannot load */
export function checkedReader(reader: StoreReader<never> | StoreReader<unknown>, what: string): void {
  if (typeof reader?.load !== 'function' || typeof reader.stats !== 'function') {
    throw ConfigurationError.of(what, 'a store, or a reader such as postgresReader(…)', reader)
  }
}

/** @throws ConfigurationError for what cannot load, save and remove */
export function checkedStore(store: Store<never> | Store<unknown>, what: string): void {
  if (typeof store?.load !== 'function' || typeof store.save !== 'function' || typeof store.remove !== 'function') {
    throw ConfigurationError.of(what, 'a store that loads, saves and removes, such as postgresStore(…)', store)
  }
}
