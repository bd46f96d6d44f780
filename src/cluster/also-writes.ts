/**
 * Changes on their way to those who own a key by the other ring, while keys move.
 *
 * A process of the neighbouring phase reads by that ring, so what is acknowledged here should be there too. They are heard before the caller
 * is answered, and not counted: how many owners must hold a change is a matter of the ring that is read by, so that a new node that fails
 * makes a write at most one try slower, and never fails it. Who missed a change is told of as any owner is; before the old ring goes, those
 * who hold what is missing hand it on (`topology/entry-copies.ts`).
 */
import type { RingtailError } from '../errors.ts'
import type { CacheNode, Change, NodeCall, Status } from '../node/node.ts'
import type { LiveRing } from './live-ring.ts'
import type { MissedListener } from './replication.ts'

/** Calls `done` once all of them have answered or failed; possibly before it returns. @param call bounds how long they are waited for */
export function alsoWriteOne(change: Change, also: readonly CacheNode[], listener: MissedListener, call: NodeCall, done: () => void): void {
  let waiting = also.length
  if (waiting === 0) {
    done()
    return
  }
  const receiver = {
    settled(status: Status, node: CacheNode): void {
      const error = failureOf(status)
      if (error !== undefined) tell(listener, node, [change], error.message)
      if (--waiting === 0) done()
    },
  }
  for (const node of also) node.change(change, receiver, call)
}

/** The same for many changes. Never rejects. */
export async function alsoWrite(changes: readonly Change[], ring: LiveRing, listener: MissedListener, call: NodeCall): Promise<void> {
  if (!ring.isMoving) return
  const parts = new Map<CacheNode, Change[]>()
  for (const change of changes) {
    for (const node of ring.alsoOf(change.key)) {
      const part = parts.get(node)
      if (part === undefined) parts.set(node, [change])
      else part.push(change)
    }
  }
  await Promise.all(
    Array.from(parts, async ([node, part]) => {
      const failures = (await node.apply(part, call)).map(failureOf)
      const reason = failures.find((error) => error !== undefined)?.message
      if (reason !== undefined)
        tell(
          listener,
          node,
          part.filter((_, at) => failures[at] !== undefined),
          reason,
        )
    }),
  )
}

/** Whether the owners by the ring that is read took them is not known here. */
function tell(listener: MissedListener, node: CacheNode, changes: readonly Change[], reason: string): void {
  listener.missed(node, changes, reason)
  for (const change of changes) listener.lacks(node, change, false)
}

function failureOf(status: Status): RingtailError | undefined {
  return status.state === 'failed' || status.state === 'unknown' ? status.error : undefined
}
