/**
 * A call put together again from its items: one object and at most one promise a call, whatever batches they travelled in.
 */
import type { RingtailError } from '../errors.ts'
import type { Sink } from './batch.ts'
import type { CacheNode, Status, StatusReceiver } from './node.ts'
import { unanswered } from './redis-reply.ts'

/** `getMany`: all answers in order, or the first failure. */
export class GetManyCall implements Sink<Uint8Array, CacheNode> {
  readonly promise: Promise<(Uint8Array | undefined)[]>
  readonly #found: (Uint8Array | undefined)[]
  readonly #resolve: (found: (Uint8Array | undefined)[]) => void
  readonly #reject: (error: RingtailError) => void
  #left: number
  #toldLate: (() => void) | undefined

  /** @param toldLate told once when some of the answers are late */
  constructor(size: number, toldLate?: () => void) {
    this.#toldLate = toldLate
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

  late(): void {
    const toldLate = this.#toldLate
    this.#toldLate = undefined
    toldLate?.()
  }
}

/** A call whose items each have an answer of their own, a failed one too; in order, and never rejects. */
export class EachCall<Answer> implements Sink<Answer, CacheNode> {
  readonly promise: Promise<Answer[]>
  readonly #unanswered: (error: RingtailError, sent: boolean) => Answer
  readonly #answers: Answer[]
  readonly #resolve: (answers: Answer[]) => void
  #left: number

  /** @param unanswered says what an item comes to that was not answered; `sent`: it may have reached the node */
  constructor(size: number, unanswered: (error: RingtailError, sent: boolean) => Answer) {
    const { promise, resolve } = Promise.withResolvers<Answer[]>()
    this.promise = promise
    this.#unanswered = unanswered
    this.#resolve = resolve
    this.#answers = new Array(size)
    this.#left = size
    if (size === 0) resolve(this.#answers)
  }

  answered(answer: Answer | undefined, _node: CacheNode, slot: number): void {
    this.#put(slot, answer!)
  }

  failed(error: RingtailError, _node: CacheNode, slot: number, sent: boolean): void {
    this.#put(slot, this.#unanswered(error, sent))
  }

  #put(slot: number, answer: Answer): void {
    this.#answers[slot] = answer
    if (--this.#left === 0) this.#resolve(this.#answers)
  }
}

/** `change`: one item, told to its receiver, with no promise. */
export class ChangeCall implements Sink<Status, CacheNode> {
  readonly #receiver: StatusReceiver

  constructor(receiver: StatusReceiver) {
    this.#receiver = receiver
  }

  answered(status: Status | undefined, node: CacheNode): void {
    this.#receiver.settled(status!, node)
  }

  failed(error: RingtailError, node: CacheNode, _slot: number, sent: boolean): void {
    this.#receiver.settled(unanswered(error, sent), node)
  }
}
