/**
 * Batches under way: what their replies mean, and what becomes of them without one.
 *
 * One object a batch, where functions and promises would do the same: they are on the path of every hit and every write.
 */
import { NodeError } from '../errors.ts'
import type { Batch } from './batch.ts'
import type { Batcher } from './batcher.ts'
import type { CacheNode } from './node.ts'
import { isErrorReply, isNoScript, nodeError } from './redis-reply.ts'
import type { ReplySizes } from './reply-sizes.ts'
import type { Awaiting } from './resp-channel.ts'
import type { Reply } from './resp-reader.ts'

/** A batch of reads, sent as one MGET. */
export class ReadFlight implements Awaiting {
  readonly #batch: Batch<string, Buffer, CacheNode>
  readonly #batcher: Batcher<CacheNode>
  readonly #sizes: ReplySizes
  readonly #guessed: boolean
  readonly #node: string

  /** @param guessed whether these are keys about which nothing was known: see `ReplySizes` */
  constructor(batch: Batch<string, Buffer, CacheNode>, batcher: Batcher<CacheNode>, sizes: ReplySizes, guessed: boolean, node: string) {
    this.#batch = batch
    this.#batcher = batcher
    this.#sizes = sizes
    this.#guessed = guessed
    this.#node = node
  }

  replied(reply: Reply): void {
    const batch = this.#batch
    if (!isListFor(batch, reply)) {
      this.lost(reasonOf(reply, this.#node))
      return
    }
    const values = reply as (Buffer | null)[]
    this.#sizes.learn(batch.requests, values, this.#guessed)
    this.#batcher.land(batch, values)
  }

  lost(error: NodeError): void {
    this.#batcher.lose(this.#batch, error, true)
  }
}

/** A batch sent as one call of a script: an answer an item. */
export class ScriptFlight<Request, Answer> implements Awaiting {
  readonly #batch: Batch<Request, Answer, CacheNode>
  readonly #batcher: Batcher<CacheNode>
  readonly #answerOf: (reply: unknown, node: string) => Answer
  readonly #resend: (awaiting: Awaiting) => void
  readonly #node: string
  #resent = false

  /** @param answerOf reads one element of the reply @param resend sends the call again with the script's text, for a server that does not know it */
  constructor(
    batch: Batch<Request, Answer, CacheNode>,
    batcher: Batcher<CacheNode>,
    answerOf: (reply: unknown, node: string) => Answer,
    resend: (awaiting: Awaiting) => void,
    node: string,
  ) {
    this.#batch = batch
    this.#batcher = batcher
    this.#answerOf = answerOf
    this.#resend = resend
    this.#node = node
  }

  replied(reply: Reply): void {
    const batch = this.#batch
    if (!isListFor(batch, reply)) {
      this.#notAnswered(reply)
      return
    }
    // Read in place: the list is nobody else's.
    const answers = reply as unknown[]
    for (let i = 0; i < answers.length; i++) answers[i] = this.#answerOf(answers[i], this.#node)
    this.#batcher.land(batch, answers as Answer[])
  }

  lost(error: NodeError): void {
    this.#batcher.lose(this.#batch, error, true)
  }

  #notAnswered(reply: Reply): void {
    // Not for items that were given up meanwhile: their callers were told that they may or may not have happened, not that they will.
    if (isNoScript(reply) && !this.#resent && !this.#batch.overdue) {
      this.#resent = true
      this.#resend(this)
    } else this.lost(reasonOf(reply, this.#node))
  }
}

function isListFor(batch: { readonly requests: readonly unknown[] }, reply: Reply): reply is Reply[] {
  return Array.isArray(reply) && reply.length === batch.requests.length
}

function reasonOf(reply: Reply, node: string): NodeError {
  if (isErrorReply(reply)) return nodeError(reply, node)
  return new NodeError(`node ${node}: needs a reply for each key of a batch, but got: another reply`, node, { outcome: 'unknown' })
}
