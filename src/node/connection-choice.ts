/**
 * Which of a node's connections takes a call.
 *
 * On one connection the callers of a batch wait together, ask again together, and the server waits meanwhile: with 16 to 64 calls under way it is
 * busy half of the time, and so is this process. Two halves on two connections take turns instead, which was measured to be twice as much;
 * a third connection adds little. With hundreds of calls under way one would do: there two batches of one connection take turns by themselves.
 */
import type { Change } from './node.ts'

export interface Choosable {
  /** Whether a call would be sent now. */
  readonly ready: boolean
  /** Whether a call would be sent, and likely not be answered. */
  readonly doubted: boolean
  /** Whether nothing is under way, though something may wait for the turn's end. */
  readonly idle: boolean
  /** Items that wait to be sent. */
  readonly waiting: number
}

/**
 * Of those that would take a call, one with nothing under way, of several the one for which the fewest wait: what is asked together is divided.
 * Where all are busy, the one for which the most wait, so that they leave in one command. Where none would take a call, one
 * that refuses it at once, for the reason that it gives; undefined where there is none.
 */
export function chosen<C extends Choosable>(connections: readonly C[]): C | undefined {
  if (connections.length <= 1) return connections[0]
  let idle: C | undefined
  let busy: C | undefined
  for (let i = 0; i < connections.length; i++) {
    const connection = connections[i]!
    if (!connection.ready) continue
    if (connection.idle) {
      if (idle === undefined || connection.waiting < idle.waiting) idle = connection
    } else if (busy === undefined || connection.waiting > busy.waiting) busy = connection
  }
  return idle ?? busy ?? refusing(connections)
}

/** For one change. What no version orders goes one way, in the order in which it is asked for. */
export function chosenFor<C extends Choosable>(connections: readonly C[], change: Change): C | undefined {
  return isOrderedByArrival(change) ? (connections.find(({ ready }) => ready) ?? refusing(connections)) : chosen(connections)
}

/** For the changes of one call, which stay together. */
export function chosenForAll<C extends Choosable>(connections: readonly C[], changes: readonly Change[]): C | undefined {
  const ordered = changes.find(isOrderedByArrival)
  return ordered === undefined ? chosen(connections) : chosenFor(connections, ordered)
}

function isOrderedByArrival({ op }: Change): boolean {
  return op === 'set' || op === 'drop'
}

function refusing<C extends Choosable>(connections: readonly C[]): C | undefined {
  return connections.find(({ doubted }) => !doubted) ?? connections[0]
}
