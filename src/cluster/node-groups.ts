/**
 * What a call of many keys asks of each node: the positions in the call, gathered by node, so that it costs one request a node.
 */
import type { CacheNode } from '../node/node.ts'

export type NodeGroups = Map<CacheNode, number[]>

export function addToGroup(groups: NodeGroups, node: CacheNode, position: number): void {
  const group = groups.get(node)
  if (group === undefined) groups.set(node, [position])
  else group.push(position)
}
