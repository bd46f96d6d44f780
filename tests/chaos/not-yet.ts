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
  'a read that waited in vain for another to load its key loads it itself, and is refused after nearly 2 s; and a call that tries a silent database shortly before it answers again fails after 1 s, with the next try up to 1.5 s later: 2.5 s in all'

const ASKS_AGAIN =
  'a delete that finds no row asks the store once more, after the line that it waits in: with 300 ms an answer it may take 1.0 to 1.2 s'

export const NOT_YET: Partial<Record<RowName, NotYet>> = {
  'database-down': { misses: ['requests', 'recovery'], sometimes: true, because: SLOW_TO_RECOVER },
  'database-silent': { misses: ['requests', 'recovery'], sometimes: true, because: SILENT },
  'shard-slow': { misses: ['requests'], sometimes: true, because: ASKS_AGAIN },
  'shard-silent': { misses: ['requests', 'recovery'], sometimes: true, because: SILENT },
}
