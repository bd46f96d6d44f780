/**
 * One read of many keys, each answered by several of its owners: `owner-poll.ts` for a batch, in rounds of one request a node.
 *
 * The first round asks as many owners of each key as the level wants; each further one asks the next owners of those keys whose owners
 * failed. A key that has too few answers when its owners or the time are used up fails alone.
 */
import { type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import { unanswered } from './batch-walk.ts'
import type { Fetched } from './cluster.ts'
import { type Answer, newestOf } from './newest.ts'
import { addToGroup, type NodeGroups } from './node-groups.ts'
import { type PollLevel, quorumOf } from './owner-poll.ts'
import type { WalkContext } from './owner-walk.ts'
import type { ReadRepair } from './read-repair.ts'

export interface BatchPoll {
  readonly keys: readonly string[]
  /** Of each key, at least one. */
  readonly owners: readonly (readonly CacheNode[])[]
  readonly level: PollLevel
  readonly deadlineMs: number
  readonly context: WalkContext
  readonly repair: ReadRepair
}

/** One key's part of the poll. */
interface Ballot {
  readonly position: number
  readonly key: string
  readonly owners: readonly CacheNode[]
  /** By the owner's place in the ring's order. */
  readonly answers: (Answer | undefined)[]
  answered: number
  asked: number
  error: RingtailError | undefined
}

/** In the order of the keys. Never rejects. */
export async function pollBatch(poll: BatchPoll): Promise<Fetched[]> {
  const { level, context, deadlineMs } = poll
  const beganMs = context.clock.now()
  const deadlineAtMs = context.clock.monotonic() + deadlineMs
  const ballots = poll.keys.map(
    (key, position): Ballot => ({ position, key, owners: poll.owners[position]!, answers: [], answered: 0, asked: 0, error: undefined }),
  )
  let open = ballots
  while (open.length > 0) {
    const remainingMs = deadlineAtMs - context.clock.monotonic()
    if (remainingMs <= 0) break
    await askRound(poll, open, remainingMs)
    // An owner that failed at level `all` is done without.
    open =
      level === 'all'
        ? []
        : open.filter((ballot) => ballot.answered < quorumOf(ballot.owners.length) && ballot.asked < ballot.owners.length)
  }
  return ballots.map((ballot) => resultOf(ballot, poll, beganMs))
}

async function askRound(poll: BatchPoll, open: readonly Ballot[], remainingMs: number): Promise<void> {
  const groups: NodeGroups = new Map()
  let replaceable = false
  for (const [at, ballot] of open.entries()) {
    const { owners } = ballot
    const upTo = poll.level === 'all' ? owners.length : Math.min(owners.length, ballot.asked + quorumOf(owners.length) - ballot.answered)
    for (; ballot.asked < upTo; ballot.asked++) addToGroup(groups, owners[ballot.asked]!, at)
    if (poll.level === 'all' ? owners.length > 1 : upTo < owners.length) replaceable = true
  }
  const timeoutMs = replaceable ? Math.min(poll.context.firstCall.timeoutMs, remainingMs) : remainingMs
  const ask = async (node: CacheNode, group: readonly number[]): Promise<void> => {
    try {
      const replies = await node.getMany(
        group.map((at) => open[at]!.key),
        { timeoutMs },
      )
      for (const [nth, at] of group.entries()) {
        const ballot = open[at]!
        ballot.answers[ballot.owners.indexOf(node)] = { node, bytes: replies[nth] }
        ballot.answered++
      }
    } catch (error) {
      poll.context.nodeFailed(node.id)
      for (const at of group) open[at]!.error = error as RingtailError
    }
  }
  await Promise.all(Array.from(groups, ([node, group]) => ask(node, group)))
}

function resultOf({ key, owners, answers, answered, error }: Ballot, { level, deadlineMs, repair }: BatchPoll, beganMs: number): Fetched {
  const wanted = level === 'all' ? 1 : quorumOf(owners.length)
  if (answered < wanted) {
    const message = `${answered} of the ${owners.length} owners answered within ${deadlineMs} ms, but ${wanted} were needed`
    return unanswered(new UnavailableError(message, { cause: error }))
  }
  const known = answers.filter((answer) => answer !== undefined)
  const newest = newestOf(known)
  repair.mend(key, known, newest, beganMs)
  return { bytes: newest.bytes, node: newest.node, failure: undefined }
}
