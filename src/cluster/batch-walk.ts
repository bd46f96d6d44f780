/**
 * One read of many keys, each answered by one owner: a request a node, and the keys whose node failed are asked of their next owners.
 */
import { type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import type { Fetched } from './cluster.ts'
import { addToGroup, type NodeGroups } from './node-groups.ts'
import { nthOwner, type WalkContext } from './owner-walk.ts'

export interface BatchWalk {
  readonly keys: readonly string[]
  /** Of each key, at least one. */
  readonly owners: readonly (readonly CacheNode[])[]
  /** The position, among a key's owners, of the one to ask first. */
  readonly firstOf: (owners: readonly CacheNode[]) => number
  readonly replicas: number
  readonly deadlineMs: number
  readonly context: WalkContext
}

/** In the order of the keys. Never rejects. */
export async function walkBatch(walk: BatchWalk): Promise<Fetched[]> {
  const { keys, replicas, deadlineMs, context } = walk
  const results = new Array<Fetched>(keys.length)
  const deadlineAtMs = context.clock.monotonic() + deadlineMs
  let left = Array.from(keys.keys())
  for (let attempt = 0; left.length > 0 && attempt < replicas; attempt++) {
    const remainingMs = deadlineAtMs - context.clock.monotonic()
    // After the last owners there is nobody to ask, so they have all the time that is left.
    const timeoutMs = attempt === replicas - 1 ? remainingMs : Math.min(context.firstCall.timeoutMs, remainingMs)
    if (timeoutMs <= 0) break
    left = await askNthOwners(walk, attempt, left, results, timeoutMs)
  }
  for (const position of left) {
    const cause = results[position]?.failure
    results[position] = unanswered(new UnavailableError(`none of the ${replicas} owners answered within ${deadlineMs} ms`, { cause }))
  }
  return results
}

export function unanswered(failure: RingtailError): Fetched {
  return { bytes: undefined, node: undefined, failure }
}

/** @returns the positions whose owner did not answer */
async function askNthOwners(walk: BatchWalk, nth: number, positions: number[], results: Fetched[], timeoutMs: number): Promise<number[]> {
  const { keys, owners, firstOf, context } = walk
  const groups: NodeGroups = new Map()
  for (const position of positions) {
    const ofKey = owners[position]!
    addToGroup(groups, nthOwner(ofKey, firstOf(ofKey), nth)!, position)
  }
  const left: number[] = []
  const ask = async (node: CacheNode, group: readonly number[]): Promise<void> => {
    try {
      const replies = await node.getMany(
        group.map((position) => keys[position]!),
        { timeoutMs },
      )
      for (let at = 0; at < group.length; at++) results[group[at]!] = { bytes: replies[at], node, failure: undefined }
    } catch (error) {
      context.nodeFailed(node.id)
      for (const position of group) {
        results[position] = unanswered(error as RingtailError)
        left.push(position)
      }
    }
  }
  await Promise.all(Array.from(groups, ([node, group]) => ask(node, group)))
  return left
}
