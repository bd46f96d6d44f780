/**
 * A store that has its bad moments: a decorator of any store or reader, in the process and under a fake clock.
 *
 * Statements that fail, come late, hang, are lost, or lose their answer after the commit. What the store holds is always true; what its
 * caller is told is what a driver could tell: `failed` where nothing was done, `unknown` where it may have been. A caller that gives up a late
 * statement does not stop it: it commits all the same, as in a database.
 *
 *     const store = flakyStore(memoryStore<Product>(), { odds: { fail: 0.05, late: 0.1, lateMs: 500 } })
 *     store.mishaps.script(({ operation }) => (operation === 'save' ? 'lose-answer' : undefined))
 *     store.mishaps.down()
 *
 * Without a mishap it keeps the contract of a store in full (`testing/store-conformance.ts`).
 */
import { StoreError } from '../errors.ts'
import type { Loaded, Removal, Save, SaveStatus, Store, StoreCall, StoreReader } from '../store/store.ts'
import type { FlakyOptions } from './mishap.ts'
import { Mishaps } from './mishaps.ts'

export interface FlakyReader<V> extends StoreReader<V> {
  /** What goes wrong, to be said and changed at any time. Every call meets it but `stats`. */
  readonly mishaps: Mishaps
}

export interface FlakyStore<V> extends Store<V> {
  /** What goes wrong, to be said and changed at any time. Every call meets it but `stats`. */
  readonly mishaps: Mishaps
}

/** @throws ConfigurationError on a wrong option */
export function flakyReader<V>(reader: StoreReader<V>, options: FlakyOptions = {}): FlakyReader<V> {
  const mishaps = mishapsOf(reader.name, options)
  return {
    name: reader.name,
    mishaps,
    stats: () => reader.stats(),
    load: (keys, call) => load(reader, mishaps, keys, call),
  }
}

/** @throws ConfigurationError on a wrong option */
export function flakyStore<V>(store: Store<V>, options: FlakyOptions = {}): FlakyStore<V> {
  const { shardOf, prepare } = store
  const mishaps = mishapsOf(store.name, options)
  return {
    name: store.name,
    versioned: store.versioned,
    remembersRemovals: store.remembersRemovals,
    mishaps,
    stats: () => store.stats(),
    load: (keys, call) => load(store, mishaps, keys, call),
    save: (saves, call) => changed(mishaps, 'save', saves, call, (how) => store.save(saves, how)),
    remove: (removals, call) => changed(mishaps, 'remove', removals, call, (how) => store.remove(removals, how)),
    ...(shardOf === undefined ? {} : { shardOf: (key: string) => shardOf.call(store, key) }),
    ...(prepare === undefined ? {} : { prepare: () => prepare.call(store) }),
  }
}

function mishapsOf(name: string, options: FlakyOptions): Mishaps {
  const error = (reason: string): StoreError => new StoreError(`${name}: ${reason}`)
  return new Mishaps('flakyStore', options, '10s', {
    failed: error,
    unknown: error,
    silent: (timeoutMs) => error(`no answer within ${timeoutMs} ms`),
  })
}

async function load<V>(reader: StoreReader<V>, mishaps: Mishaps, keys: readonly string[], call?: StoreCall): Promise<Loaded<V>> {
  const mishap = isAsked(keys, call) ? mishaps.of('load', keys) : undefined
  if (mishap === undefined) return reader.load(keys, call)
  const met = await mishaps.meet(mishap, () => reader.load(keys), call)
  if (met.state === 'answered') return met.answer
  call?.signal?.throwIfAborted()
  throw met.error
}

async function changed(
  mishaps: Mishaps,
  operation: 'save' | 'remove',
  items: readonly (Save<unknown> | Removal)[],
  call: StoreCall | undefined,
  act: (call?: StoreCall) => Promise<SaveStatus[]>,
): Promise<SaveStatus[]> {
  const keys = items.map(({ key }) => key)
  const mishap = isAsked(keys, call) ? mishaps.of(operation, keys) : undefined
  if (mishap === undefined) return act(call)
  const met = await mishaps.meet(mishap, () => act(), call)
  if (met.state === 'answered') return met.answer
  const { state, error } = met
  if (state === 'refused') return items.map(() => ({ state: 'failed', error, forGood: true }))
  return items.map(() => ({ state, error }))
}

/** What asks the database nothing meets nothing. */
function isAsked(keys: readonly string[], call: StoreCall | undefined): boolean {
  return keys.length > 0 && call?.signal?.aborted !== true
}
