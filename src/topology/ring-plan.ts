/**
 * What a change of the ring would come to: computed from the two rings and from what the nodes say that they hold, without looking at an entry.
 *
 * Which part of all keys moves between which nodes follows exactly from the rings; how many keys there are is taken from the nodes' own counts, as if
 * every cache lay by the tier's own ring.
 */
import type { NodeStats } from '../node/node.ts'
import { movedShares } from '../ring/moved-ranges.ts'
import type { Ring } from '../ring/ring.ts'
import type { Member, RingPlan } from './topology.ts'

/** @param stats of the nodes that answered */
export function planOf(before: Ring<Member>, after: Ring<Member>, stats: readonly Pick<NodeStats, 'entries' | 'usedBytes'>[]): RingPlan {
  const { primaries, copies } = movedShares(before, after)
  const entries = stats.reduce((sum, each) => sum + each.entries, 0)
  const usedBytes = stats.reduce((sum, each) => sum + each.usedBytes, 0)
  // One that does not answer is taken to hold what the others do.
  const all = stats.length === 0 ? 0 : (entries * before.members.length) / stats.length
  const keys = all / before.replicas
  return {
    keys: Math.round(keys),
    loadsWithoutCopying: Math.round(primaries.share * keys),
    copies: Math.round(copies.share * keys),
    bytes: entries === 0 ? 0 : Math.round((copies.share * keys * usedBytes) / entries),
    moves: copies.moves.flatMap(({ from, to, share }) => (to === undefined ? [] : [{ from, to, copies: Math.round(share * keys) }])),
  }
}
