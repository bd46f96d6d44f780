/**
 * One single-key read that asks several owners at once and takes the newest of their answers.
 *
 * A write that a quorum acknowledged lies on more than half of the owners, so of any other more than half at least one has it: whoever
 * asks that many and takes the newest sees it. An owner that fails is replaced by the next in the ring's order; fewer than were
 * wanted are no answer. Where as many owe earlier answers, they are asked again shortly, while there is time. Where the first owner answers something older than a write of this moment on another, it is asked again, in pauses that
 * grow, until it has that or its time to be there is over. What the answers show to be old is mended behind the reader.
 */
import { DeadlineError, type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode, Receiver } from '../node/node.ts'
import type { Fetched } from './cluster.ts'
import { type Answer, newestOf } from './newest.ts'
import { inAskingOrder, mayAskAgain, OWED_PAUSE_MS } from './owner-order.ts'
import type { ReadRepair } from './read-repair.ts'
import { unsettledMs } from './unsettled.ts'
import type { WalkContext } from './walk-context.ts'

/** Of a quorum or of all owners. */
export type PollLevel = 'quorum' | 'all'

/** Before the first owner is asked again, ms; then twice as long. */
export const FIRST_PAUSE_MS = 1

/** More than half. */
export function quorumOf(owners: number): number {
  return Math.floor(owners / 2) + 1
}

/** The error of a read that ran out of time while it waited for the first owner. */
export function unsettled(owners: number, deadlineMs: number): UnavailableError {
  const message = `the first owner did not have within ${deadlineMs} ms what another of the ${owners} owners has been given just now`
  return new UnavailableError(message, { cause: new DeadlineError(message) })
}

export class OwnerPoll implements Receiver {
  readonly #key: string
  readonly #owners: readonly CacheNode[]
  readonly #order: readonly CacheNode[]
  readonly #level: PollLevel
  readonly #deadlineMs: number
  readonly #deadlineAtMs: number
  readonly #beganMs: number
  readonly #context: WalkContext
  readonly #repair: ReadRepair
  readonly #settle: (fetched: Fetched) => void
  readonly #answers: Answer[] = []
  #asked = 0
  #failed = 0
  #settled = false
  #isPausing = false
  /** Of the owners that are asked now. Of those that were asked before a pause the answers count, but not that they failed. */
  #receiver: Receiver = this
  #pauseMs = FIRST_PAUSE_MS

  constructor(
    key: string,
    owners: readonly CacheNode[],
    level: PollLevel,
    deadlineMs: number,
    context: WalkContext,
    repair: ReadRepair,
    settle: (fetched: Fetched) => void,
  ) {
    this.#key = key
    this.#owners = owners
    this.#order = inAskingOrder(owners)
    this.#level = level
    this.#deadlineMs = deadlineMs
    this.#deadlineAtMs = context.clock.monotonic() + deadlineMs
    this.#beganMs = context.clock.now()
    this.#context = context
    this.#repair = repair
    this.#settle = settle
  }

  start(): void {
    this.#askFirst(this.#deadlineMs)
  }

  #askFirst(remainingMs: number): void {
    const { firstCall } = this.#context
    const first = this.#level === 'all' ? this.#owners.length : quorumOf(this.#owners.length)
    this.#asked = first
    // Where every owner is needed, none can be replaced and each has all the time. Where each is welcome, none is worth more than a try.
    const irreplaceable = this.#level === 'quorum' && first === this.#owners.length
    const call = irreplaceable || remainingMs < firstCall.timeoutMs ? { timeoutMs: remainingMs } : firstCall
    for (let nth = 0; nth < first; nth++) this.#order[nth]!.get(this.#key, this.#receiver, call)
  }

  answered(bytes: Uint8Array | undefined, { id }: CacheNode): void {
    if (this.#settled) return
    const at = this.#answers.findIndex(({ node }) => node.id === id)
    if (at === -1) this.#answers.push({ node: this.#owners.find((owner) => owner.id === id)!, bytes })
    else this.#answers[at] = { node: this.#answers[at]!.node, bytes }
    const wanted = this.#level === 'all' ? this.#owners.length - this.#failed : quorumOf(this.#owners.length)
    if (this.#answers.length >= wanted) this.#succeed()
  }

  failed(error: RingtailError, node: CacheNode): void {
    this.#context.nodeFailed(node.id)
    if (this.#receiver === this) this.#lose(error)
  }

  #lose(error: RingtailError): void {
    this.#failed++
    if (this.#settled) return
    if (this.#level === 'all') {
      if (this.#failed === this.#owners.length) this.#fallShort(error, `none of the ${this.#owners.length} owners answered`)
      else if (this.#answers.length + this.#failed === this.#owners.length) this.#succeed()
    } else {
      this.#replace(error)
    }
  }

  #replace(error: RingtailError): void {
    const wanted = quorumOf(this.#owners.length)
    const next = this.#order[this.#asked]
    if (next === undefined) {
      this.#fallShort(error, `fewer than ${wanted} of the ${this.#owners.length} owners answered, but a quorum needs as many`)
      return
    }
    const remainingMs = this.#deadlineAtMs - this.#context.clock.monotonic()
    if (remainingMs <= 0) {
      const cause = new DeadlineError(`fewer than ${wanted} owners answered within ${this.#deadlineMs} ms`, { cause: error })
      this.#fail(new UnavailableError(cause.message, { cause }))
      return
    }
    this.#asked++
    const last = this.#asked === this.#owners.length
    next.get(this.#key, this.#receiver, { timeoutMs: last ? remainingMs : Math.min(this.#context.firstCall.timeoutMs, remainingMs) })
  }

  #fallShort(error: RingtailError, message: string): void {
    const { clock } = this.#context
    if (this.#isPausing) return
    if (!mayAskAgain(error, this.#owners, this.#deadlineAtMs - clock.monotonic(), this.#deadlineMs)) {
      this.#fail(new UnavailableError(message, { cause: error }))
      return
    }
    this.#isPausing = true
    const askAgain = (): void => {
      if (this.#settled) return
      const remainingMs = this.#deadlineAtMs - clock.monotonic()
      if (remainingMs <= 0) this.#fail(new UnavailableError(message, { cause: error }))
      else this.#askAgain(remainingMs)
    }
    clock.after(OWED_PAUSE_MS, askAgain, { keepAlive: true })
  }

  #askAgain(remainingMs: number): void {
    this.#isPausing = false
    this.#failed = 0
    const receiver: Receiver = {
      answered: (bytes, node) => this.answered(bytes, node),
      failed: (error, { id }) => {
        this.#context.nodeFailed(id)
        if (this.#receiver === receiver) this.#lose(error)
      },
    }
    this.#receiver = receiver
    this.#askFirst(remainingMs)
  }

  #succeed(): void {
    this.#settled = true
    const answers = this.#answers.sort((a, b) => this.#owners.indexOf(a.node) - this.#owners.indexOf(b.node))
    const newest = newestOf(answers)
    const openMs = unsettledMs(answers, newest, this.#owners[0]!, this.#context.clock)
    if (openMs > 0) {
      this.#askFirstOwner(openMs)
      return
    }
    this.#settle({ bytes: newest.bytes, node: newest.node, failure: undefined })
    this.#repair.mend(this.#key, answers, newest, this.#beganMs)
  }

  #askFirstOwner(openMs: number): void {
    const { clock, nodeFailed } = this.#context
    const pauseMs = Math.min(this.#pauseMs, openMs)
    this.#pauseMs *= 2
    const remainingMs = this.#deadlineAtMs - clock.monotonic() - pauseMs
    if (remainingMs <= 0) {
      this.#fail(unsettled(this.#owners.length, this.#deadlineMs))
      return
    }
    const again: Receiver = {
      answered: (bytes) => {
        const node = this.#owners[0]!
        this.#answers[this.#answers.findIndex((answer) => answer.node === node)] = { node, bytes }
        this.#succeed()
      },
      failed: (_, node) => {
        nodeFailed(node.id)
        this.#succeed()
      },
    }
    clock.after(pauseMs, () => this.#owners[0]!.get(this.#key, again, { timeoutMs: remainingMs }), { keepAlive: true })
  }

  #fail(failure: RingtailError): void {
    this.#settled = true
    this.#settle({ bytes: undefined, node: undefined, failure })
  }
}
