/**
 * One single-key read under way: asks the key's owners one after the other until one answers.
 *
 * It is the receiver of the nodes' answers and, once settled, itself the result: a hit costs one object and one promise below the
 * cache. The clock is read only once something has failed.
 */
import type { Clock } from '../clock.ts'
import { DeadlineError, type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode, NodeCall, Receiver } from '../node/node.ts'
import type { Fetched } from './cluster.ts'

/** What all walks of a cluster share. */
export interface WalkContext {
  readonly clock: Clock
  readonly tryTimeoutMs: number
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
  #deadlineAtMs = 0
  #attempt = 0

  constructor(key: string, owners: readonly CacheNode[], deadlineMs: number, context: WalkContext, settle: (fetched: Fetched) => void) {
    this.#key = key
    this.#owners = owners
    this.#deadlineMs = deadlineMs
    this.#context = context
    this.#settle = settle
  }

  /** @param hurried whether the caller set a deadline of its own, so that the first try must be bounded by it too */
  start(hurried: boolean): void {
    if (hurried) this.#deadlineAtMs = this.#context.clock.monotonic() + this.#deadlineMs
    // Without a deadline of the caller's own the node's timeout holds, which costs nothing; a sole owner is given the whole time.
    if (hurried || this.#owners.length === 1) this.#owners[0]!.get(this.#key, this, this.#nextCall())
    else this.#owners[0]!.get(this.#key, this)
  }

  answered(bytes: Uint8Array | undefined, node: CacheNode): void {
    this.bytes = bytes
    this.node = node
    this.#settle(this)
  }

  failed(error: RingtailError, node: CacheNode): void {
    this.#context.nodeFailed(node.id)
    // A caller without a deadline of its own: the first try took at most its timeout, so counting from here keeps within the bound.
    if (this.#deadlineAtMs === 0) this.#deadlineAtMs = this.#context.clock.monotonic() + this.#deadlineMs - this.#context.tryTimeoutMs
    this.#attempt++
    const next = this.#owners[this.#attempt]
    if (next === undefined) {
      this.#fail(new UnavailableError(`none of the ${this.#owners.length} owners answered`, { cause: error }))
      return
    }
    const call = this.#nextCall()
    if (call.timeoutMs! <= 0) this.#fail(new DeadlineError(`no owner answered within ${this.#deadlineMs} ms`, { cause: error }))
    else next.get(this.#key, this, call)
  }

  /** The last owner has all the time that is left: after it there is nobody to ask. */
  #nextCall(): NodeCall {
    const remainingMs = this.#deadlineAtMs === 0 ? this.#deadlineMs : this.#deadlineAtMs - this.#context.clock.monotonic()
    const last = this.#attempt === this.#owners.length - 1
    return { timeoutMs: last ? remainingMs : Math.min(this.#context.tryTimeoutMs, remainingMs) }
  }

  #fail(failure: RingtailError): void {
    this.failure = failure
    this.#settle(this)
  }
}
