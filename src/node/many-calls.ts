/**
 * A call of many keys, put together again from its items: one object and one promise a call, whatever batches they travelled in.
 */
import type { RingtailError } from '../errors.ts'
import type { Sink } from './batch.ts'
import type { CacheNode, Status } from './node.ts'
import { unansweredStatus } from './redis-reply.ts'

/** `getMany`: all answers in order, or the first failure. */
export class GetManyCall implements Sink<Uint8Array, CacheNode> {
  readonly promise: Promise<(Uint8Array | undefined)[]>
  readonly #found: (Uint8Array | undefined)[]
  readonly #resolve: (found: (Uint8Array | undefined)[]) => void
  readonly #reject: (error: RingtailError) => void
  #left: number

  constructor(size: number) {
    const { promise, resolve, reject } = Promise.withResolvers<(Uint8Array | undefined)[]>()
    this.promise = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#found = new Array(size).fill(undefined)
    this.#left = size
    if (size === 0) resolve(this.#found)
  }

  answered(bytes: Uint8Array | undefined, _node: CacheNode, slot: number): void {
    this.#found[slot] = bytes
    if (--this.#left === 0) this.#resolve(this.#found)
  }

  failed(error: RingtailError): void {
    this.#reject(error)
  }
}

/** `apply`: a status each, in order; never rejects. */
export class ApplyCall implements Sink<Status, CacheNode> {
  readonly promise: Promise<Status[]>
  readonly #statuses: Status[]
  readonly #resolve: (statuses: Status[]) => void
  #left: number

  constructor(size: number) {
    const { promise, resolve } = Promise.withResolvers<Status[]>()
    this.promise = promise
    this.#resolve = resolve
    this.#statuses = new Array(size)
    this.#left = size
    if (size === 0) resolve(this.#statuses)
  }

  answered(status: Status | undefined, _node: CacheNode, slot: number): void {
    this.#put(slot, status!)
  }

  failed(error: RingtailError, _node: CacheNode, slot: number, sent: boolean): void {
    this.#put(slot, unansweredStatus(error, sent))
  }

  #put(slot: number, status: Status): void {
    this.#statuses[slot] = status
    if (--this.#left === 0) this.#resolve(this.#statuses)
  }
}
