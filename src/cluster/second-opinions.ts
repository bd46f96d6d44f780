/**
 * `second-opinion.ts` for keys of a batch: a request a node, and an answer for each key whose other owners gave one that counts.
 */
import type { CacheNode } from '../node/node.ts'
import type { RetryBudget } from '../resilience/retry-budget.ts'
import type { Fetched } from './cluster.ts'
import type { Answer } from './newest.ts'
import { addToGroup, type NodeGroups } from './node-groups.ts'
import { judgeOpinion, othersToAsk } from './second-opinion.ts'
import type { WalkContext } from './walk-context.ts'

/** The call of many keys that they are about. */
export interface AskedBatch {
  readonly keys: readonly string[]
  /** Of each key. */
  readonly owners: readonly (readonly CacheNode[])[]
  /** Whether the level lets any owner answer. */
  readonly anyOwner: boolean
  readonly context: WalkContext
}

/** One key's part. */
interface Opinion {
  readonly position: number
  readonly others: readonly CacheNode[]
  readonly single: boolean
  readonly answers: Answer[]
}

/**
 * Puts what counts into `results`, where there is no answer yet. Never rejects.
 * @param placeOf the position, among a key's owners, of the one in whose place others are asked @param asked by key, see `othersToAsk`
 * @param budget what pays for it; keys that it does not pay for are left out
 */
export async function askOthers(
  batch: AskedBatch,
  placeOf: (position: number) => number,
  asked: readonly number[],
  positions: readonly number[],
  results: (Fetched | undefined)[],
  timeoutMs: number,
  budget?: RetryBudget,
): Promise<void> {
  const { owners, keys, anyOwner, context } = batch
  const opinions: Opinion[] = []
  const groups: NodeGroups = new Map()
  for (const position of positions) {
    const at = placeOf(position)
    const single = anyOwner || at !== 0
    const others = othersToAsk(owners[position]!, asked[position]! | (1 << at), single)
    if (others.length === 0 || budget?.tryTake(others.length) === false) continue
    for (const other of others) addToGroup(groups, other, opinions.length)
    opinions.push({ position, others, single, answers: [] })
  }
  const ask = async (node: CacheNode, group: readonly number[]): Promise<void> => {
    try {
      const replies = await node.getMany(
        group.map((nth) => keys[opinions[nth]!.position]!),
        { timeoutMs },
      )
      for (const [at, nth] of group.entries()) hear(opinions[nth]!, { node, bytes: replies[at] })
    } catch {
      context.nodeFailed(node.id)
    }
  }
  const hear = ({ position, others, single, answers }: Opinion, answer: Answer): void => {
    answers.push(answer)
    if (answers.length < others.length || results[position]?.node !== undefined) return
    const counts = judgeOpinion(answers, single, context.clock.now())
    if (counts !== undefined) results[position] = { bytes: counts.bytes, node: counts.node, failure: undefined }
  }
  await Promise.all(Array.from(groups, ([node, group]) => ask(node, group)))
}
