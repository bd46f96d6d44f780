/**
 * What a caller is told of a write, by what the nodes said of it.
 */
import type { Replicated } from '../keyspaces/keyspace.ts'
import type { Settled } from './strategy.ts'

const DONE: Settled<void> = Object.freeze({ value: undefined })

/** A change that something newer overtook is done all the same: it happened, and was followed by the newer one. */
export function settledOf(replicated: Replicated): Settled<void> {
  return replicated.state === 'unacknowledged' ? { error: replicated.error } : DONE
}
