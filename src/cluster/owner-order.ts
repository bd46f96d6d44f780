/**
 * In which order a key's owners are asked: the ring's, but for those of which their guard says that others should be asked first.
 *
 * Those come last, not never: a guard may be wrong, and where all owners of a key look dead they are asked all the same. One that is known to have
 * missed changes is not asked at all, as its answer may be older than any read's bound. Where all owners are so, all are asked, and the newest counts.
 */
import { NodeError } from '../errors.ts'
import type { CacheNode } from '../node/node.ts'

/** Before owners that owe earlier answers are asked again, ms. */
export const OWED_PAUSE_MS = 20
/** Of a read's time, left for what comes after its owners. */
const LEFT_OF_DEADLINE = 1 / 4

/**
 * @param asked the positions asked already, a bit each @param first the position of the owner that the level prefers
 * @returns the position of the owner to ask next; -1 when all were asked that may be
 */
export function nextToAsk(owners: readonly CacheNode[], asked: number, first: number): number {
  let last = -1
  for (let nth = 0; nth <= owners.length; nth++) {
    const at = nth === 0 ? first : nth - 1
    if ((asked & (1 << at)) !== 0) continue
    const { standing } = owners[at]!
    if (standing?.avoided !== true) return at
    if (last === -1 && !standing.behind) last = at
  }
  return last === -1 && asked === 0 ? first : last
}

/**
 * Whether all owners owe earlier answers, so that it is most likely this machine that was held up: then they are asked again shortly, while there is
 * time. Not where all are known to be down: it may be long until one answers.
 *
 * @param error of the last owner that was asked @param remainingMs of `deadlineMs`
 */
export function mayAskAgain(error: unknown, owners: readonly CacheNode[], remainingMs: number, deadlineMs: number): boolean {
  if (!(error instanceof NodeError) || error.overdue !== true || owners.every(isAvoided)) return false
  return remainingMs > deadlineMs * LEFT_OF_DEADLINE + OWED_PAUSE_MS
}

/** The owners in the order in which they are asked. */
export function inAskingOrder(owners: readonly CacheNode[]): readonly CacheNode[] {
  if (!owners.some(isAvoided)) return owners
  return [...owners.filter((owner) => !isAvoided(owner)), ...owners.filter(isAvoided)]
}

/** The owners in the ring's order, but for those that do not answer, which come last. */
export function livingFirst(owners: readonly CacheNode[]): readonly CacheNode[] {
  if (!owners.some(isDown)) return owners
  return [...owners.filter((owner) => !isDown(owner)), ...owners.filter(isDown)]
}

function isDown(node: CacheNode): boolean {
  return node.standing?.down === true
}

export function isAvoided(node: CacheNode): boolean {
  return node.standing?.avoided === true
}

/** Whether each of them is known to have missed changes, of this key or others: then only the newest of what all have counts. */
export function areAllBehind(owners: readonly CacheNode[]): boolean {
  for (let at = 0; at < owners.length; at++) if (owners[at]!.standing?.behind !== true) return false
  return true
}

/** Whether a read that is this node's own to answer is to be answered by others: it is slower than they are. */
export function isRelieved({ standing }: CacheNode): boolean {
  return standing !== undefined && standing.share < 1 && !standing.takesRead()
}

/** Emptied this much sooner than another, it has been filled meanwhile, ms. */
const FULLER_AFTER_MS = 5_000

/** Whether a node was emptied lately, and others of the owners were not, or longer ago: then its misses say nothing. */
export function lacksWhatOthersHave({ standing }: CacheNode, owners: readonly CacheNode[]): boolean {
  if (standing === undefined || standing.emptiedMs === 0) return false
  return owners.some((other) => (other.standing?.emptiedMs ?? 0) + FULLER_AFTER_MS < standing.emptiedMs && !isAvoided(other))
}

/** Whether it lost what it held, and has had little time to get it again. */
export function isEmptied({ standing }: CacheNode): boolean {
  return standing !== undefined && standing.emptiedMs > 0
}
