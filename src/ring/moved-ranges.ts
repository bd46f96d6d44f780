/**
 * What lies between two rings: which keys move, from whom to whom, before anything moves.
 *
 * Between two neighbouring points of either ring all keys have the same owners, before and after. So the two circles laid on one another
 * fall into finitely many arcs, and adding their lengths up tells exactly, without a sample, how much a change will cost: whose primaries
 * change, and how many copies have to be made where. `sharesOf` measures one ring in the same way.
 */
import { ConfigurationError } from '../errors.ts'
import type { PointRing } from './continuum.ts'
import type { Ring, RingMember } from './ring.ts'

/** One arc of hash values whose keys all have the same owners before, and the same others after. */
export interface MovedRange<M extends RingMember = RingMember> {
  /** Part of all keys, in (0, 1]. */
  readonly share: number
  /** In order of preference, as in `Ring.ownersOf`. */
  readonly before: readonly M[]
  readonly after: readonly M[]
}

export interface Move {
  /** The id of the member that no longer has them; undefined where nobody gives a copy up (more replicas than before). */
  readonly from: string | undefined
  /** The id of the member that has them now; undefined where nobody takes a copy over (fewer replicas than before). */
  readonly to: string | undefined
  /** Part of all keys, in (0, 1]. */
  readonly share: number
}

export interface MovedShares {
  /** Keys whose primary changes. `share`: part of all keys, 0 to 1. */
  readonly primaries: { readonly share: number; readonly moves: readonly Move[] }
  /**
   * Copies that new owners need. `share`: how many, as a multiple of all keys; 0.3 for 1,000,000 keys means 300,000 copies to make. Where
   * several members of one key's owners change at once, who replaces whom is a matter of their order.
   */
  readonly copies: { readonly share: number; readonly moves: readonly Move[] }
}

export interface MemberShare {
  /** Part of all keys of which the member is the first owner. All members' sum: 1. */
  readonly primaries: number
  /** Part of all copies of all keys that the member holds, as any owner. All members' sum: 1. */
  readonly copies: number
}

/**
 * Exact, from the rings' arcs; moves are sorted, the largest first. Members are told apart by id.
 * @example movedShares(ring, hashRing().build([...ring.members, added], ring.replicas)).copies.share * keys // copies to be made
 * @throws ConfigurationError unless both rings come from one placement: same hash, same seed
 */
export function movedShares(before: Ring, after: Ring): MovedShares {
  const primaries = new Tally()
  const copies = new Tally()
  for (const { share, before: old, after: now } of movedRanges(before, after)) {
    if (old[0]!.id !== now[0]!.id) primaries.add(old[0]!.id, now[0]!.id, share)
    const lost = without(old, now)
    const gained = without(now, old)
    for (let i = 0; i < Math.max(lost.length, gained.length); i++) copies.add(lost[i]?.id, gained[i]?.id, share)
  }
  return { primaries: primaries.result(), copies: copies.result() }
}

/**
 * The arcs in which owners, or their order, change; one after the other around the circle.
 * @throws ConfigurationError unless both rings come from one placement: same hash, same seed
 */
export function* movedRanges<M extends RingMember>(before: Ring<M>, after: Ring<M>): Generator<MovedRange<M>, void, undefined> {
  const old = pointsOf(before, 'movedRanges: before')
  const now = pointsOf(after, 'movedRanges: after')
  if (old.hashName !== now.hashName) {
    throw ConfigurationError.of('movedRanges: after', `a ring that hashes keys like the other (${old.hashName})`, now.hashName)
  }
  const last = old.circumference - 1
  let oldPoint = 0
  let nowPoint = 0
  for (let start = -1; start < last; ) {
    const end = Math.min(old.points[oldPoint] ?? last, now.points[nowPoint] ?? last)
    const owners = old.ownersAt(oldPoint % old.points.length)
    const newOwners = now.ownersAt(nowPoint % now.points.length)
    if (end > start && !sameInOrder(owners, newOwners)) {
      yield { share: (end - start) / old.circumference, before: owners, after: newOwners }
    }
    if (old.points[oldPoint] === end) oldPoint++
    if (now.points[nowPoint] === end) nowPoint++
    start = end
  }
}

/** Exact, from the ring's arcs, by member id. A member whose weight came to no point has shares of 0. */
export function sharesOf(ring: Ring): ReadonlyMap<string, MemberShare> {
  const circle = pointsOf(ring, 'sharesOf: ring')
  const { points, circumference } = circle
  const lengths = new Map(ring.members.map(({ id }) => [id, { primaries: 0, copies: 0 }]))
  for (let point = 0; point < points.length; point++) {
    const previous = point === 0 ? points[points.length - 1]! - circumference : points[point - 1]!
    const length = points[point]! - previous
    const owners = circle.ownersAt(point)
    lengths.get(owners[0]!.id)!.primaries += length
    for (const owner of owners) lengths.get(owner.id)!.copies += length
  }
  const shares = new Map<string, MemberShare>()
  for (const [id, { primaries, copies }] of lengths) {
    shares.set(id, { primaries: primaries / circumference, copies: copies / circumference / ring.replicas })
  }
  return shares
}

/** Sums by pair of members. */
class Tally {
  readonly #shares = new Map<string | undefined, Map<string | undefined, number>>()

  add(from: string | undefined, to: string | undefined, share: number): void {
    let sameFrom = this.#shares.get(from)
    if (sameFrom === undefined) {
      sameFrom = new Map()
      this.#shares.set(from, sameFrom)
    }
    sameFrom.set(to, (sameFrom.get(to) ?? 0) + share)
  }

  /** What only disappears costs nothing to make, so `share` leaves it out. */
  result(): { share: number; moves: Move[] } {
    const moves: Move[] = []
    for (const [from, sameFrom] of this.#shares) {
      for (const [to, share] of sameFrom) moves.push({ from, to, share })
    }
    moves.sort((a, b) => b.share - a.share)
    return { share: moves.reduce((sum, { to, share }) => (to === undefined ? sum : sum + share), 0), moves }
  }
}

function pointsOf<M extends RingMember>(ring: Ring<M>, what: string): PointRing<M> {
  if (!('points' in ring && 'ownersAt' in ring)) throw ConfigurationError.of(what, 'a ring of hashRing() or ketamaRing()', ring)
  return ring as PointRing<M>
}

function without(members: readonly RingMember[], others: readonly RingMember[]): RingMember[] {
  return members.filter(({ id }) => !others.some((other) => other.id === id))
}

function sameInOrder(a: readonly RingMember[], b: readonly RingMember[]): boolean {
  return a.length === b.length && a.every(({ id }, index) => id === b[index]!.id)
}
