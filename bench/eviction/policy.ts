/**
 * An eviction policy, simulated: entries of size one, a miss inserts, no expiry.
 */

/** One cache under way. */
export interface Simulation {
  /** @returns whether the key was there; if not, it has been put */
  access(key: number): boolean
  /** Entries held now. */
  readonly size: number
}

export interface Policy {
  readonly name: string
  create(capacity: number): Simulation
}
