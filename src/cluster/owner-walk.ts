/**
 * One single-key read under way: asks the key's owners one after the other until one answers.
 *
 * It is the receiver of the nodes' answers and, once settled, itself the result: a hit costs one object and one promise in all.
 */
import type { Clock } from '../clock.ts'
import { DeadlineError, type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode, Receiver } from '../node/node.ts'
import type { Fetched } from './cluster.ts'

/** What all walks of a cluster share. */
export interface WalkContext {
  readonly clock: Clock
  /** A call bounded by what one try may take. */
  readonly firstCall: { readonly timeoutMs: number }
  /** Told of each try that a node failed. */
  readonly nodeFailed: (node: string) => void
}

export class OwnerWalk implements Receiver, Fetched {
  bytes: Uint8Array | undefined = undefined
  node: CacheNode | undefined = undefined
  failure: RingtailError | undefined = undefined
  readonly #key: string
  readonly #owners: readonly CacheNode[]
  readonly #context: WalkContext
  readonly #settle: (fetched: Fetched) => void
  readonly #deadlineMs: number
  /** Undefined while the clock has not been read: see `start`. */
  #deadlineAtMs: number | undefined
  #attempt = 0

  constructor(key: string, owners: readonly CacheNode[], deadlineMs: number, context: WalkContext, settle: (fetched: Fetched) => void) {
    this.#key = key
    this.#owners = owners
    this.#deadlineMs = deadlineMs
    this.#context = context
    this.#settle = settle
  }

  /**
   * The usual case, several owners and time for two tries at least, costs no look at the clock: should the first try fail, it is taken to
   * have used all its time.
   */
  start(): void {
    const { firstCall, clock } = this.#context
    const usual = this.#owners.length > 1 && this.#deadlineMs >= 2 * firstCall.timeoutMs
    if (!usual) this.#deadlineAtMs = clock.monotonic() + this.#deadlineMs
    this.#owners[0]!.get(this.#key, this, usual ? firstCall : this.#nextCall(this.#deadlineMs))
  }

  answered(bytes: Uint8Array | undefined, node: CacheNode): void {
    this.bytes = bytes
    this.node = node
    this.#settle(this)
  }

  failed(error: RingtailError, node: CacheNode): void {
    this.#context.nodeFailed(node.id)
    this.#attempt++
    const next = this.#owners[this.#attempt]
    if (next === undefined) {
      this.#fail(new UnavailableError(`none of the ${this.#owners.length} owners answered`, { cause: error }))
      return
    }
    const { clock, firstCall } = this.#context
    this.#deadlineAtMs ??= clock.monotonic() + this.#deadlineMs - firstCall.timeoutMs
    const call = this.#nextCall(this.#deadlineAtMs - clock.monotonic())
    if (call.timeoutMs <= 0) this.#fail(new DeadlineError(`no owner answered within ${this.#deadlineMs} ms`, { cause: error }))
    else next.get(this.#key, this, call)
  }

  /** The last owner has all the time that is left: after it there is nobody to ask. */
  #nextCall(remainingMs: number): { readonly timeoutMs: number } {
    const last = this.#attempt === this.#owners.length - 1
    return { timeoutMs: last ? remainingMs : Math.min(this.#context.firstCall.timeoutMs, remainingMs) }
  }

  #fail(failure: RingtailError): void {
    this.failure = failure
    this.#settle(this)
  }
}
