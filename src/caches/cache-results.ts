/**
 * What a cache answers beside values: how one was come by, what became of each key of a batch, and its counts.
 */
import type { RingtailError } from '../errors.ts'
import type { CacheMetrics, Outcome, Outcomes } from '../metrics/outcomes.ts'
import type { NearStats } from '../near/near-cache.ts'
import type { Settled, StoreCounts, Strategy } from '../strategy/strategy.ts'

/** A value with how it was come by. */
export interface ReadOutcome<V> {
  readonly value: V | undefined
  readonly outcome: Exclude<Outcome, 'error'>
  /** The id of the node that answered; undefined when none did, and for the near cache's answers. */
  readonly node: string | undefined
}

/** What became of one key of a batch. */
export type KeyResult = { readonly ok: true } | { readonly ok: false; readonly error: RingtailError | Error }

/** A cache's counts, and those of its store and its near cache where it has them. */
export interface CacheReport extends CacheMetrics {
  readonly strategy: string
  readonly store: (StoreCounts & { /** Reads answered without asking the store. */ readonly keysAvoided: number }) | undefined
  readonly near: NearStats | undefined
}

const OK: KeyResult = Object.freeze({ ok: true })

export function resultOf(settled: Settled<unknown>): KeyResult {
  return 'error' in settled ? { ok: false, error: settled.error } : OK
}

/** @throws the key's error */
export function settledValue<T>(settled: Settled<T>): T {
  if ('error' in settled) throw settled.error
  return settled.value
}

export function reportOf(
  outcomes: Outcomes,
  strategy: Pick<Strategy<unknown>, 'name' | 'storeCounts'>,
  near: NearStats | undefined,
): CacheReport {
  const counts = outcomes.snapshot()
  const store = strategy.storeCounts()
  const keysAvoided = counts.hits + counts.stale + counts.negativeHits
  return { ...counts, strategy: strategy.name, store: store === undefined ? undefined : { ...store, keysAvoided }, near }
}
