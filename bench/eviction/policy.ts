/**
 * An eviction policy, simulated: a miss inserts, no expiry; entries are of size one unless their sizes are given.
 */

/** One cache under way. */
export interface Simulation {
  /** @returns whether the key was there; if not, it has been put */
  access(key: number): boolean
  /** Of all entries held now. */
  readonly size: number
}

export interface Sizes {
  of(key: number): number
  readonly mean: number
}

export const SIZE_ONE: Sizes = { of: () => 1, mean: 1 }

export interface Policy {
  readonly name: string
  /** @param capacity in the unit of the sizes; no entry is larger */
  create(capacity: number, sizes?: Sizes): Simulation
}
