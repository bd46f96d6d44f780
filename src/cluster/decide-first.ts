/**
 * Changes that one owner decides before the others hear of them: compare-and-set and fills.
 *
 * Owners that each judged for themselves could disagree about what `expected` or a lease says, so one is asked, and what it took goes to the
 * others as an ordinary put, which they judge by its stamp alone. What it refuses reaches nobody. Where its answer is missing the
 * change is `unacknowledged`, and it may have happened on that owner alone: it is not sent on, because it may as well not have, and
 * a compare-and-set that lost must not win elsewhere. If it did happen, read repair brings it to the others, or a newer write over it.
 */
import { type RingtailError, UnacknowledgedError } from '../errors.ts'
import type { CacheNode, Status } from '../node/node.ts'
import type { PutChange, Replicated, WriteLevel } from './cluster.ts'
import { addToGroup, type NodeGroups } from './node-groups.ts'
import { APPLIED, addToParts, type MissedListener, type NodeParts, Replication } from './replication.ts'
import type { WalkContext } from './walk-context.ts'

/** One change with the owner that judges it. */
export interface Decision {
  readonly change: PutChange
  readonly decider: CacheNode
  readonly owners: readonly CacheNode[]
}

export interface DecisionParts {
  readonly level: WriteLevel
  readonly deadlineMs: number
  readonly context: WalkContext
  readonly listener: MissedListener
  /** What a change is that its decider took and another owner has something newer than. */
  readonly overtaken: 'applied' | 'refused'
}

/** In order; never rejects. */
export async function decideFirst(decisions: readonly Decision[], parts: DecisionParts): Promise<Replicated[]> {
  const results = new Array<Replicated>(decisions.length)
  const groups: NodeGroups = new Map()
  for (const [position, { decider }] of decisions.entries()) addToGroup(groups, decider, position)
  const deadlineAtMs = parts.context.clock.monotonic() + parts.deadlineMs
  const decide = async (decider: CacheNode, group: readonly number[]): Promise<void> => {
    const alone = group.every((position) => decisions[position]!.owners.length === 1)
    const statuses = await decider.apply(
      group.map((position) => decisions[position]!.change),
      { timeoutMs: alone ? parts.deadlineMs : deciderMs(parts) },
    )
    const taken: number[] = []
    for (const [nth, position] of group.entries()) {
      const status = statuses[nth]!
      if (status.state === 'applied') taken.push(position)
      else results[position] = status.state === 'refused' ? status : undecided(status)
    }
    if (statuses.some(isFailed)) parts.context.nodeFailed(decider.id)
    if (taken.length === 0) return
    const spread = await spreadTaken(
      taken.map((position) => decisions[position]!),
      parts,
      deadlineAtMs,
    )
    for (const [nth, position] of taken.entries()) results[position] = spread[nth]!
  }
  await Promise.all(Array.from(groups, ([decider, group]) => decide(decider, group)))
  return results
}

/** The decider leaves the others the time of one try, or half of what there is. */
function deciderMs({ deadlineMs, context }: DecisionParts): number {
  return Math.max(deadlineMs / 2, deadlineMs - context.firstCall.timeoutMs)
}

async function spreadTaken(taken: readonly Decision[], parts: DecisionParts, deadlineAtMs: number): Promise<Replicated[]> {
  const nodeParts: NodeParts = new Map()
  for (const [position, { change, decider, owners }] of taken.entries()) {
    const { expected: _, lease: __, ...put } = change
    addToParts(nodeParts, put, position, owners, decider)
  }
  // A decider that answered late must not keep the others from the change: they are asked, if only for a moment.
  const call = { timeoutMs: Math.max(1, deadlineAtMs - parts.context.clock.monotonic()) }
  const replicated = await new Promise<Replicated[]>((resolve) => {
    const replication = new Replication(taken.length, taken[0]!.owners.length, parts.level, parts.listener, resolve)
    for (const [node, part] of nodeParts) replication.send(node, part, call)
    // One that granted a lease and has ceased to be an owner meanwhile is not counted.
    for (const [position, { decider, owners }] of taken.entries())
      if (owners.includes(decider)) replication.acknowledge(position, decider === owners[0])
  })
  return replicated.map((each) => (each.state === 'refused' && parts.overtaken === 'applied' ? APPLIED : each))
}

function isFailed(status: Status): boolean {
  return status.state === 'failed' || status.state === 'unknown'
}

function undecided({ error }: { readonly error: RingtailError }): Replicated {
  return {
    state: 'unacknowledged',
    error: new UnacknowledgedError('the owner that decides did not say that it took the change', { cause: error }),
  }
}
