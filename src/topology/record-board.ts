/**
 * Reading and writing the topology's record on all nodes that this process is connected to.
 *
 * Each node takes a record only in place of the bytes that its writer has read there, so that two writers cannot undo one another. Nodes that do
 * not answer are left out, and who decides counts the others.
 */
import type { CacheNode } from '../node/node.ts'
import type { TopologyRecord } from './topology.ts'
import { claimOf, decodeRecord, encodeRecord, type HeldRecord, isSameRecord, isTakenLater, TOPOLOGY_NAME } from './topology-record.ts'

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

export interface Claimed {
  /** What those hold that have promised. */
  readonly held: readonly HeldRecord[]
  /** The latest ballot that was found. */
  readonly latest: string
}

/**
 * Has each node promise to take no record of an earlier ballot: what somebody wrote who looked before, and which has not arrived yet, is refused from
 * now on. What the node holds stays. Never rejects.
 */
export async function claimRecords(nodes: readonly CacheNode[], ballot: string): Promise<Claimed> {
  let latest = ''
  const claimed = await Promise.all(
    nodes.map(async ({ id, control }): Promise<HeldRecord | undefined> => {
      try {
        const held = await control.get(TOPOLOGY_NAME, CALL)
        const earlier = claimOf(held)
        if (earlier > latest) latest = earlier
        if (earlier >= ballot) return undefined
        const bytes = encodeRecord(decodeRecord(held), ballot)
        return (await control.compareAndSet(TOPOLOGY_NAME, held, bytes, CALL)) ? { node: id, bytes } : undefined
      } catch {
        return undefined
      }
    }),
  )
  return { held: claimed.filter((each) => each !== undefined), latest }
}

/**
 * For a record that is not decided yet, on nodes that were claimed with its ballot.
 * @returns the ids of those that took it. Never rejects.
 */
export async function proposeRecord(
  nodes: readonly CacheNode[],
  record: TopologyRecord,
  claimed: readonly HeldRecord[],
): Promise<string[]> {
  const bytes = encodeRecord(record, record.ballot)
  const taken = await Promise.all(
    nodes.map(async ({ id, control }) => {
      const held = claimed.find(({ node }) => node === id)?.bytes
      if (held === undefined || (decodeRecord(held)?.epoch ?? 0) > record.epoch) return false
      return control.compareAndSet(TOPOLOGY_NAME, held, bytes, CALL).catch(() => false)
    }),
  )
  return nodes.filter((_, at) => taken[at]).map(({ id }) => id)
}

/**
 * For a record that was decided: takes the place of anything earlier, and of what else its epoch might have been, but not of itself as a later try
 * had it taken: two that write over one another would never end. Never rejects.
 */
export async function writeRecord(nodes: readonly CacheNode[], record: TopologyRecord): Promise<void> {
  await Promise.all(nodes.map((node) => writeOne(node, record)))
}

async function writeOne({ control }: CacheNode, record: TopologyRecord): Promise<void> {
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      const held = await control.get(TOPOLOGY_NAME, CALL)
      const known = decodeRecord(held)
      if (known !== undefined && (known.epoch > record.epoch || isSameRecord(known, record) || isTakenLater(known, record))) return
      // What it has promised to a later ballot, of what comes after this, it goes on promising.
      const bytes = encodeRecord(record, claimOf(held))
      if (await control.compareAndSet(TOPOLOGY_NAME, held, bytes, CALL)) return
    }
  } catch {
    // Whoever looks next sees whether it holds it.
  }
}
