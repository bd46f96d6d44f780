/**
 * Whether this process can take more calls, or has to refuse them to go on answering any.
 *
 * A process that is asked for more than it can do falls behind: its event loop comes later and later to what has arrived, each call runs into
 * its deadline though nodes have answered it, and what then goes to the database makes all of it worse. Queues do not show it, for what waits
 * are turns of the loop. So where many calls are under way a timer looks how late it is itself (as `toobusy-js` and `under-pressure` do
 * for HTTP), and while it is late again and again new calls are refused at once, which costs next to nothing, until the loop has caught up. One long
 * turn, a garbage collection or somebody's computation, refuses nobody; nor does whatever happens while few calls are under way.
 *
 * Many calls may wait for the same: a hundred thousand readers for the load of one key. So their number has a bound as well, above which one more is
 * refused, late or not.
 *
 * A call looks at a few fields. There is no quick timer while few calls are under way.
 *
 * When the tier is closed no call is taken any more, and the last of those under way tells that it is over.
 */
import type { Clock, Timer } from '../clock.ts'
import { ClosedError, OverloadError, type RingtailError } from '../errors.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'

export interface AdmissionParts {
  readonly clock: Clock
  /** Told once when calls begin to be refused, and once when for a second none had to be. */
  readonly changed: (state: 'overloaded' | 'relieved', lateMs: number) => void
}

/** Under way at once; some 128 MB. */
const MOST_CALLS = 131_072
/** Fewer under way are no overload of this process. */
const MANY = 256
const SELDOM_MS = 250
const OFTEN_MS = 20
/** A turn of the loop may take so long, ms. */
const LATE_MS = 50
/** So many looks in a row have to be late before anybody is refused; and so many are remembered. */
const LATE_LOOKS = 3
const MOST_LATE_LOOKS = 6
/** Without a refusal, ms. */
const RELIEVED_MS = 1_000

export class Admission implements QueueTeller {
  /** Of caches, under way: each once, however many keys it is of. Counted by the caches. */
  calls = 0
  /** The tier is closed, and so is this for good. */
  ended = false
  readonly #parts: AdmissionParts
  #timer: Timer | undefined
  #dueMs = 0
  #lateLooks = 0
  #lateMs = 0
  #toldOverloaded = false
  #isRefusing = false
  /** When calls were last refused, as far as is looked at; and when for the loop's being late. */
  #refusedMs = Number.NEGATIVE_INFINITY
  #lateRefusalMs = Number.NEGATIVE_INFINITY
  readonly #idle = Promise.withResolvers<void>()

  constructor(parts: AdmissionParts) {
    this.#parts = parts
  }

  /** No new call is taken. */
  get closed(): boolean {
    return this.#isRefusing || this.calls >= MOST_CALLS || this.ended
  }

  /** No call is, of those either that a process which is behind takes. */
  get full(): boolean {
    return this.calls >= MOST_CALLS
  }

  /** The process is behind, or was within a second: that a call had no answer in time says nothing of whom it asked. */
  get isBehind(): boolean {
    return this.#lateLooks >= LATE_LOOKS || this.#parts.clock.monotonic() - this.#lateRefusalMs < RELIEVED_MS
  }

  start(): void {
    this.#arm(SELDOM_MS)
  }

  /** A call that was counted is over. */
  over(): void {
    this.calls--
    if (this.ended && this.calls === 0) this.#idle.resolve()
  }

  /** Takes no more calls, and leaves no timer. Resolves when those under way are over. */
  close(): Promise<void> {
    this.#timer?.cancel()
    this.ended = true
    if (this.calls === 0) this.#idle.resolve()
    return this.#idle.promise
  }

  /** @param what for the message: `cache 'product'` */
  refusal(what: string): RingtailError {
    if (this.ended) return new ClosedError(`${what}: the tier is closed`)
    if (this.full) {
      this.#refusedMs = this.#parts.clock.monotonic()
      return new OverloadError(`${what}: needs fewer than ${MOST_CALLS} calls under way, but got: one more`)
    }
    return new OverloadError(`${what}: this process is ${Math.round(this.#lateMs)} ms behind with ${this.calls} calls under way`)
  }

  tellQueues(tell: TellQueue): void {
    tell('calls', this.calls, MOST_CALLS)
  }

  #arm(delayMs: number): void {
    const { clock } = this.#parts
    this.#dueMs = clock.monotonic() + delayMs
    this.#timer = clock.after(delayMs, this.#look)
  }

  readonly #look = (): void => {
    const { clock } = this.#parts
    const nowMs = clock.monotonic()
    this.#lateMs = nowMs - this.#dueMs
    const isLate = this.#lateMs > LATE_MS && this.calls >= MANY
    this.#lateLooks = isLate ? Math.min(MOST_LATE_LOOKS, this.#lateLooks + 1) : Math.max(0, this.#lateLooks - 1)
    this.#isRefusing = isLate && this.#lateLooks >= LATE_LOOKS
    if (this.closed) this.#refusedMs = nowMs
    if (this.#isRefusing) this.#lateRefusalMs = nowMs
    this.#tell(nowMs)
    this.#arm(this.#toldOverloaded || this.#lateLooks > 0 || this.calls >= MANY ? OFTEN_MS : SELDOM_MS)
  }

  #tell(nowMs: number): void {
    const isOverloaded = nowMs - this.#refusedMs < RELIEVED_MS
    if (isOverloaded === this.#toldOverloaded) return
    this.#toldOverloaded = isOverloaded
    this.#parts.changed(isOverloaded ? 'overloaded' : 'relieved', this.#lateMs)
  }
}
