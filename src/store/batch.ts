/**
 * What every store does with a batch before and after its statements: one status an item, in order, whatever becomes of single items.
 */
import type { Version } from '../entry.ts'
import { ConfigurationError, EncodeError, inspectBriefly, RingtailError, StoreError, UnsupportedError } from '../errors.ts'
import { type Duration, durationMs } from '../options.ts'
import type { Removal, Save, SaveStatus, Store, StoreCall } from './store.ts'

/** Versions fit a database's `bigint`. */
export const HIGHEST_VERSION: Version = 2n ** 63n - 1n

/** The statuses of a batch while they come in. What was not said at the end is a failure, never a hole. */
export class Statuses {
  readonly #statuses: (SaveStatus | undefined)[]
  readonly #indexes = new Map<string, number>()

  /** Items whose key came before in the same batch are failed at once: which of the two should win was not said. */
  constructor(items: readonly { readonly key: string }[]) {
    this.#statuses = new Array(items.length)
    for (const [index, { key }] of items.entries()) {
      if (!this.#indexes.has(key)) this.#indexes.set(key, index)
      else this.#statuses[index] = failed(ConfigurationError.of('store: save or remove', 'each key once in a call', key))
    }
  }

  /** Whether the item is still to be done. */
  isOpen(index: number): boolean {
    return this.#statuses[index] === undefined
  }

  set(key: string, status: SaveStatus): void {
    this.#statuses[this.#indexes.get(key)!] = status
  }

  all(): SaveStatus[] {
    return Array.from(this.#statuses, (status) => status ?? failed(new StoreError('store: the database said nothing of this row')))
  }
}

export function failed(error: RingtailError): SaveStatus {
  return { state: 'failed', error }
}

/** The row itself is refused, however often it is sent. */
export function refusedForGood(error: RingtailError): SaveStatus {
  return { state: 'failed', error, forGood: true }
}

/** Why a save or removal cannot be asked of this store at all, if so. */
export function refusal(store: StoreTraits, item: Removal & { readonly expected?: Version | undefined }): RingtailError | undefined {
  if (item.ifOlder === true && item.expected !== undefined)
    return ConfigurationError.of(`${store.name}: a save`, 'either expected or ifOlder', 'both')
  for (const version of [item.floor, item.expected ?? 0n]) {
    if (typeof version !== 'bigint' || version < 0n || version > HIGHEST_VERSION)
      return ConfigurationError.of(`${store.name}: floor or expected`, 'a version: a bigint from 0 to 2^63 - 1', version)
  }
  // Without versions nobody can tell whether a row is still the one that was read.
  if (!store.versioned && (item.expected !== undefined || item.ifOlder === true))
    return new UnsupportedError(`${store.name}: a conditional save needs rows with versions, but the store has none`)
  return undefined
}

/** How long removals are relied upon to be remembered, ms. @throws ConfigurationError below a minute */
export function keptMsOf(removalsFor: Duration | undefined, what: string): number {
  const keptMs = durationMs(removalsFor ?? '7d', what)
  if (keptMs < 60_000) throw ConfigurationError.of(what, 'at least a minute', removalsFor)
  return keptMs
}

/** Why a save that only takes the place of something older is refused for good: what spoke against it may have been forgotten. */
export function forgotten(name: string, key: string, keptMs: number): StoreError {
  const hours = Math.round(keptMs / 360_000) / 10
  return new StoreError(
    `${name}: the row of key ${inspectBriefly(key)} is not there, and may have been removed since this write was made: it is older than the ${hours} h for which removals are remembered`,
  )
}

type StoreTraits = Pick<Store<never>, 'name' | 'versioned'>

/** @returns the value as JSON @throws EncodeError when it has none: undefined, a function, a bigint, a cycle */
export function asJson(save: Pick<Save<unknown>, 'key' | 'value'>): string {
  let json: string | undefined
  try {
    json = JSON.stringify(save.value)
  } catch (cause) {
    throw new EncodeError(`store: the value of key ${inspectBriefly(save.key)} cannot be written as JSON`, { cause })
  }
  if (json === undefined)
    throw new EncodeError(`store: a value needs a JSON form, but got: ${inspectBriefly(save.value)} (key ${inspectBriefly(save.key)})`)
  return json
}

/** What a driver threw, as an error of ours with the driver's own as its cause. */
export function asStoreError(thrown: unknown, what: string): RingtailError {
  if (thrown instanceof RingtailError) return thrown
  return new StoreError(`${what}: ${thrown instanceof Error ? thrown.message : inspectBriefly(thrown)}`, { cause: thrown })
}

/** The status of what was given up before it was sent, once the call's signal says so. */
export function givenUp(call: StoreCall | undefined): SaveStatus | undefined {
  if (call?.signal?.aborted !== true) return undefined
  return failed(new StoreError('store: given up before it was sent', { cause: call.signal.reason }))
}

/** A batch in parts of at most `limit`, in order. */
export function* chunks<T>(batch: readonly T[], limit: number): Generator<readonly T[]> {
  for (let start = 0; start < batch.length; start += limit) yield batch.slice(start, start + limit)
}
