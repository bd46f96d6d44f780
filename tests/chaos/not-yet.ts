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

const OLD_COPIES = 'a node that missed writes serves what it has when it is back: hints and catch-up are to be built'
const PARTED = 'a write that an owner missed is seen as old by readers of that owner, until its ttl is over: hints are to be built'
const NO_RING_CHANGE = 'the tier cannot change its ring'

const RETURNING =
  'while a node comes back some clients write past it and others already fill it, now and then with what was just overtaken: catch-up is to be built'
const LATE_WRITES =
  'under overload an owner is not waited for longer than a try, and what it misses is not made up for: hints are to be built'

const NO_BREAKER =
  'connects that were refused or begun too late are waited for when the database is back, and a read whose owners were late asks it: breakers are to be built'

const sometimesStale = (because: string): NotYet => ({ misses: ['stale'], sometimes: true, because })
const stale = (because: string): NotYet => ({ misses: ['stale'], because })

export const NOT_YET: Partial<Record<RowName, NotYet>> = {
  'node-stopped': stale(OLD_COPIES),
  'node-slow': stale(OLD_COPIES),
  'node-resets-mid-reply': stale(OLD_COPIES),
  'node-blackholed': stale(OLD_COPIES),
  'node-unheard': stale(OLD_COPIES),
  'node-deaf': stale(OLD_COPIES),
  'client-cut-from-node': stale(PARTED),
  'client-cut-from-all-nodes': stale(PARTED),
  'node-flapping': stale(OLD_COPIES),
  'node-restarted-from-old-snapshot': stale(OLD_COPIES),
  'node-loading': stale(OLD_COPIES),
  'node-readonly': stale(PARTED),
  'node-killed': sometimesStale(RETURNING),
  'two-nodes-killed': sometimesStale(RETURNING),
  'zone-killed': sometimesStale(RETURNING),
  'all-nodes-killed': sometimesStale(RETURNING),
  'node-restarted-empty': sometimesStale(RETURNING),
  'database-down': { misses: ['requests', 'recovery'], sometimes: true, because: NO_BREAKER },
  'overload-10x': sometimesStale(LATE_WRITES),
  'node-busy-script': stale(OLD_COPIES),
  'node-added': { misses: [], because: NO_RING_CHANGE },
  'node-drained': { misses: [], because: NO_RING_CHANGE },
  'node-replaced': { misses: [], because: NO_RING_CHANGE },
}
