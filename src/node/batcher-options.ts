/**
 * What a batcher is given: its limits, and who hears of what becomes of its batches.
 */
import type { Clock } from '../clock.ts'
import type { NodeObserver } from './node.ts'

export interface BatcherOptions<Origin> {
  /** Handed back with every answer: the node. */
  readonly origin: Origin
  /** The node's id, for messages. */
  readonly name: string
  readonly clock: Clock
  /** An item's timeout unless it brings its own; also how long a batch may be under way before the connection counts as stalled, ms. */
  readonly timeoutMs: number
  /** Batches under way at a time. */
  readonly maxFlights: number
  readonly maxBatchKeys: number
  /** A batch is closed before it would pass this; an item larger than it goes alone. */
  readonly maxBatchBytes: number
  /** Items that may wait, over all lanes. */
  readonly maxQueue: number
  /** Bytes that may wait to be written. */
  readonly maxQueueBytes: number
  /** How long after a batch became overdue its reply is still waited for, ms; then `reset` is called. */
  readonly resetAfterMs: number
  /** Has the connection closed and made anew; every batch under way is to be lost by it. */
  readonly reset: (reason: string) => void
  /** Told when a reply is overdue, and again for as long as it is. */
  readonly stalled?: (() => void) | undefined
  /** Told of every batch. Default: nobody. */
  readonly observer?: NodeObserver | undefined
}
