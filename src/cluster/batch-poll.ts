/**
 * One read of many keys, each answered by several of its owners: `owner-poll.ts` for a batch, in rounds of one request a node.
 *
 * The first round asks as many owners of each key as the level wants; each further one asks the next owners of those keys whose owners
 * failed. A key that has too few answers when its owners or the time are used up fails alone. Then the first owners of keys that have just
 * been written are asked again. Keys whose owners owe earlier answers are asked again shortly, while there is time.
 */
import { type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'
import { unanswered } from './batch-walk.ts'
import type { Fetched } from './cluster.ts'
import { type Answer, newestOf } from './newest.ts'
import { addToGroup, type NodeGroups } from './node-groups.ts'
import { inAskingOrder, mayAskAgain, OWED_PAUSE_MS } from './owner-order.ts'
import { FIRST_PAUSE_MS, type PollLevel, quorumOf, unsettled } from './owner-poll.ts'
import type { ReadRepair } from './read-repair.ts'
import { unsettledMs } from './unsettled.ts'
import type { WalkContext } from './walk-context.ts'

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
  /** The same in the order in which they are asked. */
  readonly order: readonly CacheNode[]
  /** By the owner's place in the ring's order. */
  readonly answers: (Answer | undefined)[]
  asked: number
  error: RingtailError | undefined
}

/** In the order of the keys. Never rejects. */
export async function pollBatch(poll: BatchPoll): Promise<Fetched[]> {
  const { level, context, deadlineMs } = poll
  const beganMs = context.clock.now()
  const deadlineAtMs = context.clock.monotonic() + deadlineMs
  const ballots = poll.keys.map((key, position): Ballot => {
    const owners = poll.owners[position]!
    return { position, key, owners, order: inAskingOrder(owners), answers: [], asked: 0, error: undefined }
  })
  for (let left = ballots; left.length > 0; ) {
    await askInRounds(poll, left, deadlineAtMs)
    const remainingMs = deadlineAtMs - context.clock.monotonic()
    left = left.filter(
      (ballot) => knownOf(ballot).length < wantedOf(ballot, level) && mayAskAgain(ballot.error, ballot.owners, remainingMs, deadlineMs),
    )
    if (left.length === 0) break
    await new Promise<void>((resolve) => void context.clock.after(OWED_PAUSE_MS, resolve, { keepAlive: true }))
    for (const ballot of left) ballot.asked = 0
  }
  const late = await settle(poll, ballots, deadlineAtMs)
  return ballots.map((ballot) =>
    late.has(ballot) ? unanswered(unsettled(ballot.owners.length, deadlineMs)) : resultOf(ballot, poll, beganMs),
  )
}

async function askInRounds(poll: BatchPoll, ballots: readonly Ballot[], deadlineAtMs: number): Promise<void> {
  for (let open = ballots; open.length > 0; ) {
    const remainingMs = deadlineAtMs - poll.context.clock.monotonic()
    if (remainingMs <= 0) return
    await askRound(poll, open, remainingMs)
    // An owner that failed at level `all` is done without.
    if (poll.level === 'all') return
    open = open.filter((ballot) => knownOf(ballot).length < quorumOf(ballot.owners.length) && ballot.asked < ballot.owners.length)
  }
}

/** @returns what was not settled in time */
async function settle(poll: BatchPoll, ballots: readonly Ballot[], deadlineAtMs: number): Promise<ReadonlySet<Ballot>> {
  const { clock } = poll.context
  const openMs = (ballot: Ballot): number => {
    const answers = knownOf(ballot)
    return answers.length < wantedOf(ballot, poll.level) ? 0 : unsettledMs(answers, newestOf(answers), ballot.owners[0]!, clock)
  }
  let open = ballots.filter((ballot) => openMs(ballot) > 0)
  for (let pauseMs = FIRST_PAUSE_MS; open.length > 0; pauseMs *= 2) {
    const boundMs = Math.min(pauseMs, Math.max(...open.map(openMs)))
    const remainingMs = deadlineAtMs - clock.monotonic() - boundMs
    if (remainingMs <= 0) break
    await new Promise<void>((resolve) => void clock.after(boundMs, resolve, { keepAlive: true }))
    const groups: NodeGroups = new Map()
    for (const [at, { owners }] of open.entries()) addToGroup(groups, owners[0]!, at)
    const waiting = open
    await Promise.all(
      Array.from(groups, ([node, group]) =>
        ask(
          poll,
          node,
          group.map((at) => waiting[at]!),
          remainingMs,
        ),
      ),
    )
    open = open.filter((ballot) => openMs(ballot) > 0)
  }
  return new Set(open)
}

async function askRound(poll: BatchPoll, open: readonly Ballot[], remainingMs: number): Promise<void> {
  const groups: NodeGroups = new Map()
  let replaceable = false
  for (const [at, ballot] of open.entries()) {
    const { owners } = ballot
    const upTo =
      poll.level === 'all' ? owners.length : Math.min(owners.length, ballot.asked + quorumOf(owners.length) - knownOf(ballot).length)
    for (; ballot.asked < upTo; ballot.asked++) addToGroup(groups, ballot.order[ballot.asked]!, at)
    if (poll.level === 'all' ? owners.length > 1 : upTo < owners.length) replaceable = true
  }
  const timeoutMs = replaceable ? Math.min(poll.context.firstCall.timeoutMs, remainingMs) : remainingMs
  const askOf = (node: CacheNode, group: readonly number[]): Promise<void> =>
    ask(
      poll,
      node,
      group.map((at) => open[at]!),
      timeoutMs,
    )
  await Promise.all(Array.from(groups, ([node, group]) => askOf(node, group)))
}

async function ask({ context }: BatchPoll, node: CacheNode, ballots: readonly Ballot[], timeoutMs: number): Promise<void> {
  try {
    const replies = await node.getMany(
      ballots.map(({ key }) => key),
      { timeoutMs },
    )
    for (const [nth, { answers, owners }] of ballots.entries()) answers[owners.indexOf(node)] = { node, bytes: replies[nth] }
  } catch (error) {
    context.nodeFailed(node.id)
    for (const ballot of ballots) ballot.error = error as RingtailError
  }
}

function knownOf({ answers }: Ballot): Answer[] {
  return answers.filter((answer) => answer !== undefined)
}

function wantedOf({ owners }: Ballot, level: PollLevel): number {
  return level === 'all' ? 1 : quorumOf(owners.length)
}

function resultOf(ballot: Ballot, { level, deadlineMs, repair }: BatchPoll, beganMs: number): Fetched {
  const { key, owners, error } = ballot
  const known = knownOf(ballot)
  const wanted = wantedOf(ballot, level)
  if (known.length < wanted) {
    const message = `${known.length} of the ${owners.length} owners answered within ${deadlineMs} ms, but ${wanted} were needed`
    return unanswered(new UnavailableError(message, { cause: error }))
  }
  const newest = newestOf(known)
  repair.mend(key, known, newest, beganMs)
  return { bytes: newest.bytes, node: newest.node, failure: undefined }
}
