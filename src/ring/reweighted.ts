/**
 * A ring whose members weigh other than they say of themselves.
 *
 * A member's weight is what it was made with; a fleet may decide on another while members run. So the ring is laid out over stand-ins that have the
 * weights decided on, and answers with the members themselves: they are the same ones in every ring, however often weights change. Where no
 * weight differs it is the placement's own ring, at no cost; where one does, a look-up costs one more look into a map.
 */
import type { PointRing } from './continuum.ts'
import type { Placement, Ring, RingMember } from './ring.ts'

interface StandIn<M> extends RingMember {
  readonly member: M
}

/**
 * @param weights by id; a member that is not among them has its own
 * @throws ConfigurationError as `Placement.build` does
 */
export function reweighted<M extends RingMember>(
  placement: Placement,
  members: readonly M[],
  weights: ReadonlyMap<string, number>,
  replicas: number,
): Ring<M> {
  const weightOf = ({ id, weight }: M): number => weights.get(id) ?? weight
  if (members.every((member) => weightOf(member) === member.weight)) return placement.build(members, replicas)
  const standIns = members.map(
    (member): StandIn<M> => ({
      id: member.id,
      weight: weightOf(member),
      zone: member.zone,
      label: member.label,
      member,
    }),
  )
  return new StoodInRing(members, placement.build(standIns, replicas) as PointRing<StandIn<M>>)
}

class StoodInRing<M extends RingMember> implements PointRing<M> {
  readonly members: readonly M[]
  readonly replicas: number
  readonly hashName: string
  readonly circumference: number
  readonly points: Float64Array
  readonly #ring: PointRing<StandIn<M>>
  /** By the ring's own lists, which it shares between calls. */
  readonly #lists = new WeakMap<readonly StandIn<M>[], readonly M[]>()

  constructor(members: readonly M[], ring: PointRing<StandIn<M>>) {
    this.members = Object.freeze([...members])
    this.replicas = ring.replicas
    this.hashName = ring.hashName
    this.circumference = ring.circumference
    this.points = ring.points
    this.#ring = ring
  }

  ownersOf(key: string): readonly M[] {
    return this.#membersOf(this.#ring.ownersOf(key))
  }

  ownersAt(point: number): readonly M[] {
    return this.#membersOf(this.#ring.ownersAt(point))
  }

  #membersOf(standIns: readonly StandIn<M>[]): readonly M[] {
    const known = this.#lists.get(standIns)
    if (known !== undefined) return known
    const members = Object.freeze(standIns.map(({ member }) => member))
    this.#lists.set(standIns, members)
    return members
  }
}
