/**
 * What the tier does not keep yet, by row: nothing of it is hidden, and nothing else may be missed.
 *
 * A demand that is missed and does not stand here fails the tests; so does a row that stands here and keeps everything: then it has to go. It
 * is empty when the tier is done.
 */
import type { DemandName } from './judge.ts'
import type { RowName } from './row-names.ts'

export interface NotYet {
  readonly misses: readonly DemandName[]
  /** Only now and then, so that a run without it proves nothing. */
  readonly sometimes?: boolean
  readonly because: string
}

const SLOW_TO_RECOVER =
  'connects that were begun while the database was away are waited for when it is back, which on a busy machine took longer than it may'

const SILENT =
  'calls that began shortly before a silent database answers again run into their deadline after it has, and those that wait behind them are shed'

const BEHIND_WITH_ALL =
  'where the clients themselves are starved, by half a second and more, some answers come late, and a read whose other owners do not answer in time may be of one that is behind'

export const NOT_YET: Partial<Record<RowName, NotYet>> = {
  'database-down': { misses: ['requests', 'recovery'], sometimes: true, because: SLOW_TO_RECOVER },
  'database-silent': { misses: ['requests', 'recovery'], sometimes: true, because: SILENT },
  'overload-10x': { misses: ['requests', 'stale'], sometimes: true, because: BEHIND_WITH_ALL },
  'shard-silent': { misses: ['requests', 'recovery'], sometimes: true, because: SILENT },
}
