/**
 * Calling the application's listeners without ever waiting for them.
 *
 * What is to be told is put into the listener's own queue, which costs the teller a look into a map; listeners are called later, on turns of
 * the event loop of their own (`Clock.soon`), a few calls a turn, each listener in its turn. So no read and no write is ever on the stack
 * of a listener, and one that blocks for 50 ms blocks the process for that long, as any code does, but no call more than once.
 *
 * A queue is bounded. What is already waiting is not put in again; when there is no room, the queue is emptied and the listener told of that
 * instead. A listener that returns a promise gets the next item when that has settled. One that throws is told of, and called again.
 */
import type { Clock } from './clock.ts'
import type { QueueTeller, TellQueue } from './queues.ts'

/** Calls a turn, at most. */
const CALLS_A_TURN = 64
/** No further listener is called in a turn that has taken this long, ms. */
const TURN_MS = 2

/** What a delivery takes its turn with. */
interface Deliverable extends QueueTeller {
  /** Delivers one item. @returns whether it has more that can be delivered now */
  deliver(): boolean
}

/** Whose turn it is: one for all listeners of a tier. */
export class Deliveries implements QueueTeller {
  readonly #clock: Pick<Clock, 'soon' | 'monotonic'>
  readonly #queues = new Set<Deliverable>()
  readonly #ready = new Set<Deliverable>()
  #coming = false

  constructor(clock: Pick<Clock, 'soon' | 'monotonic'>) {
    this.#clock = clock
  }

  /** A listener listens from now on. */
  add(queue: Deliverable): void {
    this.#queues.add(queue)
  }

  remove(queue: Deliverable): void {
    this.#queues.delete(queue)
  }

  tellQueues(tell: TellQueue): void {
    for (const queue of this.#queues) queue.tellQueues(tell)
  }

  ready(queue: Deliverable): void {
    this.#ready.add(queue)
    if (this.#coming) return
    this.#coming = true
    this.#clock.soon(() => this.#turn())
  }

  #turn(): void {
    const startMs = this.#clock.monotonic()
    let calls = 0
    // A queue that has more goes to the end of the set, which the loop comes to as well.
    for (const queue of this.#ready) {
      this.#ready.delete(queue)
      if (queue.deliver()) this.#ready.add(queue)
      if (++calls === CALLS_A_TURN || this.#clock.monotonic() - startMs >= TURN_MS) break
    }
    this.#coming = this.#ready.size > 0
    if (this.#coming) this.#clock.soon(() => this.#turn())
  }
}

export interface ListenerQueueParts<T> {
  readonly deliveries: Deliveries
  readonly listener: (item: T) => unknown
  /** The listener threw, or what it returned rejected. */
  readonly failed: (item: T, thrown: unknown) => void
  /**
   * The queue was emptied. @param dropped items that the listener will not be told of since it was last told so
   * @returns what it is told instead; undefined: nothing
   */
  readonly overflowed: (dropped: number) => T | undefined
  /** Items that wait, at most. Default 1,000. */
  readonly max?: number | undefined
}

export const MAX_WAITING = 1_000

/** Under which what is told instead waits. */
const OVERFLOW = Symbol('overflow')

export class ListenerQueue<T> implements Deliverable {
  readonly #parts: ListenerQueueParts<T>
  readonly #max: number
  readonly #waiting = new Map<string | number | symbol, T>()
  #dropped = 0
  /** What the listener returned has not settled. */
  #busy = false
  #stopped = false

  constructor(parts: ListenerQueueParts<T>) {
    this.#parts = parts
    this.#max = parts.max ?? MAX_WAITING
    parts.deliveries.add(this)
  }

  /** @param id an item under it that waits already will do for this one too */
  push(id: string | number, item: T): void {
    if (this.#stopped || this.#waiting.has(id)) return
    if (this.#waiting.size < this.#max) this.#waiting.set(id, item)
    else this.#overflow()
    if (!this.#busy && this.#waiting.size > 0) this.#parts.deliveries.ready(this)
  }

  /** The listener is not called any more. */
  stop(): void {
    this.#stopped = true
    this.#waiting.clear()
    this.#parts.deliveries.remove(this)
  }

  tellQueues(tell: TellQueue): void {
    tell('eventsWaiting', this.#waiting.size, this.#max)
  }

  deliver(): boolean {
    // Its turn was asked for before the call of which the promise has not settled; or by that call itself.
    if (this.#busy) return false
    for (const [id, item] of this.#waiting) {
      this.#waiting.delete(id)
      if (id === OVERFLOW) this.#dropped = 0
      this.#call(item)
      break
    }
    return !this.#busy && this.#waiting.size > 0
  }

  #overflow(): void {
    this.#dropped += this.#waiting.size + (this.#waiting.has(OVERFLOW) ? 0 : 1)
    this.#waiting.clear()
    const instead = this.#parts.overflowed(this.#dropped)
    if (instead === undefined) this.#dropped = 0
    else this.#waiting.set(OVERFLOW, instead)
  }

  #call(item: T): void {
    try {
      const returned = this.#parts.listener(item)
      if (!isThenable(returned)) return
      this.#busy = true
      const settled = (): void => {
        this.#busy = false
        if (this.#waiting.size > 0) this.#parts.deliveries.ready(this)
      }
      Promise.resolve(returned).then(settled, (thrown) => {
        if (!this.#stopped) this.#parts.failed(item, thrown)
        settled()
      })
    } catch (thrown) {
      this.#parts.failed(item, thrown)
    }
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
