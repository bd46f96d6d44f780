/** What write-behind is given, checked. */
import { ConfigurationError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { type Duration, durationMs, knownOptions, wholeNumber } from '../options.ts'
import type { Store } from '../store/store.ts'
import { checkedStore } from './checked-store.ts'

export interface WriteBehindOptions {
  /** Where writes lie until the store has them: `await openJournal({ directory })`. One may serve several caches of a process. */
  readonly journal: Journal
  /** How long a write waits for later ones of its key, and for others to leave with it. Default 50 ms. */
  readonly flushAfter?: Duration | undefined
  /** Rows of one call to the store. Default 500. */
  readonly batch?: number | undefined
  /** How long closing waits for the store; what is left then stays in the journal. Default 10 s. */
  readonly drain?: Duration | undefined
  /** From which age on a write of another process that the store does not have yet is saved by whoever reads it. Default 1 min. */
  readonly adoptAfter?: Duration | undefined
  /** Takes a store that does not remember removals: a write that comes to it late may then bring a removed row back. Default false. */
  readonly unmarkedRemovals?: boolean | undefined
}

const OPTIONS = ['journal', 'flushAfter', 'batch', 'drain', 'adoptAfter', 'unmarkedRemovals']

export interface CheckedWriteBehind {
  readonly journal: Journal
  readonly delayMs: number
  readonly batch: number
  readonly drainMs: number
  readonly adoptAfterMs: number
}

/** @throws ConfigurationError for a store that cannot be written behind, and for options that cannot be */
export function checkedWriteBehind<V>(store: Store<V>, options: WriteBehindOptions): CheckedWriteBehind {
  checkedStore(store, 'writeBehind: store')
  knownOptions(options, 'writeBehind', OPTIONS)
  if (!store.versioned) throw ConfigurationError.of('writeBehind: store', 'a store with row versions', store.name)
  if (store.remembersRemovals !== true && options.unmarkedRemovals !== true) {
    const needed = "one that remembers removals, as postgresStore({ …, removals: 'products_removals' }) does, or unmarkedRemovals: true"
    throw ConfigurationError.of('writeBehind: store', needed, store.name)
  }
  if (typeof options.journal?.write !== 'function' || typeof options.journal.use !== 'function') {
    throw ConfigurationError.of('writeBehind: journal', 'what openJournal({ directory }) resolves with', options.journal)
  }
  return {
    journal: options.journal,
    delayMs: durationMs(options.flushAfter ?? 50, 'writeBehind: flushAfter'),
    batch: wholeNumber(options.batch ?? 500, 'writeBehind: batch', 1, 10_000),
    drainMs: durationMs(options.drain ?? 10_000, 'writeBehind: drain'),
    adoptAfterMs: durationMs(options.adoptAfter ?? 60_000, 'writeBehind: adoptAfter'),
  }
}
