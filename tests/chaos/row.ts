/**
 * What a row of the chaos table is: a fault, how it is brought about and healed, and what is demanded of the tier meanwhile.
 *
 * `before`, `inject` and `heal` run in the injector's process, on its ground; what is done to the client processes themselves is named in
 * `clients` and done by the conductor. A row that stands for what is not built yet says so, and never passes.
 */
import type { EventName } from '../../src/events.ts'
import type { Ground } from './ground.ts'
import type { Observed } from './observed.ts'
import type { RequestRow } from './request-log.ts'
import type { RowName } from './row-names.ts'
import type { RowSetting } from './row-setting.ts'

export type Row = FaultRow | MissingRow

export interface MissingRow {
  readonly name: RowName
  readonly what: string
  readonly missing: string
}

export interface FaultRow {
  readonly name: RowName
  /** One line, for `--list`. */
  readonly what: string
  readonly setting?: Partial<RowSetting>
  /** On warm nodes, before there is load. */
  before?(ground: Ground): Promise<void>
  inject?(ground: Ground): Promise<void>
  /** The fault is over when it resolves. */
  heal?(ground: Ground): Promise<void>
  /** Events of which some client must tell one: a fault that nobody felt has shown nothing. */
  readonly signs?: readonly EventName[]
  /** @returns why the fault did not come about, from what was seen of it; undefined where it did */
  proof?(evidence: Evidence): string | undefined
  /** What happens to the clients themselves during the fault's window. */
  readonly clients?: ClientFault
  readonly demand?: Partial<Demand>
}

export interface Evidence {
  readonly before: readonly RequestRow[]
  readonly window: readonly RequestRow[]
  readonly observed: Observed
}

export type ClientFault =
  /** So many times the load. */
  | { readonly do: 'surge'; readonly times: number }
  /** This share of all requests reads one key. */
  | { readonly do: 'herd'; readonly share: number }
  /** The first client is killed, and a successor started on what it left. */
  | { readonly do: 'kill' }
  /** The first client changes the ring for all; the window lasts until it has done so. Ids of spares and of nodes. */
  | { readonly do: 'change-ring'; readonly add: readonly string[]; readonly remove: readonly string[] }

export interface Demand {
  /** Share of requests in the fault's window that must be answered rightly in time; in the short form none may fail. */
  readonly success: number
  /** Of reads that nodes answered in the window; ms. */
  readonly hitP999Ms: number
  /** From healing to the last request that failed, ms. */
  readonly recoveryMs: number
  /**
   * Shards without which a request may be refused with a typed error within its deadline, and counts as answered. Reads of keys that nobody
   * changes are not excused: nodes have them.
   */
  readonly away: 'none' | 'one' | 'all'
  /** Whether any request may be shed, with the error that says so and in time: more was asked than can be done. */
  readonly mayShed: boolean
  /** Nodes lost what they had, so that reads may have to be loaded. */
  readonly emptied: boolean
  /** Nodes are full, so that some of what they had may have to be loaded. */
  readonly evicting: boolean
  /** A node is empty once the fault is over, so that how it is after that is no measure. */
  readonly emptiedAfter: boolean
  /** Keys lie elsewhere once the fault is over: what is missed then of what nobody changes was not brought there, and is no measure. */
  readonly movedAfter: boolean
  /** By how much the share of reads of steady keys that miss may be above what it is outside of the window; where nodes were not emptied. */
  readonly mostDip: number
  /** How many times as many rows as outside of the window the database may be asked for. */
  readonly mostLoadsTimes: number
  /** The share of the reads of one client that one node may answer at most while there is a herd; judged where it made enough of them. */
  readonly mostOfOneNode: number
  /** Rows that the database may be asked for at most in a window of so many ms. */
  readonly mostLoads: (faultMs: number) => number
}

export const DEMANDED: Demand = {
  success: 0.9999,
  hitP999Ms: 250,
  recoveryMs: 2_000,
  away: 'none',
  mayShed: false,
  emptied: false,
  evicting: false,
  emptiedAfter: false,
  movedAfter: false,
  mostDip: 0.01,
  mostLoadsTimes: Number.POSITIVE_INFINITY,
  mostOfOneNode: 1,
  mostLoads: () => Number.POSITIVE_INFINITY,
}

export function isMissing(row: Row): row is MissingRow {
  return 'missing' in row
}
