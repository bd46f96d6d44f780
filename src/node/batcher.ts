/**
 * The batcher: many small calls, few large commands.
 *
 * A round trip costs the same for one key as for a hundred, and a busy connection is where calls pile up. So: *send at once when the
 * connection is idle, gather while it is busy.* What is asked within one turn of the event loop leaves together at its end; at most
 * `maxFlights` batches are under way on a connection, and what comes meanwhile gathers into the next one. An idle connection adds no wait,
 * a busy one batches itself (the idea is that of Nagle's algorithm, RFC 896, with keys for bytes and some flights for one). Beside another
 * batch, fewer than `ENOUGH` wait for the end of the loop's round, for until then answers of other nodes wake callers that ask this one too;
 * on an idle connection that would make one call at a time wait for nobody.
 *
 * One batcher serves one connection. Its *lanes* (small reads, large reads, writes) take turns, so that none waits for all of another. The
 * promise: each item is answered or failed exactly once, in the order of its lane where it is answered, within its timeout; batch, queue
 * and flights keep their limits; and when a connection falls silent, only those already on it pay a timeout, the others fail at once.
 */
import type { Clock, Timer } from '../clock.ts'
import { DeadlineError, OverloadError, overdueError, type RingtailError } from '../errors.ts'
import { Batch, Lane, raise, removeHoles, type Sink, splitOff } from './batch.ts'
import type { BatcherOptions } from './batcher-options.ts'
import { Lookout } from './lookout.ts'
import type { NodeObserver } from './node.ts'

/** A timer that fires later than this was held up by this process, not by the node. */
const HELD_UP_MS = 10
/** So many that wait are worth a command of their own while another is under way. */
const ENOUGH = 64

export class Batcher<Origin> {
  readonly #options: BatcherOptions<Origin>
  readonly #clock: Clock
  readonly #lanes: Lane<unknown, unknown, Origin>[] = []
  readonly #flying: Batch<unknown, unknown, Origin>[] = []
  #turn = 0
  #waiting = 0
  #waitingBytes = 0
  #unsettled = 0
  #scheduled = false
  /** What the clock said earlier in this turn, for the batch being filled. */
  #readAtMs: number | undefined
  #stalled = false
  #refusal: (() => RingtailError) | undefined
  #timer: Timer | undefined
  #timerAtMs = Number.POSITIVE_INFINITY
  #forgave = false
  #drained: (() => void) | undefined
  readonly #observer: NodeObserver | undefined
  readonly #lookout: Lookout<Origin> | undefined

  constructor(options: BatcherOptions<Origin>) {
    this.#options = options
    this.#clock = options.clock
    this.#observer = options.observer
    if (options.observer !== undefined)
      this.#lookout = new Lookout(options.clock, options.observer, options.origin, this.#flying, this.#lanes)
  }

  /** Adds a lane. Lanes are made once, when the connection is. */
  lane<Request, Reply>(
    send: (batch: Batch<Request, Reply, Origin>) => void,
    options?: { maxFlights?: number; holdsBytes?: boolean; keysPerBatch?: () => number; reads?: boolean },
  ): Lane<Request, Reply, Origin> {
    const lane = new Lane(send, { maxFlights: this.#options.maxFlights, ...options })
    // Lanes of several types share one list; each batch goes back to the lane that made it, so the types meet again.
    this.#lanes.push(lane as unknown as Lane<unknown, unknown, Origin>)
    return lane
  }

  /** Items neither answered nor failed yet. */
  get unsettled(): number {
    return this.#unsettled
  }

  /** Items not sent yet. */
  get waiting(): number {
    return this.#waiting
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get flights(): number {
    return this.#flying.length
  }

  /** Whether a reply is overdue: nothing new is taken until it comes. */
  get stalled(): boolean {
    return this.#stalled
  }

  /** Takes one item. `sink` hears of it exactly once: possibly at once, if it is refused. @param bytes its size, or the size expected of its reply */
  add<Request, Reply>(
    lane: Lane<Request, Reply, Origin>,
    request: Request,
    sink: Sink<Reply, Origin>,
    slot: number,
    bytes: number,
    timeoutMs: number = this.#options.timeoutMs,
  ): void {
    const options = this.#options
    if (this.#refusal !== undefined || this.#stalled || this.#isFull(lane.holdsBytes ? bytes : 0)) {
      sink.failed(this.#whyNot(), options.origin, slot, false)
      return
    }
    let batch = lane.waiting[lane.waiting.length - 1]
    if (batch !== undefined && (batch.requests.length >= options.maxBatchKeys || batch.bytes + bytes > options.maxBatchBytes))
      batch = undefined
    if (batch === undefined) this.#readAtMs = undefined
    // One reading of the clock for the items that one turn adds to a batch: the last of them has less time by what adding them took.
    this.#readAtMs ??= this.#clock.monotonic()
    const deadlineMs = this.#readAtMs + timeoutMs
    if (batch === undefined) {
      batch = new Batch(lane, request, sink, slot, deadlineMs)
      batch.sinceMs = this.#readAtMs
      lane.waiting.push(batch)
    } else batch.add(request, sink, slot, deadlineMs)
    batch.bytes += bytes
    if (lane.holdsBytes) this.#waitingBytes += bytes
    this.#waiting++
    this.#unsettled++
    if (deadlineMs < this.#timerAtMs) this.#arm(deadlineMs)
    if (!this.#scheduled) this.#schedule()
  }

  /** The replies to a batch, in its order; null and undefined say the same. */
  land<Request, Reply>(batch: Batch<Request, Reply, Origin>, replies: ArrayLike<Reply | null | undefined>): void {
    if (!this.#takeDown(batch)) return
    const { sinks, slots } = batch
    const { origin } = this.#options
    const tookMs = this.#observer === undefined ? 0 : this.#clock.monotonic() - batch.sinceMs
    let answered = 0
    for (let i = 0; i < sinks.length; i++) {
      const sink = sinks[i]
      if (sink === undefined) continue
      this.#unsettled--
      answered++
      try {
        sink.answered(replies[i] ?? undefined, origin, slots[i]!)
      } catch (thrown) {
        raise(thrown)
      }
    }
    batch.sinks = []
    this.#observer?.landed(answered, tookMs, batch.lane.reads)
    this.#moveOn()
  }

  /** A batch under way that will not be answered. @param sent whether it may have reached the node */
  lose<Request, Reply>(batch: Batch<Request, Reply, Origin>, error: RingtailError, sent: boolean): void {
    if (!this.#takeDown(batch)) return
    const lost = this.#failAll(batch, error, sent)
    if (sent && lost > 0) this.#observer?.lost(lost, error, this.#clock.monotonic() - batch.sinceMs)
    this.#moveOn()
  }

  /** Fails what waits, and everything that comes until `accept`, with errors that `refusal` makes. What is under way is left. */
  refuse(refusal: () => RingtailError): void {
    this.#refusal = refusal
    this.#shed(refusal())
    this.#moveOn()
  }

  /** Fails what comes from now on; what waits is still sent. */
  finish(refusal: () => RingtailError): void {
    this.#refusal = refusal
  }

  accept(): void {
    this.#refusal = undefined
  }

  /** Resolves when every item has been answered or failed: within the longest timeout among them. */
  drained(): Promise<void> {
    if (this.#unsettled === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const before = this.#drained
      this.#drained = () => {
        before?.()
        resolve()
      }
    })
  }

  /** Stops the timer. Nothing may wait or be under way any more. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAtMs = Number.POSITIVE_INFINITY
    this.#lookout?.stop()
  }

  /**
   * At the end of the turn: a microtask first, in case this is synchronous code with promises yet to continue; from there `nextTick`, which
   * runs once no microtask is left.
   */
  #schedule(): void {
    this.#scheduled = true
    queueMicrotask(this.#atEndOfTurn)
  }

  readonly #atEndOfTurn = (): void => {
    process.nextTick(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    this.#scheduled = false
    if (this.#flying.length === 0 || this.#waiting >= ENOUGH) this.#flush()
    else if (this.#flying.length < this.#options.maxFlights) this.#clock.soon(this.#flush)
    this.#readAtMs = undefined
  }

  readonly #flush = (): void => {
    while (this.#flying.length < this.#options.maxFlights) {
      const batch = this.#next()
      if (batch === undefined) break
      this.#launch(batch)
    }
    this.#readAtMs = undefined
  }

  /** The first batch of the next lane in turn that has one and may send it. */
  #next(): Batch<unknown, unknown, Origin> | undefined {
    const lanes = this.#lanes
    for (let i = 0; i < lanes.length; i++) {
      const at = (this.#turn + i) % lanes.length
      const lane = lanes[at]!
      if (lane.waiting.length === 0 || lane.flights >= lane.maxFlights) continue
      this.#turn = at + 1
      const head = lane.waiting[0]!
      const keys = Math.max(1, lane.keysPerBatch())
      if (head.requests.length > keys) return splitOff(head, keys)
      lane.waiting.shift()
      return head
    }
    return undefined
  }

  #launch(batch: Batch<unknown, unknown, Origin>): void {
    const { lane } = batch
    lane.flights++
    this.#flying.push(batch)
    this.#waiting -= batch.requests.length
    if (lane.holdsBytes) this.#waitingBytes -= batch.bytes
    // The turn's own reading where there is one: then the batch is overdue exactly when the last item added to it is.
    this.#readAtMs ??= this.#clock.monotonic()
    let lastMs = this.#readAtMs + this.#options.timeoutMs
    for (let i = 0; i < batch.deadlines.length; i++) if (batch.deadlines[i]! > lastMs) lastMs = batch.deadlines[i]!
    batch.sinceMs = this.#readAtMs
    batch.overdueAtMs = lastMs
    if (lastMs < this.#timerAtMs) this.#arm(lastMs)
    if (lane.reads) this.#lookout?.watch()
    lane.send(batch)
  }

  /** @returns whether the batch was still under way */
  #takeDown<Request, Reply>(batch: Batch<Request, Reply, Origin>): boolean {
    if (batch.landed) return false
    batch.landed = true
    batch.lane.flights--
    this.#flying.splice(this.#flying.indexOf(batch as unknown as Batch<unknown, unknown, Origin>), 1)
    if (batch.overdue) this.#stalled = this.#flying.some((other) => other.overdue)
    return true
  }

  #moveOn(): void {
    if (this.#waiting > 0 && !this.#scheduled) this.#schedule()
    if (this.#unsettled === 0 && this.#drained !== undefined) {
      const drained = this.#drained
      this.#drained = undefined
      drained()
    }
  }

  #arm(atMs: number): void {
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    this.#timer = this.#clock.after(Math.max(1, Math.ceil(atMs - this.#clock.monotonic())), this.#onTimer)
  }

  /**
   * A timer that fires late found the event loop held up, and replies may lie unread: time is given once, half a timeout at most, for them
   * to be read and for what waited behind them to be sent. Also when it fires in time, what has already arrived is read first.
   */
  readonly #onTimer = (): void => {
    const nowMs = this.#clock.monotonic()
    const lateMs = nowMs - this.#timerAtMs
    this.#timer = undefined
    this.#timerAtMs = Number.POSITIVE_INFINITY
    this.#forgave = lateMs > HELD_UP_MS && !this.#forgave
    if (this.#forgave) this.#arm(nowMs + Math.min(lateMs, this.#options.timeoutMs / 2))
    else this.#clock.soon(this.#sweep)
  }

  /** Fails what is overdue, and sets the timer for what will be next. */
  readonly #sweep = (): void => {
    const nowMs = this.#clock.monotonic()
    const { resetAfterMs, name } = this.#options
    let nextMs = Number.POSITIVE_INFINITY
    let stuck = false
    for (const batch of [...this.#flying]) {
      nextMs = Math.min(nextMs, this.#failOverdue(batch, nowMs, true))
      if (nowMs >= batch.overdueAtMs) {
        batch.overdue = true
        this.#stalled = true
        if (nowMs >= batch.overdueAtMs + resetAfterMs) stuck = true
        else nextMs = Math.min(nextMs, batch.overdueAtMs + resetAfterMs)
      } else nextMs = Math.min(nextMs, batch.overdueAtMs)
    }
    if (this.#stalled) {
      this.#shed(this.#whyNot())
      this.#options.stalled?.()
    }
    for (const lane of this.#lanes) {
      for (const batch of lane.waiting) nextMs = Math.min(nextMs, this.#failOverdue(batch, nowMs, false))
      lane.waiting = lane.waiting.filter((batch) => batch.requests.length > 0)
    }
    if (nextMs < this.#timerAtMs) this.#arm(nextMs)
    this.#moveOn()
    if (stuck) this.#options.reset(`no answer for ${Math.round(resetAfterMs)} ms after a reply was due from node ${name}`)
  }

  /** @returns the earliest deadline left, ms */
  #failOverdue<Request, Reply>(batch: Batch<Request, Reply, Origin>, nowMs: number, sent: boolean): number {
    let nextMs = Number.POSITIVE_INFINITY
    let error: RingtailError | undefined
    let lost = 0
    for (let i = 0; i < batch.deadlines.length; i++) {
      const sink = batch.sinks[i]
      if (sink === undefined) continue
      if (batch.deadlines[i]! > nowMs) {
        nextMs = Math.min(nextMs, batch.deadlines[i]!)
        continue
      }
      error ??= new DeadlineError(`node ${this.#options.name}: ${sent ? 'no answer within the timeout' : 'not sent within the timeout'}`)
      this.#fail(batch, i, error, sent)
      lost++
    }
    if (error !== undefined && sent) this.#observer?.lost(lost, error, nowMs - batch.sinceMs)
    // A change that was failed as not sent must not be sent after all.
    if (error !== undefined && !sent) {
      const bytes = batch.bytes
      this.#waiting -= removeHoles(batch)
      if (batch.lane.holdsBytes) this.#waitingBytes -= bytes - batch.bytes
    }
    return nextMs
  }

  /** @returns how many items were still open */
  #failAll<Request, Reply>(batch: Batch<Request, Reply, Origin>, error: RingtailError, sent: boolean): number {
    let failed = 0
    for (let i = 0; i < batch.sinks.length; i++) {
      if (batch.sinks[i] === undefined) continue
      this.#fail(batch, i, error, sent)
      failed++
    }
    return failed
  }

  #fail<Request, Reply>(batch: Batch<Request, Reply, Origin>, at: number, error: RingtailError, sent: boolean): void {
    const sink = batch.sinks[at]!
    batch.sinks[at] = undefined
    this.#unsettled--
    try {
      sink.failed(error, this.#options.origin, batch.slots[at]!, sent)
    } catch (thrown) {
      raise(thrown)
    }
  }

  #shed(error: RingtailError): void {
    for (const lane of this.#lanes) {
      const shed = lane.waiting
      lane.waiting = []
      for (const batch of shed) {
        this.#waiting -= batch.requests.length
        if (lane.holdsBytes) this.#waitingBytes -= batch.bytes
        this.#failAll(batch, error, false)
      }
    }
  }

  /** The byte limit leaves room for one item of any size, else a large one could never be sent. */
  #isFull(bytes: number): boolean {
    return (
      this.#waiting >= this.#options.maxQueue ||
      (bytes > 0 && this.#waitingBytes > 0 && this.#waitingBytes + bytes > this.#options.maxQueueBytes)
    )
  }

  #whyNot(): RingtailError {
    if (this.#refusal !== undefined) return this.#refusal()
    const { name, maxQueue, maxQueueBytes } = this.#options
    if (this.#stalled) return overdueError(name)
    return new OverloadError(
      `node ${name}: needs fewer than ${maxQueue} items and ${maxQueueBytes} bytes waiting, but got: ${this.#waiting} items and ${this.#waitingBytes} bytes`,
    )
  }
}
