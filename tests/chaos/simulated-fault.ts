/**
 * The contract of a fault on the simulated ground: what a real row does to servers and shards, done to simulated ones. Each is over when it returns.
 */
import type { ChaosPlan } from './chaos-plan.ts'
import type { SimulatedGround } from './simulated-ground.ts'

export interface SimulatedFault {
  /** Where it is run otherwise than in the short form. */
  readonly plan?: Partial<ChaosPlan>
  /** What a statement takes longer, from the beginning, ms. */
  readonly latencyMs?: number
  before?(ground: SimulatedGround): void
  inject?(ground: SimulatedGround): void
  heal?(ground: SimulatedGround): void
  /** What virtual time can show beyond what the real row demands. @returns what was not kept */
  unkept?(ground: SimulatedGround): string | undefined
}
