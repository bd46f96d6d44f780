/**
 * Whether every change of a key would be heard that anybody in the fleet has had acknowledged.
 *
 * While keys move between nodes, processes of the neighbouring phase have their changes acknowledged by the owners of the other ring: then
 * those have to be heard as well.
 */
import type { Cluster } from '../cluster/cluster.ts'
import type { Invalidations } from './invalidation.ts'

/** @param wire the key as it lies on the nodes @param spare how many of its owners may be silent: see `Invalidations.covers` */
export function hearsKey(
  invalidations: Pick<Invalidations, 'covers'>,
  cluster: Pick<Cluster, 'ownersOf' | 'otherOwnersOf'>,
  prefix: string,
  wire: string,
  spare: number,
): boolean {
  if (!invalidations.covers(prefix, cluster.ownersOf(wire), spare)) return false
  const others = cluster.otherOwnersOf?.(wire)
  return others === undefined || invalidations.covers(prefix, others, spare)
}
