/**
 * The circle of points that both placements walk.
 *
 * Members stand at many points of a circle of hash values; a key belongs to the first point at or after its own hash. Hashes are spread
 * evenly, so the point is found by arithmetic and not by halving: the circle is cut into about as many equal buckets as there are points,
 * each knows its first point, and one or two comparisons do the rest. The same buckets sort the points while they are laid out. From there
 * the owners are the members met clockwise, distinct and spread over zones; that walk is made once for each point, on first use, and its
 * result is shared. So a look-up allocates nothing: one hash and three array reads.
 */
import { ConfigurationError } from '../errors.ts'
import type { Ring, RingMember } from './ring.ts'

/** A ring that shows its points, so that two of them can be compared arc by arc (`moved-ranges.ts`). */
export interface PointRing<M extends RingMember = RingMember> extends Ring<M> {
  /** Names the hash of keys: only rings with the same hash lie on the same circle. */
  readonly hashName: string
  /** Positions are whole numbers from 0 to `circumference - 1`; at most 2^53, so that they are exact. */
  readonly circumference: number
  /** The points' positions, ascending. Point i owns what lies after point i - 1 up to and including itself. */
  readonly points: Float64Array
  /** The owners of the keys of one point: what `ownersOf` returns for them. */
  ownersAt(point: number): readonly M[]
}

/** Where each point stands and whose it is: `owners` holds indices of members. In any order; of equal positions the earlier wins. */
export interface PointList {
  readonly positions: Float64Array
  readonly owners: Uint32Array
}

export interface ContinuumOptions<M extends RingMember> {
  readonly members: readonly M[]
  readonly replicas: number
  readonly hashName: string
  /** A whole number in [0, circumference). */
  readonly hash: (key: string) => number
  /** A power of two. */
  readonly circumference: number
  readonly points: PointList
}

export class Continuum<M extends RingMember> implements PointRing<M> {
  readonly members: readonly M[]
  readonly replicas: number
  readonly hashName: string
  readonly circumference: number
  readonly points: Float64Array
  readonly #hash: (key: string) => number
  /** All points, then one past the circle's end, at which every search stops. */
  readonly #positions: Float64Array
  readonly #memberAt: Uint32Array
  readonly #firstPoint: Uint32Array
  readonly #bucketsPerUnit: number
  readonly #owners: (readonly M[] | undefined)[]
  readonly #zones: Zones
  /** By member, the last walk that met it: walks are counted, so nothing need be cleared. At most one walk a point. */
  readonly #met: Uint32Array
  readonly #metInZone: Uint32Array
  #walks = 0

  constructor({ members, replicas, hashName, hash, circumference, points }: ContinuumOptions<M>) {
    this.members = members
    this.replicas = replicas
    this.hashName = hashName
    this.circumference = circumference
    this.#hash = hash
    const sorted = sortIntoBuckets(points, circumference)
    this.#positions = sorted.positions
    this.#memberAt = sorted.owners
    this.#firstPoint = sorted.firstPoint
    this.#bucketsPerUnit = sorted.bucketsPerUnit
    const count = points.positions.length
    this.points = sorted.positions.subarray(0, count)
    this.#owners = new Array(count).fill(undefined)
    this.#zones = zonesOf(members, sorted.owners, replicas)
    this.#met = new Uint32Array(members.length)
    this.#metInZone = new Uint32Array(this.#zones.count)
  }

  ownersOf(key: string): readonly M[] {
    if (this.members.length === 1) return this.members
    const hash = this.#hash(key)
    const positions = this.#positions
    let point = this.#firstPoint[(hash * this.#bucketsPerUnit) | 0]!
    while (positions[point]! < hash) point++
    if (point === this.#owners.length) point = 0
    return this.#owners[point] ?? this.#walkFrom(point)
  }

  ownersAt(point: number): readonly M[] {
    return this.#owners[point] ?? this.#walkFrom(point)
  }

  /**
   * Takes members clockwise as long as their zone has room: `everyZone` of each, and `anyZone` more of whichever zones come first. The
   * list stays in clockwise order. So a member that joins enters some lists and pushes one other member out of each, no more, and the
   * rest keep their order; and a member that leaves is replaced where it was.
   */
  #walkFrom(point: number): readonly M[] {
    const { zoneOf, everyZone, anyZone } = this.#zones
    const met = this.#met
    const metInZone = this.#metInZone.fill(0)
    const walk = ++this.#walks
    const owners: M[] = []
    let spare = anyZone
    for (let at = point; owners.length < this.replicas; at = at + 1 === this.#memberAt.length ? 0 : at + 1) {
      const member = this.#memberAt[at]!
      if (met[member] === walk) continue
      met[member] = walk
      const before = metInZone[zoneOf[member]!]!++
      if (before > everyZone || (before === everyZone && spare === 0)) continue
      if (before === everyZone) spare--
      owners.push(this.members[member]!)
    }
    Object.freeze(owners)
    this.#owners[point] = owners
    return owners
  }
}

interface SortedPoints extends PointList {
  readonly firstPoint: Uint32Array
  readonly bucketsPerUnit: number
}

/** A counting sort by bucket, then by insertion within each, stable throughout: linear, because hashes spread evenly. */
function sortIntoBuckets({ positions, owners }: PointList, circumference: number): SortedPoints {
  const count = positions.length
  const buckets = 2 ** Math.min(Math.ceil(Math.log2(count + 1)), Math.log2(circumference))
  const bucketsPerUnit = buckets / circumference
  const firstPoint = new Uint32Array(buckets + 1)
  for (let i = 0; i < count; i++) firstPoint[((positions[i]! * bucketsPerUnit) | 0) + 1]!++
  for (let bucket = 0; bucket < buckets; bucket++) firstPoint[bucket + 1]! += firstPoint[bucket]!

  const sortedPositions = new Float64Array(count + 1).fill(circumference)
  const sortedOwners = new Uint32Array(count)
  const filled = firstPoint.slice()
  for (let i = 0; i < count; i++) {
    const position = positions[i]!
    const bucket = (position * bucketsPerUnit) | 0
    let slot = filled[bucket]!++
    for (; slot > firstPoint[bucket]! && sortedPositions[slot - 1]! > position; slot--) {
      sortedPositions[slot] = sortedPositions[slot - 1]!
      sortedOwners[slot] = sortedOwners[slot - 1]!
    }
    sortedPositions[slot] = position
    sortedOwners[slot] = owners[i]!
  }
  return { positions: sortedPositions, owners: sortedOwners, firstPoint, bucketsPerUnit }
}

/** How many owners each zone gives: as even as the zones' sizes allow. Members without a zone count as one zone: nothing says they are apart. */
interface Zones {
  readonly count: number
  /** By member. */
  readonly zoneOf: Uint32Array
  /** So many from each zone that has them … */
  readonly everyZone: number
  /** … and so many more, one from each of the zones met first. */
  readonly anyZone: number
}

function zonesOf(members: readonly RingMember[], memberAt: Uint32Array, replicas: number): Zones {
  const numbers = new Map<string | undefined, number>()
  const zoneOf = Uint32Array.from(members, ({ zone }) => {
    if (!numbers.has(zone)) numbers.set(zone, numbers.size)
    return numbers.get(zone)!
  })
  // A member whose weight came to no point at all is never met, so it fills no place.
  const sizes = new Uint32Array(numbers.size)
  const placed = new Set(memberAt)
  for (const member of placed) sizes[zoneOf[member]!]!++
  if (placed.size < replicas) {
    throw ConfigurationError.of(
      'ring: members',
      `at least ${replicas} whose weight comes to a point of the ring, one for each replica`,
      placed.size,
    )
  }
  const upTo = (each: number): number => sizes.reduce((sum, size) => sum + Math.min(size, each), 0)
  let everyZone = 0
  while (upTo(everyZone + 1) <= replicas && upTo(everyZone + 1) > upTo(everyZone)) everyZone++
  return { count: numbers.size, zoneOf, everyZone, anyZone: replicas - upTo(everyZone) }
}
