/**
 * One single-key read under way: asks the key's owners one after the other until one answers; first the one that the level prefers, then
 * the others in the ring's order, those that look dead last.
 *
 * It is the receiver of the nodes' answers and, once settled, itself the result: a hit costs one object and one promise in all. Where the
 * answer is late, or the owner so slow that its load is taken off it, others are asked for a second opinion, and what comes first counts. Where all owners
 * owe earlier answers at once, it is most likely this machine that was held up: they are asked again shortly, for half of the time that there is or less.
 * Where it is long that this process heard which nodes have missed changes, no single other owner stands in for the first, but a quorum.
 */
import { DeadlineError, type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode, Receiver } from '../node/node.ts'
import { costsRetry, outOfRetries } from '../resilience/retry-budget.ts'
import type { Fetched } from './cluster.ts'
import type { Answer } from './newest.ts'
import { lacksWhatOthersHave, mayAskAgain, nextToAsk, OWED_PAUSE_MS } from './owner-order.ts'
import { OwnerPoll } from './owner-poll.ts'
import { othersToAsk, SecondOpinion } from './second-opinion.ts'
import type { WalkContext } from './walk-context.ts'

export class OwnerWalk implements Receiver, Fetched {
  bytes: Uint8Array | undefined = undefined
  node: CacheNode | undefined = undefined
  failure: RingtailError | undefined = undefined
  readonly #key: string
  readonly #owners: readonly CacheNode[]
  /** Whether the level lets any owner answer. */
  readonly #anyOwner: boolean
  readonly #context: WalkContext
  readonly #settle: (fetched: Fetched) => void
  readonly #deadlineMs: number
  /** Undefined while the clock has not been read: see `start`. */
  #deadlineAtMs: number | undefined
  #attempt = 0
  /** The owner being asked, and all asked so far, a bit each. */
  #at: number
  #asked: number
  #hasSecond = false

  /** @param first the position of the owner to ask first */
  constructor(
    key: string,
    owners: readonly CacheNode[],
    first: number,
    anyOwner: boolean,
    deadlineMs: number,
    context: WalkContext,
    settle: (fetched: Fetched) => void,
  ) {
    this.#key = key
    this.#owners = owners
    this.#at = first
    this.#asked = 1 << first
    this.#anyOwner = anyOwner
    this.#deadlineMs = deadlineMs
    this.#context = context
    this.#settle = settle
  }

  /**
   * The usual cases cost no look at the clock: an only owner, after which there is nobody to ask, and several with time for two tries at least:
   * should the first try fail, it is taken to have used all its time.
   */
  start(): void {
    const { firstCall, wholeCall, clock } = this.#context
    const owner = this.#owners[this.#at]!
    if (this.#owners.length === 1) {
      owner.get(this.#key, this, this.#deadlineMs === wholeCall.timeoutMs ? wholeCall : { timeoutMs: this.#deadlineMs })
    } else if (this.#deadlineMs >= 2 * firstCall.timeoutMs) {
      owner.get(this.#key, this, firstCall)
    } else {
      this.#deadlineAtMs = clock.monotonic() + this.#deadlineMs
      owner.get(this.#key, this, this.#nextCall(this.#deadlineMs))
    }
  }

  /** Asks others first, in place of the first owner, which is slow; and that one only if they have no answer that counts. */
  startAside(): void {
    const { clock } = this.#context
    const others = othersToAsk(this.#owners, this.#asked, this.#isSingle)
    if (others.length === 0) {
      this.start()
      return
    }
    const deadlineAtMs = clock.monotonic() + this.#deadlineMs
    this.#deadlineAtMs = deadlineAtMs
    this.#ask(others, this.#nextCall(this.#deadlineMs / 2), (answer) => {
      if (answer !== undefined) this.#found(answer.bytes, answer.node)
      else this.#owners[this.#at]!.get(this.#key, this, this.#nextCall(deadlineAtMs - clock.monotonic()))
    })
  }

  answered(bytes: Uint8Array | undefined): void {
    if (this.#isSettled) return
    const owner = this.#owners[this.#at]!
    if (bytes === undefined && lacksWhatOthersHave(owner, this.#owners)) this.#askAll(owner)
    else this.#found(bytes, owner)
  }

  late(): void {
    const { hedges, firstCall, clock } = this.#context
    if (this.#hasSecond || this.#isSettled) return
    const others = othersToAsk(this.#owners, this.#asked, this.#isSingle)
    if (others.length === 0 || !hedges.tryTake(others.length)) return
    const remainingMs = this.#deadlineAtMs === undefined ? firstCall.timeoutMs : this.#deadlineAtMs - clock.monotonic()
    this.#ask(others, { timeoutMs: Math.max(1, Math.min(firstCall.timeoutMs, remainingMs)) }, (answer) => {
      if (answer !== undefined && !this.#isSettled) this.#found(answer.bytes, answer.node)
    })
  }

  failed(error: RingtailError, { id }: CacheNode): void {
    const { clock, firstCall, nodeFailed, retries } = this.#context
    nodeFailed(id)
    if (this.#isSettled) return
    const next = nextToAsk(this.#owners, this.#asked, this.#at)
    if (next === -1 && this.#mayAskAgain(error)) {
      clock.after(OWED_PAUSE_MS, () => this.#askAgain(), { keepAlive: true })
      return
    }
    if (next === -1) {
      this.#fail(new UnavailableError(`none of the ${this.#owners.length} owners answered`, { cause: error }))
      return
    }
    this.#attempt++
    this.#deadlineAtMs ??= clock.monotonic() + this.#deadlineMs - firstCall.timeoutMs
    const call = this.#nextCall(this.#deadlineAtMs - clock.monotonic())
    if (call.timeoutMs <= 0) {
      this.#fail(new DeadlineError(`no owner answered within ${this.#deadlineMs} ms`, { cause: error }))
    } else if (costsRetry(error) && !retries.tryTake(1)) {
      this.#fail(outOfRetries(error))
    } else if (this.#needsQuorum) {
      this.#askQuorum(this.#deadlineAtMs - clock.monotonic())
    } else {
      this.#at = next
      this.#asked |= 1 << next
      this.#owners[next]!.get(this.#key, this, call)
    }
  }

  #mayAskAgain(error: RingtailError): boolean {
    const { clock, firstCall } = this.#context
    this.#deadlineAtMs ??= clock.monotonic() + this.#deadlineMs - firstCall.timeoutMs
    return mayAskAgain(error, this.#owners, this.#deadlineAtMs - clock.monotonic(), this.#deadlineMs)
  }

  #askAgain(): void {
    if (this.#isSettled) return
    this.#attempt = 0
    const { clock } = this.#context
    this.#at = nextToAsk(this.#owners, 0, this.#anyOwner ? this.#at : 0)
    this.#asked = 1 << this.#at
    if (this.#at !== 0 && this.#needsQuorum) {
      this.#askQuorum(this.#deadlineAtMs! - clock.monotonic())
      return
    }
    this.#owners[this.#at]!.get(this.#key, this, this.#nextCall(this.#deadlineAtMs! - clock.monotonic()))
  }

  get #isSettled(): boolean {
    return this.node !== undefined || this.failure !== undefined
  }

  /** Whether no single other owner may stand in for the first. */
  get #needsQuorum(): boolean {
    return !this.#anyOwner && this.#context.isUninformed()
  }

  /** Whether one other owner may answer in place of the one asked: see `second-opinion.ts`. */
  get #isSingle(): boolean {
    return this.#anyOwner || this.#at !== 0
  }

  #ask(others: readonly CacheNode[], call: { readonly timeoutMs: number }, heard: (answer: Answer | undefined) => void): void {
    this.#hasSecond = true
    new SecondOpinion(this.#key, others, this.#isSingle, this.#context, heard).ask(call)
  }

  /** The last owner has all the time that is left: after it there is nobody to ask. */
  #nextCall(remainingMs: number): { readonly timeoutMs: number } {
    const last = this.#attempt === this.#owners.length - 1
    return { timeoutMs: last ? remainingMs : Math.min(this.#context.firstCall.timeoutMs, remainingMs) }
  }

  /** The miss of one that was emptied says nothing: whoever has the newest gives it, and the others are given it. */
  #askAll(emptied: CacheNode): void {
    const { clock, repair, firstCall } = this.#context
    const remainingMs = this.#deadlineAtMs === undefined ? firstCall.timeoutMs : this.#deadlineAtMs - clock.monotonic()
    const boundMs = Math.max(1, Math.min(firstCall.timeoutMs, remainingMs))
    const settle = ({ bytes, node }: Fetched): void => {
      if (!this.#isSettled) this.#found(bytes, node ?? emptied)
    }
    new OwnerPoll(this.#key, this.#owners, 'all', boundMs, this.#context, repair, settle).start()
  }

  /** More than half of the owners are sure to have what a quorum has acknowledged. */
  #askQuorum(withinMs: number): void {
    const settle = ({ bytes, node, failure }: Fetched): void => {
      if (this.#isSettled) return
      if (node === undefined) this.#fail(failure!)
      else this.#found(bytes, node)
    }
    new OwnerPoll(this.#key, this.#owners, 'quorum', withinMs, this.#context, this.#context.repair, settle).start()
  }

  #found(bytes: Uint8Array | undefined, node: CacheNode): void {
    this.bytes = bytes
    this.node = node
    this.#settle(this)
  }

  #fail(failure: RingtailError): void {
    this.failure = failure
    this.#settle(this)
  }
}
