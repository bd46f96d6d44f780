/**
 * Reading records from all of their owners.
 *
 * A record is read seldom and believed for long, so each owner is asked, and the latest of their answers counts. An owner that answers with
 * less than the latest lacks it: it was down when the record was written, or has come back empty, and is given it now, behind the reader.
 */
import type { Cluster } from '../cluster/cluster.ts'
import type { CacheNode } from '../node/node.ts'
import { recordMs, recordPut } from './group-records.ts'

/** What the owners of one record said. */
export interface OwnersRecord {
  /** The latest; undefined when no owner has the record. */
  ms: number | undefined
  /** How many owners answered. */
  answered: number
}

interface Answer {
  readonly node: CacheNode
  readonly position: number
  readonly ms: number | undefined
}

/** In the order of `keys`; never rejects. A node is waited for as long as its own timeout. @param nowMs ms since the epoch */
export async function ownersRecords(
  cluster: Pick<Cluster, 'ownersOf'>,
  keys: readonly string[],
  nowMs: () => number,
): Promise<OwnersRecord[]> {
  const positions = new Map<CacheNode, number[]>()
  for (const [position, key] of keys.entries()) {
    for (const node of cluster.ownersOf(key)) {
      const own = positions.get(node)
      if (own === undefined) positions.set(node, [position])
      else own.push(position)
    }
  }
  const answers = (await Promise.all(Array.from(positions, ([node, own]) => answersOf(node, keys, own)))).flat()
  const records = keys.map((): OwnersRecord => ({ ms: undefined, answered: 0 }))
  for (const { position, ms } of answers) {
    const record = records[position]!
    record.answered++
    if (ms !== undefined) record.ms = Math.max(ms, record.ms ?? 0)
  }
  giveMissing(keys, answers, records, nowMs())
  return records
}

async function answersOf(node: CacheNode, keys: readonly string[], positions: readonly number[]): Promise<Answer[]> {
  try {
    const found = await node.getMany(positions.map((position) => keys[position]!))
    return positions.map((position, at) => ({ node, position, ms: recordMs(found[at]) }))
  } catch {
    return []
  }
}

/** Nobody waits for it: an owner that does not take it lacks it still at the next reading. */
function giveMissing(keys: readonly string[], answers: readonly Answer[], records: readonly OwnersRecord[], nowMs: number): void {
  const lacking = new Map<CacheNode, number[]>()
  for (const { node, position, ms } of answers) {
    if (records[position]!.ms === ms) continue
    const own = lacking.get(node)
    if (own === undefined) lacking.set(node, [position])
    else own.push(position)
  }
  for (const [node, own] of lacking) void node.apply(own.map((position) => recordPut(keys[position]!, records[position]!.ms!, nowMs)))
}
