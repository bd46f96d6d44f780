/**
 * Calls to a store, each with a bound: what is not answered by then is given up, and may have happened all the same.
 */
import { asError, DeadlineError, RingtailError, StoreError } from '../errors.ts'
import type { SaveStatus, StoreCall, StoreReader } from '../store/store.ts'
import type { StrategyParts } from './strategy.ts'

type Caller = Pick<StrategyParts<never>, 'cache' | 'clock'>

/** Rejects with what the store threw, or with a DeadlineError after `boundMs`. */
export async function boundedStoreCall<T>(
  { cache, clock }: Caller,
  { name }: Pick<StoreReader<never>, 'name'>,
  boundMs: number,
  work: (call: StoreCall) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const deadline = Promise.withResolvers<never>()
  const timer = clock.after(boundMs, () => {
    const error = new DeadlineError(`cache '${cache}': ${name} did not answer within ${boundMs} ms`)
    late.abort(error)
    // Whatever can say by then what became of its part of the work does so.
    clock.soon(() => clock.soon(() => deadline.reject(error)))
  })
  try {
    return await Promise.race([work({ signal: late.signal, withinMs: boundMs }), deadline.promise])
  } finally {
    timer.cancel()
  }
}

/** The store's contract is not to reject; one that does all the same, or that is late, has not said what happened. @param count of the items */
export async function storeStatuses(
  caller: Caller,
  store: Pick<StoreReader<never>, 'name'>,
  boundMs: number,
  count: number,
  work: (call: StoreCall) => Promise<SaveStatus[]>,
): Promise<SaveStatus[]> {
  try {
    return await boundedStoreCall(caller, store, boundMs, work)
  } catch (thrown) {
    const error = thrown instanceof RingtailError ? thrown : new StoreError(`${store.name}: ${asError(thrown).message}`, { cause: thrown })
    return Array.from({ length: count }, () => ({ state: 'unknown', error }))
  }
}
