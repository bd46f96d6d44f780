/**
 * Commands out, replies in, over a connection that someone else has made and logged in.
 *
 * The protocol answers in the order it was asked, so a reply belongs to the command that has waited longest, and a queue is all there is to
 * it. What may wait is bounded by who asks (`redis-connection.ts`). The promise: each command is told its reply or its loss, exactly once,
 * in order; a reply that nobody asked for, or that is none, ends the connection, since nothing after it could be trusted.
 */
import type { Duplex } from 'node:stream'
import { asError, NodeError } from '../errors.ts'
import { ProtocolError, type Reply, ReplyError, RespReader } from './resp-reader.ts'
import { type Argument, type Encoded, encodeCommand, encodeMget } from './resp-writer.ts'

/** Who waits for a reply. Called from within the reading: it must not throw. */
export interface Awaiting {
  /** @param reply an error where the server replied one */
  replied(reply: Reply): void
  /** @param error says in its outcome whether the command may have been run */
  lost(error: NodeError): void
}

/** What a connection asks through: this channel, or the client's own way (`redis-client.ts`). */
export interface Channel {
  mget(keys: readonly string[], awaiting: Awaiting): void
  /** `call` for who has no use for a promise. */
  ask(command: string, args: readonly Argument[], awaiting: Awaiting): void
  /** Rejects with `ReplyError` when the server replied an error, with `NodeError` when it did not reply. */
  call(command: string, args: readonly Argument[]): Promise<Reply>
}

export type ChannelStream = Pick<Duplex, 'write' | 'writable' | 'destroy' | 'on' | 'once'>

export class RespChannel implements Channel {
  readonly #stream: ChannelStream
  readonly #node: string
  readonly #reader: RespReader
  readonly #awaiting: Awaiting[] = []
  #fault: Error | undefined

  /** Takes the stream's data and its end from here on; its errors are heard by who made it. @param node its id, for messages */
  constructor(stream: ChannelStream, node: string) {
    this.#stream = stream
    this.#node = node
    this.#reader = new RespReader((reply) => this.#replied(reply))
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.once('close', () => this.#loseAll())
  }

  mget(keys: readonly string[], awaiting: Awaiting): void {
    if (this.#stream.writable) this.#write(encodeMget(keys), awaiting)
    else awaiting.lost(this.#notConnected())
  }

  ask(command: string, args: readonly Argument[], awaiting: Awaiting): void {
    if (this.#stream.writable) this.#write(encodeCommand(command, args), awaiting)
    else awaiting.lost(this.#notConnected())
  }

  call(command: string, args: readonly Argument[]): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.ask(command, args, {
        replied: (reply) => (reply instanceof ReplyError ? reject(reply) : resolve(reply)),
        lost: reject,
      })
    })
  }

  #write(encoded: Encoded, awaiting: Awaiting): void {
    this.#awaiting.push(awaiting)
    if (typeof encoded === 'string') this.#stream.write(encoded, 'latin1')
    else this.#stream.write(encoded)
  }

  #read(chunk: Buffer): void {
    if (this.#fault !== undefined) return
    try {
      this.#reader.write(chunk)
    } catch (thrown) {
      this.#fault = asError(thrown)
      this.#stream.destroy(this.#fault)
    }
  }

  #replied(reply: Reply): void {
    const first = this.#awaiting.shift()
    if (first === undefined) throw new ProtocolError('reply: needs a command that it answers, but got: one more than there were commands')
    first.replied(reply)
  }

  #loseAll(): void {
    const lost = this.#awaiting.splice(0)
    if (lost.length === 0) return
    const options = { outcome: 'unknown', ...(this.#fault === undefined ? {} : { cause: this.#fault }) } as const
    const error = new NodeError(`node ${this.#node}: connection lost before the reply`, this.#node, options)
    for (const awaiting of lost) awaiting.lost(error)
  }

  #notConnected(): NodeError {
    return new NodeError(`node ${this.#node} is not connected`, this.#node)
  }
}
