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

const SLOW_TO_RECOVER =
  'connects that were begun while the database was away are waited for when it is back, which on a busy machine took longer than it may'

const SILENT =
  'calls that began shortly before a silent database answers again run into their deadline after it has, and those that wait behind them are shed'

const LATE_FOR_ITS_PLACE =
  'one or two changes of a thousand are let into the line of a shard that is too long for them, and run into their deadline there rather than being shed'

const BEHIND_WITH_ALL =
  'where the clients themselves are starved, by half a second and more, some answers come late, and a read whose other owners do not answer in time may be of one that is behind'

export const NOT_YET: Partial<Record<RowName, NotYet>> = {
  'database-down': { misses: { requests: 0.02, recovery: 3_000 }, sometimes: true, because: SLOW_TO_RECOVER },
  'database-silent': { misses: { requests: 0.03, recovery: 3_000 }, sometimes: true, because: SILENT },
  'overload-10x': { misses: { requests: 0.02, stale: 5 }, sometimes: true, because: `${LATE_FOR_ITS_PLACE}; ${BEHIND_WITH_ALL}` },
  'shard-silent': { misses: { requests: 0.03, recovery: 3_000 }, sometimes: true, because: SILENT },
}

export type Missing = Pick<RowVerdict, 'missed' | 'success' | 'recoveryMs' | 'stale'>

/** @returns whether the verdict's miss stands there, and is no greater */
export function isAllowed({ success, recoveryMs, stale }: Missing, demand: DemandName, allowance: Allowance): boolean {
  if (demand === 'requests') return 1 - success <= (allowance.requests ?? -1)
  if (demand === 'recovery') return (recoveryMs ?? Number.POSITIVE_INFINITY) <= (allowance.recovery ?? -1)
  return demand === 'stale' && stale <= (allowance.stale ?? -1)
}
