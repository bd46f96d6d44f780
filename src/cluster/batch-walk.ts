/**
 * One read of many keys, each answered by one owner: a request a node, and the keys whose node failed are asked of their next owners.
 *
 * What `owner-walk.ts` does for one key: where a node's answers are late, or it is so slow that load is taken off it, other owners of its
 * keys are asked for a second opinion; keys whose owners all owe earlier answers are asked for again shortly.
 */
import { type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import { costsRetry, outOfRetries } from '../resilience/retry-budget.ts'
import type { Fetched } from './cluster.ts'
import { addToGroup, type NodeGroups } from './node-groups.ts'
import { isRelieved, mayAskAgain, nextToAsk, OWED_PAUSE_MS } from './owner-order.ts'
import { askOthers } from './second-opinions.ts'
import type { WalkContext } from './walk-context.ts'

export interface BatchWalk {
  readonly keys: readonly string[]
  /** Of each key, at least one. */
  readonly owners: readonly (readonly CacheNode[])[]
  /** The position, among a key's owners, of the one to ask first. */
  readonly firstOf: (owners: readonly CacheNode[], key: string) => number
  /** Whether the level lets any owner answer. */
  readonly anyOwner: boolean
  readonly replicas: number
  readonly deadlineMs: number
  readonly context: WalkContext
}

/** A walk under way: by the position of the key. */
interface Progress {
  readonly deadlineAtMs: number
  /** The owner to ask first, and those asked so far, a bit each. */
  readonly first: number[]
  readonly asked: number[]
  readonly results: (Fetched | undefined)[]
}

/** In the order of the keys. Never rejects. */
export async function walkBatch(walk: BatchWalk): Promise<Fetched[]> {
  const { keys, owners, context, deadlineMs, replicas } = walk
  const progress: Progress = {
    deadlineAtMs: context.clock.monotonic() + deadlineMs,
    first: keys.map((key, position) => walk.firstOf(owners[position]!, key)),
    asked: new Array<number>(keys.length).fill(0),
    results: new Array<Fetched | undefined>(keys.length),
  }
  const direct: number[] = []
  const aside: number[] = []
  for (let position = 0; position < keys.length; position++) {
    const relieved = replicas > 1 && isRelieved(owners[position]![progress.first[position]!]!)
    if (relieved) aside.push(position)
    else direct.push(position)
  }
  const relieving = aside.length === 0 ? undefined : askAside(walk, progress, aside)
  await Promise.all([askInRounds(walk, progress, direct), relieving])
  const { results } = progress
  for (let position = 0; position < results.length; position++) {
    const result = results[position]
    if (result?.node !== undefined) continue
    const cause = result?.failure
    results[position] = unanswered(new UnavailableError(`none of the ${replicas} owners answered within ${deadlineMs} ms`, { cause }))
  }
  return results as Fetched[]
}

export function unanswered(failure: RingtailError): Fetched {
  return { bytes: undefined, node: undefined, failure }
}

async function askAside(walk: BatchWalk, progress: Progress, positions: readonly number[]): Promise<void> {
  const timeoutMs = Math.min(walk.context.firstCall.timeoutMs, walk.deadlineMs / 2)
  await askOthers(walk, (position) => progress.first[position]!, progress.asked, positions, progress.results, timeoutMs)
  await askInRounds(
    walk,
    progress,
    positions.filter((position) => progress.results[position] === undefined),
  )
}

async function askInRounds(walk: BatchWalk, progress: Progress, positions: readonly number[]): Promise<void> {
  const { replicas, context } = walk
  for (let left = positions; left.length > 0; ) {
    let open = left
    for (let attempt = 0; open.length > 0 && attempt < replicas; attempt++) {
      const remainingMs = progress.deadlineAtMs - context.clock.monotonic()
      // After the last owners there is nobody to ask, so they have all the time that is left.
      const timeoutMs = attempt === replicas - 1 ? remainingMs : Math.min(context.firstCall.timeoutMs, remainingMs)
      if (timeoutMs <= 0) return
      open = await askRound(walk, progress, open, timeoutMs)
    }
    if (open.length === 0) return
    left = toAskAgain(walk, progress, left)
    if (left.length === 0) return
    await new Promise<void>((resolve) => void context.clock.after(OWED_PAUSE_MS, resolve, { keepAlive: true }))
    left = left.filter((position) => progress.results[position]?.node === undefined)
    for (const position of left) progress.asked[position] = 0
  }
}

/** @returns the positions whose owners all owe earlier answers */
function toAskAgain(
  { owners, context, deadlineMs }: BatchWalk,
  { deadlineAtMs, results }: Progress,
  positions: readonly number[],
): number[] {
  const remainingMs = deadlineAtMs - context.clock.monotonic()
  return positions.filter((position) => {
    const result = results[position]
    return result?.node === undefined && mayAskAgain(result?.failure, owners[position]!, remainingMs, deadlineMs)
  })
}

/** @returns the positions whose owner did not answer, and that may be tried elsewhere */
async function askRound(walk: BatchWalk, progress: Progress, positions: readonly number[], timeoutMs: number): Promise<number[]> {
  const groups: NodeGroups = new Map()
  for (const position of positions) {
    const ofKey = walk.owners[position]!
    const at = nextToAsk(ofKey, progress.asked[position]!, progress.first[position]!)
    if (at === -1) continue
    progress.asked[position]! |= 1 << at
    addToGroup(groups, ofKey[at]!, position)
  }
  const left: number[] = []
  await Promise.all(
    Array.from(groups, async ([node, group]) => {
      const failure = await askGroup(walk, progress, node, group, timeoutMs)
      if (failure === undefined) return
      const open = group.filter((position) => progress.results[position]?.node === undefined)
      const mayRetry = !costsRetry(failure) || walk.context.retries.tryTake(open.length)
      for (const position of open) progress.results[position] = unanswered(mayRetry ? failure : outOfRetries(failure))
      if (mayRetry) left.push(...open)
    }),
  )
  return left
}

/** Resolves when each key has an answer, of this node or a second opinion; with the failure where there was one and some have none. */
function askGroup(
  walk: BatchWalk,
  { results, asked }: Progress,
  node: CacheNode,
  group: readonly number[],
  timeoutMs: number,
): Promise<RingtailError | undefined> {
  const { keys, owners, context } = walk
  const placeOf = (position: number): number => owners[position]!.indexOf(node)
  return new Promise((resolve) => {
    const late = (): void => {
      if (walk.replicas === 1) return
      void askOthers(walk, placeOf, asked, group, results, context.firstCall.timeoutMs, context.hedges).then(() => {
        if (group.every((position) => results[position]?.node !== undefined)) resolve(undefined)
      })
    }
    const keysOfGroup = group.map((position) => keys[position]!)
    node.getMany(keysOfGroup, { timeoutMs, late }).then(
      (replies) => {
        for (let at = 0; at < group.length; at++) {
          const position = group[at]!
          if (results[position]?.node === undefined) results[position] = { bytes: replies[at], node, failure: undefined }
        }
        resolve(undefined)
      },
      (error) => {
        context.nodeFailed(node.id)
        resolve(error as RingtailError)
      },
    )
  })
}
