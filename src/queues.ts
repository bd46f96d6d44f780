/**
 * How much waits in a process, and how much may.
 *
 * Nothing in a tier waits without a bound: each queue sheds, drops or pauses what it has no room for, and says so where it does. Here are the
 * queues by name, so that how full they are can be seen before they are. Each says itself how much is in it, when it is asked, and counts nothing for it;
 * one that has a bound of bytes as well says what it is fuller by, as its share of the count.
 */

/** What waits or is under way in one queue, now. */
export interface QueueDepth {
  /** In the queue's own unit: see `TierQueues`. */
  readonly depth: number
  /** The most that there may be. */
  readonly bound: number
}

/** Of several queues of a kind (one a connection, a shard, a cache, a listener) the one that is fullest, by its own bound. */
export interface TierQueues {
  /** Calls of caches under way. One more is refused with an `OverloadError`. */
  readonly calls: QueueDepth
  /** Keys that wait to be sent, a connection of a node: `redisNode(url, { batch: { maxQueue } })`. One more fails at that node. */
  readonly nodeWaiting: QueueDepth
  /** Keys sent and not answered, a connection: `batch.maxFlights` times `batch.maxKeys`. More wait. */
  readonly nodeUnderWay: QueueDepth
  /** Commands beside batches sent and not answered, a connection. One more fails. */
  readonly nodeCommands: QueueDepth
  /** Hints on their way to nodes. More are held. */
  readonly hintsUnderWay: QueueDepth
  /** Hints that no node would keep yet. For one more, `hints:lost` is told and its node emptied. */
  readonly hintsHeld: QueueDepth
  /** Changes that no owner took and the store has, to be made again. One more is told of as `hints:lost`. */
  readonly changesHeld: QueueDepth
  /** Changes that were made while it was not known which ring is the fleet's. One more is told of as `hints:lost`. */
  readonly changesDoubted: QueueDepth
  /** Leases that an owner may have granted without its answer arriving. One more ends by itself. */
  readonly leasesStray: QueueDepth
  /** Copies on their way to owners that reads found behind, a cache. More are left to later reads. */
  readonly repairs: QueueDepth
  /** Looks at a second owner, a cache. More are left out. */
  readonly probes: QueueDepth
  /** Groups that nodes are asked for, a cache. One more is not learnt, and its entry a miss. */
  readonly groupsAsked: QueueDepth
  /** Keys being loaded, a cache, of its store or of loaders. One more is refused with an `OverloadError`. */
  readonly loads: QueueDepth
  /** Keys whose refresh failed over a stale value a short while ago, a cache. It is not a queue, and does not empty by itself: of more the oldest go. */
  readonly loadsPaused: QueueDepth
  /** Keys being touched behind readers, a cache. More are left out. */
  readonly touches: QueueDepth
  /** Calls to a shard that are not over, those among them that their callers have left: `stores.concurrency`. More wait. */
  readonly storeUnderWay: QueueDepth
  /** Statements in line for a shard, of reads or of writes: `stores.queue`. One more is shed with an `OverloadError`. */
  readonly storeWaiting: QueueDepth
  /** Reads in line for a shard, however few statements they will be. One more is shed. */
  readonly storeReadsWaiting: QueueDepth
  /** Keys being saved or removed, and those of which it is not known yet whether that will still happen, a cache. One more is refused with an `OverloadError`. */
  readonly saves: QueueDepth
  /** Of write-behind: what the journal did not take and the store does not have yet, a cache. One more is refused with an `OverloadError`. */
  readonly writesUnjournalled: QueueDepth
  /** Of write-behind: saved writes of which owners have yet to hear, a cache. Of more they do not. */
  readonly writesUnsettled: QueueDepth
  /** Keys that wait to be told on a bus. For one more, all are told at once as `all`. */
  readonly busWaiting: QueueDepth
  /** Events that wait for a listener. For one more all are left out, which is told of as `listener:failed` or `changes:missed`. */
  readonly eventsWaiting: QueueDepth
}

export type QueueName = keyof TierQueues

/** Says how much is in one queue. */
export type TellQueue = (name: QueueName, depth: number, bound: number) => void

/** A part in which something waits. */
export interface QueueTeller {
  /** Tells of each queue that it has. */
  tellQueues(tell: TellQueue): void
}

const NONE: QueueDepth = Object.freeze({ depth: 0, bound: 0 })
const NO_QUEUES: TierQueues = Object.freeze({
  calls: NONE,
  nodeWaiting: NONE,
  nodeUnderWay: NONE,
  nodeCommands: NONE,
  hintsUnderWay: NONE,
  hintsHeld: NONE,
  changesHeld: NONE,
  changesDoubted: NONE,
  leasesStray: NONE,
  repairs: NONE,
  probes: NONE,
  groupsAsked: NONE,
  loads: NONE,
  loadsPaused: NONE,
  touches: NONE,
  storeUnderWay: NONE,
  storeWaiting: NONE,
  storeReadsWaiting: NONE,
  saves: NONE,
  writesUnjournalled: NONE,
  writesUnsettled: NONE,
  busWaiting: NONE,
  eventsWaiting: NONE,
})

/** @returns of each kind the fullest; 0 of 0 where there is none */
export function queuesOf(tellers: Iterable<QueueTeller>): TierQueues {
  const queues: Record<QueueName, QueueDepth> = { ...NO_QUEUES }
  const tell: TellQueue = (name, depth, bound) => {
    const fullest = queues[name]
    if (fullest.bound === 0 || depth * fullest.bound > fullest.depth * bound) queues[name] = { depth, bound }
  }
  for (const teller of tellers) teller.tellQueues(tell)
  return queues
}

/** What a queue with two bounds tells as its depth: its count, or where it is fuller by its bytes, as great a share of the count that there may be. */
export function fullerBy(count: number, mostCount: number, bytes: number, mostBytes: number): number {
  return Math.max(count, Math.min(mostCount, Math.floor((bytes / mostBytes) * mostCount)))
}
