/**
 * What a ring costs: to build, to ask for the first time and from then on, and to compare with its neighbour.
 */
import { movedShares, type Placement, type Ring, type RingMember } from 'ringtail'
import { summaryOf } from '../harness/statistics.ts'

export interface RingSpeed {
  /** Of each round. */
  readonly buildMs: readonly number[]
  /** Look-ups on a new ring, which still walks for the owners of most points, µs each. */
  readonly firstUs: readonly number[]
  /** The same keys again, µs each. */
  readonly lookUpUs: readonly number[]
  /** Comparing it with that of one member more. */
  readonly compareMs: number
}

/** More than fit a processor's nearest cache. */
const KEYS = 100_000
const REPLICAS = 3
const keys = Array.from({ length: KEYS }, (_, i) => `rt:product:B${String(i).padStart(6, '0')}`)

/** Three owners in three zones; each look-up is of another key. @param placement prepared */
export function ringSpeed(placement: Placement, nodes: number, rounds: number): RingSpeed {
  const members = membersOf(nodes)
  const [buildMs, firstUs, lookUpUs]: [number[], number[], number[]] = [[], [], []]
  let ring = placement.build(members, REPLICAS)
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    ring = placement.build(members, REPLICAS)
    buildMs.push(performance.now() - start)
    firstUs.push(usPerLookUp(ring))
    lookUpUs.push(usPerLookUp(ring))
  }
  const next = placement.build(membersOf(nodes + 1), REPLICAS)
  const start = performance.now()
  movedShares(ring, next)
  return { buildMs, firstUs, lookUpUs, compareMs: performance.now() - start }
}

/** @param ring told apart by its members' ids, which are spread anew in each */
export function membersOf(count: number, ring = 0): RingMember[] {
  return Array.from({ length: count }, (_, i) => ({ id: `ring${ring}-node${i}`, weight: 1, zone: 'abc'[i % 3] }))
}

export function median(numbers: readonly number[]): number {
  return summaryOf(numbers).median
}

function usPerLookUp(ring: Ring): number {
  let owners = 0
  const start = performance.now()
  for (const key of keys) owners += ring.ownersOf(key).length
  const us = ((performance.now() - start) * 1e3) / KEYS
  // Looking at the sum keeps the compiler from dropping what nobody looks at.
  if (owners !== KEYS * REPLICAS) throw new Error(`needed three owners a key, but got: ${owners} for ${KEYS} keys`)
  return us
}
