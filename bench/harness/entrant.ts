/**
 * Whoever is asked to run: a library in a process of its own (`contestant-process.ts`), or a program that is itself one.
 */
import type { Measure } from './closed-loop.ts'
import type { Ground } from './contestant.ts'

export interface Opened {
  /** The page of documentation that the set-up follows. */
  readonly page: string
  readonly versions: Readonly<Record<string, string>>
}

export interface Entrant {
  readonly name: string
  /** Sets it up. Rejects with an `UnavailableError` when this machine does not have what it needs. */
  open(ground: Ground): Promise<Opened>
  /** @param workload its name @param ms how long */
  run(workload: string, ms: number): Promise<Measure>
  close(): Promise<void>
}
