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

const NO_BREAKER =
  'connects that were refused or begun too late are waited for when the database is back, and a read whose owners were late asks it: breakers are to be built'

export const NOT_YET: Partial<Record<RowName, NotYet>> = {
  'database-down': { misses: ['requests', 'recovery'], sometimes: true, because: NO_BREAKER },
}
