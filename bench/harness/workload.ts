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
  /** Who takes part, by the names of the line-up. */
  readonly entrants: readonly string[]
  /** Those of them that are Ringtail's own set-ups; bars are for the first. */
  readonly ours: readonly string[]
  /** What the table shows everybody's figures as a multiple of. */
  readonly reference: string
  /** By peer: how many times its figure Ringtail's has to be. */
  readonly bars: Readonly<Record<string, number>>
  /** What Ringtail's own figure has to be at least, in `unit`. */
  readonly least?: number
  /** Whether it runs beside a PostgreSQL. */
  readonly needsDatabase?: boolean
  callerOf(contestant: Contestant, catalogue: Catalogue): Caller
  /** After each run, unmeasured. Rejects when the contestant did not do what it acknowledged. */
  check?(contestant: Contestant, catalogue: Catalogue): Promise<void>
}

/** Who takes part in a workload, and what is expected of whom. */
export type Entry = Pick<Workload, 'entrants' | 'ours' | 'reference' | 'bars'>
