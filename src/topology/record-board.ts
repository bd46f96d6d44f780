/**
 * Reading and writing the topology's record on all nodes that this process is connected to.
 *
 * A record takes the place of an earlier one only, and of one of its own epoch that was never decided; each node judges that by what the writer
 * has read there, so that two writers cannot undo one another. Nodes that do not answer are left out, and who decides counts the others.
 */
import type { CacheNode } from '../node/node.ts'
import type { TopologyRecord } from './topology.ts'
import { decodeRecord, encodeRecord, type HeldRecord, TOPOLOGY_NAME } from './topology-record.ts'

/** Of one look at, or one write on, one node. */
const CALL = { timeoutMs: 250 }
/** A node whose record changes between reading and writing is read again so often, at most. */
const TRIES = 3

/** Of those that answer. Never rejects. */
export async function readRecords(nodes: readonly CacheNode[]): Promise<HeldRecord[]> {
  const held = await Promise.all(
    nodes.map(async (node): Promise<HeldRecord | undefined> => {
      try {
        return { node: node.id, bytes: await node.control.get(TOPOLOGY_NAME, CALL) }
      } catch {
        return undefined
      }
    }),
  )
  return held.filter((each) => each !== undefined)
}

/** @returns the ids of the nodes that hold it now. Never rejects. */
export async function writeRecord(nodes: readonly CacheNode[], record: TopologyRecord): Promise<string[]> {
  const bytes = encodeRecord(record)
  const written = await Promise.all(nodes.map((node) => writeOne(node, record, bytes)))
  return nodes.filter((_, at) => written[at]).map(({ id }) => id)
}

async function writeOne({ control }: CacheNode, record: TopologyRecord, bytes: Uint8Array): Promise<boolean> {
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      const held = await control.get(TOPOLOGY_NAME, CALL)
      if (held !== undefined && Buffer.compare(held, bytes) === 0) return true
      if ((decodeRecord(held)?.epoch ?? 0) > record.epoch) return false
      if (await control.compareAndSet(TOPOLOGY_NAME, held, bytes, CALL)) return true
    }
  } catch {
    // It may hold it, or not: it is not counted.
  }
  return false
}
