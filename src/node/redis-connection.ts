/**
 * One connection to a Redis server: a link that is made again when it breaks, with a batcher on it.
 *
 * Hot calls go through the batcher's four lanes: reads, reads of values known to be large (never all flights, so that small ones always
 * have one), writes, and leases. Everything else (scripts, scans, statistics) is written as it is, in bounded number. While the link is
 * down, or a reply is overdue, everything fails at once; each call is answered or failed within its timeout, and none is sent twice, but
 * for a script that the server said it does not know, which it therefore did not run.
 */
import type { Timer } from '../clock.ts'
import { ClosedError, DeadlineError, NodeError, OverloadError, overdueError, type RingtailError } from '../errors.ts'
import { fullerBy, type TellQueue } from '../queues.ts'
import type { Batch, Lane, Sink } from './batch.ts'
import type { BatchLimits } from './batch-limits.ts'
import { Batcher } from './batcher.ts'
import { ReadFlight, ScriptFlight } from './flights.ts'
import type { CacheNode, Change, LeaseAsk, Leased, NodeObserver, Status } from './node.ts'
import { isWritable, openChannel, type RedisClient } from './redis-client.ts'
import { type LinkOptions, RedisLink } from './redis-link.ts'
import { isErrorReply, isNoScript, leasedOf, nodeError, statusOf } from './redis-reply.ts'
import { ReplySizes } from './reply-sizes.ts'
import type { Awaiting, Channel } from './resp-channel.ts'
import type { Argument } from './resp-writer.ts'
import { ASK_BYTES, applyArguments, leaseArguments } from './script-arguments.ts'
import { applyScript, leaseScript, type ScriptSource } from './script-source.ts'

export interface ConnectionOptions extends Omit<LinkOptions, 'setUp' | 'onUp' | 'onLost'> {
  readonly node: CacheNode
  readonly timeoutMs: number
  readonly limits: BatchLimits
  /** Told of every batch. */
  readonly observer?: NodeObserver | undefined
  /** Told of the server's INFO on each new connection, before it is used. */
  readonly onInfo: (info: string) => void
  /** Told when a reply is overdue. */
  readonly onStalled?: () => void
  readonly onUp: () => void
  readonly onLost: (error: NodeError) => void
}

/** How long after a reply was due the connection is given up, ms. */
const RESET_AFTER_MS = 1_000
/** Bytes of writes that may wait on a connection. */
const MAX_QUEUE_BYTES = 64 * 1024 * 1024
/** Commands outside the batcher that may be under way on a connection. */
const MAX_COMMANDS = 1_024

export class RedisConnection {
  readonly #options: ConnectionOptions
  readonly #link: RedisLink
  readonly #batcher: Batcher<CacheNode>
  readonly #reads: Lane<string, Buffer, CacheNode>
  readonly #largeReads: Lane<string, Buffer, CacheNode>
  readonly #writes: Lane<Change, Status, CacheNode>
  readonly #leases: Lane<LeaseAsk, Leased, CacheNode>
  readonly #sizes = new ReplySizes()
  #client: RedisClient | undefined
  #channel: Channel | undefined
  #commands = 0
  #overdueCommands = 0
  #onCommandsDone: (() => void) | undefined
  #resetTimer: Timer | undefined
  #doubted = false
  #closed = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    const { name, clock, limits } = options
    this.#batcher = new Batcher<CacheNode>({
      origin: options.node,
      name,
      clock,
      timeoutMs: options.timeoutMs,
      maxFlights: limits.maxFlights,
      maxBatchKeys: limits.maxKeys,
      maxBatchBytes: limits.maxBytes,
      maxQueue: limits.maxQueue,
      maxQueueBytes: MAX_QUEUE_BYTES,
      resetAfterMs: RESET_AFTER_MS,
      observer: options.observer,
      stalled: options.onStalled,
      reset: (reason) => this.#link.reset(reason),
    })
    const keysPerBatch = (): number => Math.floor(limits.maxBytes / this.#sizes.mean)
    const readFlights = { maxFlights: Math.max(1, limits.maxFlights - 1) }
    this.#reads = this.#batcher.lane<string, Buffer>((batch) => this.#sendReads(batch), { keysPerBatch, reads: true })
    this.#largeReads = this.#batcher.lane<string, Buffer>((batch) => this.#sendReads(batch), readFlights)
    this.#writes = this.#batcher.lane<Change, Status>((batch) => this.#sendWrites(batch), { holdsBytes: true })
    this.#leases = this.#batcher.lane<LeaseAsk, Leased>((batch) => this.#sendLeases(batch), { holdsBytes: true })
    this.#link = new RedisLink({
      ...options,
      setUp: (open) => this.#setUp(open),
      onUp: () => this.#onUp(),
      onLost: (error) => this.#onLost(error),
    })
    this.#batcher.refuse(() => this.#notConnected())
  }

  open(): void {
    this.#link.open()
  }

  /** Whether a call would be sent now, and is likely to be answered. */
  get ready(): boolean {
    return this.#link.up && !this.#batcher.stalled && !this.#doubted
  }

  /** Whether another of the server's connections waits in vain, and this one has yet to show that it does not. */
  get doubted(): boolean {
    return this.#doubted
  }

  /** Is not ready until the server answers a ping on it. */
  doubt(): void {
    if (this.#doubted || !this.ready) return
    this.#doubted = true
    const heard = (): void => {
      this.#doubted = false
    }
    this.#bounded('PING', (channel) => channel.call('PING', []).finally(heard)).catch(() => {})
  }

  get up(): boolean {
    return this.#link.up
  }

  /** Items under way or waiting. */
  get load(): number {
    return this.#batcher.unsettled
  }

  /** Items that wait to be sent. */
  get waiting(): number {
    return this.#batcher.waiting
  }

  /** Whether nothing is under way, though something may wait for the turn's end. */
  get idle(): boolean {
    return this.#batcher.flights === 0
  }

  tellQueues(tell: TellQueue): void {
    const { maxQueue, maxFlights, maxKeys } = this.#options.limits
    const { waiting, waitingBytes } = this.#batcher
    tell('nodeWaiting', fullerBy(waiting, maxQueue, waitingBytes, MAX_QUEUE_BYTES), maxQueue)
    tell('nodeUnderWay', this.#batcher.unsettled - waiting, maxFlights * maxKeys)
    tell('nodeCommands', this.#commands, MAX_COMMANDS)
  }

  get(key: string, sink: Sink<Buffer, CacheNode>, slot: number, timeoutMs: number | undefined): void {
    const large = this.#sizes.largeBytes(key)
    if (large === 0) this.#batcher.add(this.#reads, key, sink, slot, this.#sizes.mean, timeoutMs)
    else this.#batcher.add(this.#largeReads, key, sink, slot, large, timeoutMs)
  }

  change(change: Change, sink: Sink<Status, CacheNode>, slot: number, timeoutMs: number | undefined): void {
    const bytes = change.key.length + (change.op === 'put' || change.op === 'set' ? change.bytes.length : 0)
    this.#batcher.add(this.#writes, change, sink, slot, bytes, timeoutMs)
  }

  lease(ask: LeaseAsk, sink: Sink<Leased, CacheNode>, slot: number, timeoutMs: number | undefined): void {
    this.#batcher.add(this.#leases, ask, sink, slot, ask.key.length + ASK_BYTES, timeoutMs)
  }

  /** A command of its own. Rejects with a `RingtailError`; a reply that comes after the timeout is dropped. */
  command(name: string, args: readonly Argument[], timeoutMs?: number): Promise<unknown> {
    return this.#bounded(name, (channel) => channel.call(name, args), timeoutMs)
  }

  /** Runs a script, sending its text only if the server does not know it. Rejects with a `RingtailError`. */
  run(script: ScriptSource, keys: readonly string[], args: readonly Argument[], timeoutMs?: number): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args]
    const send = (channel: Channel, isLate: () => boolean): Promise<unknown> =>
      channel.call('EVALSHA', [script.sha1, ...rest]).catch((thrown) => {
        if (isNoScript(thrown) && !isLate()) return channel.call('EVAL', [script.lua, ...rest])
        throw thrown
      })
    return this.#bounded('EVALSHA', send, timeoutMs)
  }

  /** Lets what is under way finish, within its timeouts, then closes the socket. */
  async close(): Promise<void> {
    this.#closed = true
    this.#batcher.finish(() => this.#notConnected())
    await this.#batcher.drained()
    await this.#commandsDone()
    await this.#link.close()
    this.#use(undefined, undefined)
    this.#resetTimer?.cancel()
    this.#batcher.close()
  }

  async #setUp(open: (protocol: 2 | 3) => Promise<RedisClient>): Promise<void> {
    const client = await open(3)
    const channel = openChannel(client, this.#options.name)
    const info = await readInfo(channel)
    if (/^loading:1/m.test(info)) throw new Error('the server is still loading its data')
    this.#options.onInfo(info)
    this.#use(client, channel)
  }

  #use(client: RedisClient | undefined, channel: Channel | undefined): void {
    this.#client = client
    this.#channel = channel
  }

  #onUp(): void {
    if (!this.#closed) this.#batcher.accept()
    this.#options.onUp()
  }

  #onLost(error: NodeError): void {
    this.#use(undefined, undefined)
    if (!this.#closed) this.#batcher.refuse(() => this.#notConnected())
    this.#options.onLost(error)
  }

  #notConnected(): RingtailError {
    const { name } = this.#options
    if (this.#closed) return new ClosedError(`node ${name} is closed`)
    if (this.#batcher.stalled) return overdueError(name)
    return new NodeError(`node ${name} is not connected`, name)
  }

  #sendReads(batch: Batch<string, Buffer, CacheNode>): void {
    const guessed = batch.lane === this.#reads
    this.#channelFor(batch)?.mget(batch.requests, new ReadFlight(batch, this.#batcher, this.#sizes, guessed, this.#options.name))
  }

  #sendWrites(batch: Batch<Change, Status, CacheNode>): void {
    this.#sendScript(batch, applyScript(), applyArguments, statusOf)
  }

  #sendLeases(batch: Batch<LeaseAsk, Leased, CacheNode>): void {
    this.#sendScript(batch, leaseScript(), leaseArguments, leasedOf)
  }

  /** @param argumentsOf the script's arguments, the script itself the first @param answerOf reads one element of the reply */
  #sendScript<Request, Answer>(
    batch: Batch<Request, Answer, CacheNode>,
    script: ScriptSource,
    argumentsOf: (script: string, requests: readonly Request[]) => Argument[],
    answerOf: (reply: unknown, node: string) => Answer,
  ): void {
    const channel = this.#channelFor(batch)
    if (channel === undefined) return
    const args = argumentsOf(script.sha1, batch.requests)
    const resend = (awaiting: Awaiting): void => {
      args[0] = script.lua
      this.#channelFor(batch)?.ask('EVAL', args, awaiting)
    }
    channel.ask('EVALSHA', args, new ScriptFlight(batch, this.#batcher, answerOf, resend, this.#options.name))
  }

  /** @returns undefined when nothing can be sent; the batch was failed as not sent then */
  #channelFor<Request, Reply>(batch: Batch<Request, Reply, CacheNode>): Channel | undefined {
    const channel = this.#writableChannel()
    if (channel === undefined) {
      this.#batcher.lose(batch, new NodeError(`node ${this.#options.name} is not connected`, this.#options.name), false)
    }
    return channel
  }

  #writableChannel(): Channel | undefined {
    return this.#client !== undefined && isWritable(this.#client) ? this.#channel : undefined
  }

  /** @param send writes the command; `isLate` tells it later whether the caller has been told that there was no answer in time */
  #bounded(
    name: string,
    send: (channel: Channel, isLate: () => boolean) => Promise<unknown>,
    timeoutMs: number = this.#options.timeoutMs,
  ): Promise<unknown> {
    const channel = this.#writableChannel()
    if (channel === undefined || this.#batcher.stalled || this.#closed) return Promise.reject(this.#notConnected())
    const { name: node, clock } = this.#options
    if (this.#commands >= MAX_COMMANDS) {
      return Promise.reject(new OverloadError(`node ${node}: needs fewer than ${MAX_COMMANDS} commands under way, but got: ${name}`))
    }
    this.#commands++
    return new Promise((resolve, reject) => {
      let settled = false
      let overdue = false
      const giveUp = (): void => {
        if (settled) return
        overdue = true
        reject(new DeadlineError(`node ${node}: no answer to ${name} within ${timeoutMs} ms`))
        this.#commandOverdue()
      }
      const timer = clock.after(timeoutMs, () => clock.soon(giveUp))
      const settle = (): void => {
        settled = true
        timer.cancel()
        this.#commandSettled(overdue)
      }
      send(channel, () => overdue).then(
        (reply) => {
          resolve(reply)
          settle()
        },
        (thrown) => {
          reject(nodeError(thrown, node))
          settle()
        },
      )
    })
  }

  /** Resolves when every command has been answered or is overdue. */
  #commandsDone(): Promise<void> {
    if (this.#commands === this.#overdueCommands) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onCommandsDone = resolve
    })
  }

  /** The first command that is overdue starts the time after which the connection is given up. */
  #commandOverdue(): void {
    this.#overdueCommands++
    this.#options.onStalled?.()
    this.#resetTimer ??= this.#options.clock.after(RESET_AFTER_MS, () => {
      this.#resetTimer = undefined
      this.#link.reset('a reply is overdue')
    })
    if (this.#commands === this.#overdueCommands) this.#onCommandsDone?.()
  }

  #commandSettled(overdue: boolean): void {
    this.#commands--
    if (overdue) this.#overdueCommands--
    if (this.#overdueCommands === 0) {
      this.#resetTimer?.cancel()
      this.#resetTimer = undefined
    }
    if (this.#commands === this.#overdueCommands) this.#onCommandsDone?.()
  }
}

/** @returns '' when the account may not ask: then nothing is known, and nothing complained about */
async function readInfo(channel: Channel): Promise<string> {
  try {
    return String(await channel.call('INFO', []))
  } catch (thrown) {
    if (isErrorReply(thrown)) return ''
    throw thrown
  }
}
