/**
 * What the conductor of a race and its processes say to each other.
 */
import type { HoldPoint } from './held-store.ts'
import type { RacePlan } from './race-plan.ts'
import type { Protection } from './weakened-node.ts'

export interface RaceSetting {
  /** The number of the process, from 0. */
  readonly process: number
  readonly nodes: readonly { readonly id: string; readonly url: string }[]
  readonly database: string
  /** Where histories go: a file a cache. */
  readonly folder: string
  readonly plan: RacePlan
  /** Switched off on all nodes. */
  readonly without: Protection | undefined
}

export type RaceOrder =
  | { readonly do: 'open'; readonly setting: RaceSetting }
  | { readonly do: 'race' }
  /** Changes a key of a row that another process holds. */
  | { readonly do: 'meddle'; readonly cache: string; readonly key: string }
  | { readonly do: 'release'; readonly ticket: number }
  /** Serves some requests of a client; answered with the client's session then, or nothing when the race is over. */
  | { readonly do: 'serve'; readonly client: string; readonly token: string }
  /** Answered with `RaceCounts`. */
  | { readonly do: 'close' }

export type RaceTold =
  | { readonly held: { readonly ticket: number; readonly cache: string; readonly key: string; readonly point: HoldPoint } }
  | { readonly done: number }

/** What a process has done in a race. */
export interface RaceCounts {
  readonly operations: number
  readonly heldLoads: number
  readonly heldSaves: number
  /** Holds that nobody released in time. */
  readonly holdsGivenUp: number
  readonly loads: number
  /** Reads that a near cache answered. */
  readonly nearHits: number
  /** Operations of clients with a session. */
  readonly served: number
  /** Operations that did not succeed, by the code of their error. */
  /** Values whose rows were made newer after they had been written, for an absence that would have hidden them. */
  readonly raised: readonly number[]
  readonly errors: Readonly<Record<string, number>>
}

/** The file of one process's history of one cache. */
export const historyFile = (folder: string, cache: string, process: number): string => `${folder}/${cache}.${process}.history`

export const tableOf = (cache: string): string => `race_${cache.replaceAll('-', '_')}`
