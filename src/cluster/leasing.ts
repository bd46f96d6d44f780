/**
 * Leases over a cluster: each asked of its key's first owner, and of the next where that does not answer, or looks dead.
 *
 * The whole fleet asks the same owner, which is what makes a lease exclusive, whether or not that has missed changes: each process finds that out
 * for itself. Who loads then goes by the later of what that owner held and what the read saw. While a first owner fails, some processes may see it and
 * others not, so that two may hold a lease of the same key at different owners: then a key is loaded twice, and the nodes keep the newer
 * of both. A lease that an owner granted without its answer arriving is given back, and one that it did not hear given back is given back again
 * (`stray-leases.ts`).
 */
import type { Random } from '../clock.ts'
import { compareStamps } from '../codec/envelope.ts'
import { type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode, LeaseAsk, Leased, Status } from '../node/node.ts'
import type { Ring } from '../ring/ring.ts'
import type { Lease, LeaseAnswer, LeaseRequest } from './cluster.ts'
import { addToGroup, type NodeGroups } from './node-groups.ts'
import { areAllBehind, isAvoided, livingFirst } from './owner-order.ts'
import type { StrayLeases } from './stray-leases.ts'
import type { WalkContext } from './walk-context.ts'

/** Tokens are from 1 to this; 0 in a header means that there is none. */
const TOKENS = 2 ** 32 - 1

/** In order; never rejects. */
export async function askLeases(
  requests: readonly LeaseRequest[],
  ring: Ring<CacheNode>,
  random: Random,
  deadlineMs: number,
  context: WalkContext,
  strays?: StrayLeases,
): Promise<LeaseAnswer[]> {
  const answers = new Array<LeaseAnswer | undefined>(requests.length)
  const asks = requests.map((request): LeaseAsk => ({ ...request, token: 1 + Math.floor(random() * TOKENS) }))
  const orders = asks.map(({ key }) => livingFirst(ring.ownersOf(key)))
  const deadlineAtMs = context.clock.monotonic() + deadlineMs
  let left = Array.from(requests.keys())
  for (let attempt = 0; left.length > 0 && attempt < ring.replicas; attempt++) {
    const remainingMs = deadlineAtMs - context.clock.monotonic()
    const timeoutMs = attempt === ring.replicas - 1 ? remainingMs : Math.min(context.firstCall.timeoutMs, remainingMs)
    if (timeoutMs <= 0) break
    const groups: NodeGroups = new Map()
    for (const position of left) addToGroup(groups, orders[position]![attempt]!, position)
    const unsettled: number[] = []
    const ask = async (node: CacheNode, group: readonly number[]): Promise<void> => {
      const leased = await node.lease(
        group.map((position) => asks[position]!),
        { timeoutMs },
      )
      let hasFailed = false
      for (const [nth, position] of group.entries()) {
        const { key, token, leaseMs } = asks[position]!
        const lease = { token, node, untilMs: context.clock.monotonic() + leaseMs }
        if (leased[nth]!.state === 'unknown') strays?.add(key, lease)
        const answer = answerOf(leased[nth]!, lease)
        answers[position] = weighed(answers[position], answer, orders[position]!)
        if (answer.state === 'failed') hasFailed = true
        if (answer.state === 'failed' || isDoubtful(answer)) unsettled.push(position)
      }
      if (hasFailed) context.nodeFailed(node.id)
    }
    await Promise.all(Array.from(groups, ([node, group]) => ask(node, group)))
    left = unsettled
  }
  for (const position of left) {
    if (answers[position]?.state !== 'changed') answers[position] = unleased(answers[position], ring.replicas, deadlineMs)
  }
  return answers as LeaseAnswer[]
}

/** Before the owners have heard of it. Of one that does not, the lease is a stray. */
export function giveBack(
  leases: readonly { readonly key: string; readonly lease: Lease }[],
  timeoutMs: number,
  strays?: StrayLeases,
): void {
  const call = { timeoutMs }
  for (const { key, lease } of leases) {
    const settled = ({ state }: Status): void => {
      if (state !== 'applied') strays?.add(key, lease)
    }
    lease.node.change({ op: 'release', key, lease: lease.token }, { settled }, call)
  }
}

/** What lies on a node that may have missed changes counts only where no other owner says more. */
function isDoubtful(answer: LeaseAnswer): boolean {
  return answer.state === 'changed' && isAvoided(answer.fetched.node!)
}

/** @returns what is known of a key when `next` came after what was known `before` */
function weighed(before: LeaseAnswer | undefined, next: LeaseAnswer, owners: readonly CacheNode[]): LeaseAnswer | undefined {
  if (next.state === 'failed') return before?.state === 'changed' ? before : next
  if (next.state !== 'changed' || !isDoubtful(next)) return next
  if (next.fetched.node!.standing!.behind && !areAllBehind(owners)) return before
  return before?.state === 'changed' && compareStamps(before.fetched.bytes!, next.fetched.bytes!) >= 0 ? before : next
}

function answerOf(leased: Leased, lease: Lease): LeaseAnswer {
  if (leased.state === 'granted') return { state: 'granted', lease, held: leased.held }
  if (leased.state === 'changed') return { state: 'changed', fetched: { bytes: leased.bytes, node: lease.node, failure: undefined } }
  return leased.state === 'unknown' ? { state: 'failed', error: leased.error } : leased
}

function unleased(last: LeaseAnswer | undefined, owners: number, deadlineMs: number): LeaseAnswer {
  const cause: RingtailError | undefined = last?.state === 'failed' ? last.error : undefined
  return { state: 'failed', error: new UnavailableError(`none of the ${owners} owners gave a lease within ${deadlineMs} ms`, { cause }) }
}
