/**
 * Removes entries from nodes that do not own them.
 *
 * Nobody reads them and nobody writes them, so they grow old: harmless where they lie, and a danger the day their node owns the key again, for
 * what they are older than may have been deleted, and the tombstone be gone. So they are removed after each change, and looked for
 * before each, since an earlier one may have been interrupted. On a node that has yet to join, all that lies there is such.
 */
import type { CacheNode, Change } from '../node/node.ts'
import type { KeyPlacing } from './topology.ts'
import type { WalkedNodes } from './walked-nodes.ts'

const CALL = { timeoutMs: 1_000 }

export interface Swept {
  readonly removed: number
  /** Nodes of which not all could be looked at or removed. */
  readonly unswept: readonly CacheNode[]
}

/** @param placing by which the owners stay @throws the walk's signal's reason */
export async function sweepLeftovers(walked: WalkedNodes, nodes: readonly CacheNode[], placing: KeyPlacing): Promise<Swept> {
  let removed = 0
  const failed = new Set<CacheNode>()
  const unwalked = await walked.walk(nodes, placing.prefix, async (node, keys) => {
    const drops = keys.filter((key) => placing.ownersOf(key)?.includes(node) === false).map((key): Change => ({ op: 'drop', key }))
    if (drops.length === 0) return
    for (const { state } of await node.apply(drops, CALL)) {
      if (state === 'applied') removed++
      else failed.add(node)
    }
  })
  return { removed, unswept: [...new Set([...unwalked, ...failed])] }
}
