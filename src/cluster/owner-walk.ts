/**
 * One single-key read under way: asks the key's owners one after the other until one answers.
 *
 * It is the receiver of the nodes' answers and, once settled, itself the result: a hit costs one object and one promise in all.
 */
import type { Clock } from '../clock.ts'
import { DeadlineError, type RingtailError, UnavailableError } from '../errors.ts'
import type { CacheNode, NodeCall, Receiver } from '../node/node.ts'
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
  readonly #deadlineAtMs: number
  #attempt = 0

  constructor(key: string, owners: readonly CacheNode[], deadlineMs: number, context: WalkContext, settle: (fetched: Fetched) => void) {
    this.#key = key
    this.#owners = owners
    this.#deadlineMs = deadlineMs
    this.#context = context
    this.#deadlineAtMs = context.clock.monotonic() + deadlineMs
    this.#settle = settle
  }

  start(): void {
    const { firstCall } = this.#context
    // The usual case has its call ready made: the first of several owners, and no deadline of the caller's own.
    const usual = this.#owners.length > 1 && this.#deadlineMs >= firstCall.timeoutMs
    this.#owners[0]!.get(this.#key, this, usual ? firstCall : this.#nextCall())
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
    const call = this.#nextCall()
    if (call.timeoutMs! <= 0) this.#fail(new DeadlineError(`no owner answered within ${this.#deadlineMs} ms`, { cause: error }))
    else next.get(this.#key, this, call)
  }

  /** The last owner has all the time that is left: after it there is nobody to ask. */
  #nextCall(): NodeCall {
    const remainingMs = this.#deadlineAtMs - this.#context.clock.monotonic()
    const last = this.#attempt === this.#owners.length - 1
    return { timeoutMs: last ? remainingMs : Math.min(this.#context.firstCall.timeoutMs, remainingMs) }
  }

  #fail(failure: RingtailError): void {
    this.failure = failure
    this.#settle(this)
  }
}
