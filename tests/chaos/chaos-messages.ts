/**
 * What the conductor says to a client and to the injector, and what they answer.
 */
import type { NodeReport } from '../../src/index.ts'
import type { QueuePeaks } from './queue-depths.ts'
import type { RequestColumns } from './request-log.ts'
import type { RowName } from './row-names.ts'
import type { RowSetting } from './row-setting.ts'

/** The way of one client to nodes and shards: doors of their proxies that are its own. */
export interface ClientWay {
  readonly nodes: readonly { readonly id: string; readonly zone: string; readonly url: string }[]
  readonly shards: readonly string[]
  /** To nodes that are in nobody's ring yet. */
  readonly spares: readonly { readonly id: string; readonly zone: string; readonly url: string }[]
}

export interface ClientSetting extends ClientWay {
  /** From 0. */
  readonly process: number
  /** How many have had this place before: their values are not written again. */
  readonly life: number
  readonly zone: string
  /** For histories and the journal. */
  readonly folder: string
  readonly seed: number
  /** To each shard. */
  readonly connections: number
  readonly setting: RowSetting
}

export type ClientOrder =
  | { readonly do: 'open'; readonly setting: ClientSetting }
  /** Reads every key. */
  | { readonly do: 'warm' }
  /** Requests of its own come from then on. */
  | { readonly do: 'start'; readonly startMs: number; readonly rate: number }
  | { readonly do: 'rate'; readonly rate: number }
  /** This share of all requests reads one key; 0 ends it. */
  | { readonly do: 'herd'; readonly share: number }
  /** Begins to change the ring of the fleet; answered at once. Ids of spares and of nodes. */
  | { readonly do: 'change-ring'; readonly add: readonly string[]; readonly remove: readonly string[] }
  /** Answered once that is done. */
  | { readonly do: 'ring-changed' }
  /** Answered with the `RequestColumns` of all that was due until then. */
  | { readonly do: 'log' }
  /** No more requests; answered with `ClientReport` once those under way have ended. */
  | { readonly do: 'stop' }
  /** Every changing key is read once more; answered with what queues then do not get rid of, by kind. */
  | { readonly do: 'rest' }
  /** Answered with what keeps the process from ending, once all is closed: names of resources. */
  | { readonly do: 'close' }

export interface ClientReport {
  readonly requests: RequestColumns
  readonly peaks: Peaks
  readonly queues: QueuePeaks
  /** By `sharedMs`, and rows asked of the store until then: every 100 ms. */
  readonly loads: readonly (readonly [atMs: number, rows: number])[]
  /** What the tier told, by event. */
  readonly events: Readonly<Record<string, number>>
  /** The nodes that it knew when it stopped, and what it thought of each. */
  readonly nodes: readonly (Pick<NodeReport, 'id' | 'state'> & {
    /** When it last told that the node is up, by `sharedMs`; undefined: it never did, nor had to. */
    readonly upMs: number | undefined
  })[]
  /** By how much its wall clock was moved at most, against the monotonic one. */
  readonly wallJumpMs: number
  /** Writes that it found in its journal. */
  readonly adopted: number
  /** Requests for the one key that a herd wants. */
  readonly herded: number
  /** Reads that each node answered while there was a herd. */
  readonly herdReads: Readonly<Record<string, number>>
  /** The texts of the first errors, each once. */
  readonly messages: readonly string[]
}

/** What must be bounded. */
export interface Peaks {
  readonly heapMb: number
  readonly firstHeapMb: number
  /** Of buffers, outside of the heap. */
  readonly externalMb: number
  readonly firstExternalMb: number
  readonly rssMb: number
  readonly firstRssMb: number
  readonly sockets: number
  readonly firstSockets: number
  readonly inFlight: number
}

export type InjectorOrder =
  /** A fresh fleet; answered with `Prepared`. */
  | { readonly do: 'prepare'; readonly setting: RowSetting; readonly faultMs: number }
  | { readonly do: 'before'; readonly row: RowName }
  /** Answered with `Injected`. */
  | { readonly do: 'inject'; readonly row: RowName }
  /** Answered with `Healed`. */
  | { readonly do: 'heal'; readonly row: RowName }
  /** Answered with how many hints one node keeps for another at most. */
  | { readonly do: 'hints' }
  /** Answered with by how much the proxies came late since healing, ms. */
  | { readonly do: 'lag' }

export interface Prepared {
  readonly ways: readonly ClientWay[]
  /** Past the proxies. */
  readonly databases: readonly string[]
  readonly folder: string
  /** Of the file that fakes the first client's wall clock. */
  readonly clockFile: string
}

export interface Injected {
  /** When it began, by `sharedMs`. */
  readonly injectedMs: number
  /** By how much the proxies came late since there was load, ms. */
  readonly lagMs: number
}

export interface Healed {
  readonly healedMs: number
  /** By how much the injector's event loop, and so the proxies, came late since the fault began, ms. */
  readonly lagMs: number
  /** What the injector saw of the fault: counts by name. */
  readonly saw: Readonly<Record<string, number>>
  /** The most that one node then kept of hints for another. */
  readonly hintsKept: number
}

export const historyFile = (folder: string, process: number, life: number): string => `${folder}/client-${process}.${life}.history`
/** What a client was about to write, known before it was tried: what a killed one did not come to record. */
export const triesFile = (folder: string, process: number, life: number): string => `${folder}/client-${process}.${life}.tries`
