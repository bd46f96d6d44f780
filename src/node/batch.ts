/**
 * A batch: items that leave in one command, and the lane of such batches that waits for its turn.
 *
 * What the batcher moves about. An item is a row over four columns (request, sink, slot, deadline), not an object: a hot read then costs no
 * allocation here, and the column of requests is handed to the command as it is. A settled item leaves a hole in the column of sinks.
 */
import type { RingtailError } from '../errors.ts'

/** Where an answer goes. A `Receiver` is one that ignores the slot. */
export interface Sink<Reply, Origin> {
  answered(reply: Reply | undefined, origin: Origin, slot: number): void
  /** @param sent whether it may have reached the node */
  failed(error: RingtailError, origin: Origin, slot: number, sent: boolean): void
  /** See `Receiver.late`. */
  late?(origin: Origin, slot: number): void
}

export class Batch<Request, Reply, Origin> {
  readonly lane: Lane<Request, Reply, Origin>
  requests: Request[]
  sinks: (Sink<Reply, Origin> | undefined)[]
  slots: number[]
  deadlines: number[]
  bytes = 0
  /** When its first item was added, then when it was sent. */
  sinceMs = 0
  overdueAtMs = 0
  overdue = false
  landed = false
  toldLate = false

  /** Begins with one item, for many a batch has no other: an empty array's first push makes room for 17. */
  constructor(
    lane: Lane<Request, Reply, Origin>,
    request: Request,
    sink: Sink<Reply, Origin> | undefined,
    slot: number,
    deadlineMs: number,
  ) {
    this.lane = lane
    this.requests = [request]
    this.sinks = [sink]
    this.slots = [slot]
    this.deadlines = [deadlineMs]
  }

  add(request: Request, sink: Sink<Reply, Origin>, slot: number, deadlineMs: number): void {
    this.requests.push(request)
    this.sinks.push(sink)
    this.slots.push(slot)
    this.deadlines.push(deadlineMs)
  }
}

/** A queue of batches of one sort, with the way to send one. */
export class Lane<Request, Reply, Origin> {
  readonly send: (batch: Batch<Request, Reply, Origin>) => void
  readonly maxFlights: number
  /** Counts towards `maxQueueBytes`: bytes that this process holds, not bytes that it expects. */
  readonly holdsBytes: boolean
  /** How many of these a batch may hold as things are now known; asked when one is sent. */
  readonly keysPerBatch: () => number
  /** Whether its items are reads, which are told when they are late. */
  readonly reads: boolean
  waiting: Batch<Request, Reply, Origin>[] = []
  flights = 0

  constructor(
    send: (batch: Batch<Request, Reply, Origin>) => void,
    options: { maxFlights: number; holdsBytes?: boolean; keysPerBatch?: () => number; reads?: boolean },
  ) {
    this.send = send
    this.maxFlights = options.maxFlights
    this.holdsBytes = options.holdsBytes ?? false
    this.keysPerBatch = options.keysPerBatch ?? (() => Number.POSITIVE_INFINITY)
    this.reads = options.reads ?? false
  }
}

/** Takes the first `keys` items out of a waiting batch, as a batch of their own. */
export function splitOff<Request, Reply, Origin>(from: Batch<Request, Reply, Origin>, keys: number): Batch<Request, Reply, Origin> {
  const batch = new Batch(from.lane, from.requests[0]!, from.sinks[0], from.slots[0]!, from.deadlines[0]!)
  batch.sinceMs = from.sinceMs
  batch.toldLate = from.toldLate
  batch.bytes = (from.bytes * keys) / from.requests.length
  from.bytes -= batch.bytes
  batch.requests = from.requests.splice(0, keys)
  batch.sinks = from.sinks.splice(0, keys)
  batch.slots = from.slots.splice(0, keys)
  batch.deadlines = from.deadlines.splice(0, keys)
  return batch
}

/** Takes out the items that were settled while they waited. @returns how many there were */
export function removeHoles<Request, Reply, Origin>(batch: Batch<Request, Reply, Origin>): number {
  const before = batch.requests.length
  const kept = (_: unknown, i: number): boolean => batch.sinks[i] !== undefined
  batch.requests = batch.requests.filter(kept)
  batch.slots = batch.slots.filter(kept)
  batch.deadlines = batch.deadlines.filter(kept)
  batch.sinks = batch.sinks.filter((sink) => sink !== undefined)
  batch.bytes = before === 0 ? 0 : (batch.bytes * batch.requests.length) / before
  return before - batch.requests.length
}

/** A sink that throws is a fault of ours: it must not cost the other items their answers, nor go unseen. */
export function raise(thrown: unknown): void {
  queueMicrotask(() => {
    throw thrown
  })
}
