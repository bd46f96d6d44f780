/**
 * Reading records from all of their owners.
 *
 * A record is read seldom and believed for long, so each owner is asked, and the latest of their answers counts. An owner that answers with
 * less than the latest lacks it: it was down when the record was written, or has come back empty, and is given it now, behind the reader.
 */
import type { Cluster, WriteLevel } from '../cluster/cluster.ts'
import type { CacheNode } from '../node/node.ts'
import { type GroupRecord, recordOf, recordPut } from './group-records.ts'

/** What the owners of one record said. */
export interface OwnersRecord {
  /** The latest; undefined when no owner has the record. */
  ms: number | undefined
  /** Whether that is the moment of a delete. */
  deleted: boolean
  /** How many owners answered. */
  answered: number
}

interface Answer {
  readonly node: CacheNode
  readonly position: number
  readonly record: GroupRecord | undefined
}

/** How many owners acknowledge a change. */
export function acknowledging(writes: WriteLevel, replicas: number): number {
  return writes === 'one' ? 1 : writes === 'all' ? replicas : Math.floor(replicas / 2) + 1
}

/** How many owners must have answered for one of them to have whatever was acknowledged. */
export function sufficient(writes: WriteLevel, replicas: number): number {
  return replicas - acknowledging(writes, replicas) + 1
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
  const records = keys.map((): OwnersRecord => ({ ms: undefined, deleted: false, answered: 0 }))
  for (const { position, record: one } of answers) {
    const record = records[position]!
    record.answered++
    if (one === undefined || one.ms < (record.ms ?? 0)) continue
    record.deleted = one.deleted || (one.ms === record.ms && record.deleted)
    record.ms = one.ms
  }
  giveMissing(keys, answers, records, nowMs())
  return records
}

async function answersOf(node: CacheNode, keys: readonly string[], positions: readonly number[]): Promise<Answer[]> {
  try {
    const found = await node.getMany(positions.map((position) => keys[position]!))
    return positions.map((position, at) => ({ node, position, record: recordOf(found[at]) }))
  } catch {
    return []
  }
}

/** Nobody waits for it: an owner that does not take it lacks it still at the next reading. */
function giveMissing(keys: readonly string[], answers: readonly Answer[], records: readonly OwnersRecord[], nowMs: number): void {
  const lacking = new Map<CacheNode, number[]>()
  for (const { node, position, record } of answers) {
    if (records[position]!.ms === record?.ms) continue
    const own = lacking.get(node)
    if (own === undefined) lacking.set(node, [position])
    else own.push(position)
  }
  const put = (position: number) => recordPut(keys[position]!, records[position] as GroupRecord, nowMs)
  for (const [node, own] of lacking) void node.apply(own.map(put))
}
