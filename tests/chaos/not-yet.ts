/**
 * What the tier does not keep yet, by row, and by how much at most: nothing of it is hidden, and nothing else may be missed.
 *
 * A demand that is missed and does not stand here fails the tests, and so does one that is missed by more than stands here. What is wrong, lost
 * or without bounds, a fault that nobody felt and a load that was not offered cannot stand here. It is empty when the tier is done.
 */
import type { DemandName, RowVerdict } from './judge.ts'
import type { RowName } from './row-names.ts'

/** How far a demand may be missed. */
export interface Allowance {
  /** Share of the window's requests that may fail. */
  readonly requests?: number
  /** When the last request may fail after healing, ms. */
  readonly recovery?: number
  /** Reads past their bound. */
  readonly stale?: number
}

export interface NotYet {
  readonly misses: Allowance
  /** Only now and then, so that a run without it proves nothing. */
  readonly sometimes?: boolean
  readonly because: string
}

/** None, today. */
export const NOT_YET: Partial<Record<RowName, NotYet>> = {}

export type Missing = Pick<RowVerdict, 'missed' | 'success' | 'recoveryMs' | 'stale'>

/** @returns whether the verdict's miss stands there, and is no greater */
export function isAllowed({ success, recoveryMs, stale }: Missing, demand: DemandName, allowance: Allowance): boolean {
  if (demand === 'requests') return 1 - success <= (allowance.requests ?? -1)
  if (demand === 'recovery') return (recoveryMs ?? Number.POSITIVE_INFINITY) <= (allowance.recovery ?? -1)
  return demand === 'stale' && stale <= (allowance.stale ?? -1)
}
