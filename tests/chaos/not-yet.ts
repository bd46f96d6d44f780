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
  readonly because: string
}

export const NOT_YET: Partial<Record<RowName, NotYet>> = {}
