/**
 * What is measured. One file a workload under `workloads/`; each states what it asks of a contestant and what is expected of Ringtail.
 */
import type { Caller } from './closed-loop.ts'
import type { Contestant } from './contestant.ts'
import type { Catalogue } from './products.ts'

export interface Workload {
  /** For `--only` and for the names of rows: `hits-256`. */
  readonly name: string
  readonly title: string
  /** Of the figures: `gets/s`. More is better. */
  readonly unit: string
  readonly inFlight: number
  /** Of each product's JSON. Default 256. */
  readonly bytes?: number
  /** Who takes part, by the names of the line-up. */
  readonly entrants: readonly string[]
  /** Those of them that are Ringtail's own set-ups. */
  readonly ours: readonly string[]
  /** Those that are no peers but show what nobody could exceed. Default: none. */
  readonly limits?: readonly string[]
  /** What the table shows everybody's figures as a multiple of. */
  readonly reference: string
  /** By peer: how many times its figure Ringtail's has to be; for another of ours than the first by `ioredis (ringtail-on-three)`. */
  readonly bars: Readonly<Record<string, number>>
  /** What Ringtail's own figure has to be at least, in `unit`. */
  readonly least?: number
  /** Whether it reads nothing that was there before, so that caches need not be filled. */
  readonly needsNothing?: boolean
  /** Whether it runs beside a PostgreSQL. */
  readonly needsDatabase?: boolean
  callerOf(contestant: Contestant, catalogue: Catalogue): Caller
  /** After each run, unmeasured. Rejects when the contestant did not do what it acknowledged. */
  check?(contestant: Contestant, catalogue: Catalogue): Promise<void>
}

/** Who takes part in a workload, and what is expected of whom. */
export type Entry = Pick<Workload, 'entrants' | 'ours' | 'limits' | 'reference' | 'bars'>
