/**
 * Consistent hashing with weighted virtual nodes: the placement to use unless another one must be matched.
 *
 * Each member stands at many pseudo-random points of a circle, so that the circle is shared out evenly and a member that joins or leaves
 * takes from, or leaves to, all others alike and touches nothing else. With v points a member's share varies by about 1/√v: at the default
 * of 256 the fullest of ten equal members has on average about 1.10 times the mean (`node --conditions=ringtail-source bench/ring.ts`).
 * Points come from ids and nothing else, so every process agrees, in whatever order it lists the members.
 * Source: Karger et al., "Consistent Hashing and Random Trees", STOC 1997.
 */
import { ConfigurationError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { checkedMembers } from './checked-members.ts'
import { Continuum, type PointList } from './continuum.ts'
import type { Placement, Ring, RingMember } from './ring.ts'
import { prepareXxh64, XXH64_SPACE, xxh64 } from './xxh64.ts'

export interface HashRingOptions {
  /** Points of a member of weight 1; a member has `points × weight`, rounded, at least one. Default 256. More: more even, more memory. */
  readonly points?: number | undefined
  /** Another seed places keys independently: rings one above the other should not split alike. Whole number, default 0. */
  readonly seed?: number | undefined
}

/** Points of one ring at most: some 16,000 ordinary members, about 100 MB. */
const MOST_POINTS = 2 ** 22

/**
 * @example createTier({ nodes, ring: hashRing({ points: 512 }) })
 * @throws ConfigurationError on an option that is unknown or out of range
 */
export function hashRing(options: HashRingOptions = {}): Placement {
  knownOptions(options, 'hashRing', ['points', 'seed'])
  const pointsEach = wholeNumber(options.points ?? 256, 'hashRing: points', 1, 65_536)
  const seed = BigInt(wholeNumber(options.seed ?? 0, 'hashRing: seed', 0))
  return Object.freeze({
    name: 'hash',
    prepare: prepareXxh64,
    build<M extends RingMember>(members: readonly M[], replicas: number): Ring<M> {
      const checked = checkedMembers(members, replicas, 'hashRing')
      return new Continuum<M>({
        members: checked,
        replicas,
        hashName: `xxh64:${seed}`,
        hash: (key) => xxh64(key, seed),
        circumference: XXH64_SPACE,
        points: pointsOf(checked, pointsEach, seed),
      })
    },
  })
}

/** Point i of a member is the hash of `id#i`: raising a weight adds points and moves none. */
function pointsOf(members: readonly RingMember[], pointsEach: number, seed: bigint): PointList {
  const counts = members.map(({ weight }) => Math.max(1, Math.round(pointsEach * weight)))
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total > MOST_POINTS) throw ConfigurationError.of('hashRing: points × weight of all members', `at most ${MOST_POINTS}`, total)
  const positions = new Float64Array(total)
  const owners = new Uint32Array(total)
  let next = 0
  for (const member of inIdOrder(members)) {
    for (let i = 0; i < counts[member]!; i++) {
      positions[next] = xxh64(`${members[member]!.id}#${i}`, seed)
      owners[next++] = member
    }
  }
  return { positions, owners }
}

/** Two points may fall on one position, if hardly ever; then the lesser id wins, in whatever order the members came. */
function inIdOrder(members: readonly RingMember[]): number[] {
  return members.map((_, index) => index).sort((a, b) => (members[a]!.id < members[b]!.id ? -1 : 1))
}
