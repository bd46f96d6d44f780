/**
 * One single-key read under way: asks the key's owners one after the other until one answers; first the one that the level prefers, then
 * the others in the ring's order.
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

/**
 * The owner to ask after `nth` others. @param first the position of the owner that is asked before all others
 */
export function nthOwner(owners: readonly CacheNode[], first: number, nth: number): CacheNode | undefined {
  if (first === 0 || nth > first) return owners[nth]
  return owners[nth === 0 ? first : nth - 1]
}

export class OwnerWalk implements Receiver, Fetched {
  bytes: Uint8Array | undefined = undefined
  node: CacheNode | undefined = undefined
  failure: RingtailError | undefined = undefined
  readonly #key: string
  readonly #owners: readonly CacheNode[]
  readonly #first: number
  readonly #context: WalkContext
  readonly #settle: (fetched: Fetched) => void
  readonly #deadlineMs: number
  /** Undefined while the clock has not been read: see `start`. */
  #deadlineAtMs: number | undefined
  #attempt = 0

  /** @param first the position of the owner to ask first */
  constructor(
    key: string,
    owners: readonly CacheNode[],
    first: number,
    deadlineMs: number,
    context: WalkContext,
    settle: (fetched: Fetched) => void,
  ) {
    this.#key = key
    this.#owners = owners
    this.#first = first
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
    this.#owners[this.#first]!.get(this.#key, this, usual ? firstCall : this.#nextCall(this.#deadlineMs))
  }

  answered(bytes: Uint8Array | undefined, node: CacheNode): void {
    this.bytes = bytes
    this.node = node
    this.#settle(this)
  }

  failed(error: RingtailError, node: CacheNode): void {
    this.#context.nodeFailed(node.id)
    this.#attempt++
    const next = nthOwner(this.#owners, this.#first, this.#attempt)
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
