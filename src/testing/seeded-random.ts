/**
 * Chance that can be replayed.
 *
 * A run that failed at random is worth little unless it can be run again. Everything that draws takes a `Random`; a test hands in this one
 * with a seed, and prints the seed when it fails. The generator is splitmix32 (a 32-bit relative of Steele, Lea and Flood's SplitMix,
 * 2014): small, full period, even enough for tests and workloads; not for secrets.
 */
import type { Random } from '../clock.ts'

/** @param seed any number; only its low 32 bits count @returns numbers in [0, 1), the same ones for the same seed */
export function seededRandom(seed: number): Random {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    mixed ^= mixed >>> 15
    return (mixed >>> 0) / 0x1_0000_0000
  }
}
