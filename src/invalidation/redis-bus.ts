/**
 * A bus over a Redis or Valkey server: publish and subscribe, over two connections that are one link.
 *
 * The link is made again whenever it breaks, and its channels with it. Both ends of each gap are told, and a link that is dead without a sign
 * is found by its heartbeat within 2 s. Nothing is queued while the link is down: a message that cannot go out now is refused.
 */
import { type Clock, type Random, systemClock, systemRandom } from '../clock.ts'
import { asError, ClosedError, NodeError, OverloadError, RingtailError } from '../errors.ts'
import { type Credentials, type RedisTarget, redisAddress, systemLookup } from '../node/redis-address.ts'
import type { RedisClient } from '../node/redis-client.ts'
import { RedisHeartbeat } from '../node/redis-heartbeat.ts'
import { RedisLink } from '../node/redis-link.ts'
import { type Duration, durationMs, knownOptions } from '../options.ts'
import type { Bus, Listener } from './bus.ts'

export interface RedisBusOptions extends Credentials {
  /** Bound of one try to connect. Default 1 s. */
  readonly connectTimeout?: Duration | undefined
  /** For tests. Default: the system's. */
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

/** Messages without an answer yet, at most: what comes on top is refused. */
const MAX_UNANSWERED = 1_024
const CONNECT_TIMEOUT_MS = 1_000

/**
 * Connects when it is first used. Any server will do, also one of the cache nodes; messages are not stored.
 * @example redisBus('redis://10.0.0.9')
 * @throws ConfigurationError for a target or an option that is not one
 */
export function redisBus(target: string | RedisTarget, options: RedisBusOptions = {}): Bus {
  knownOptions(options, 'redisBus', ['username', 'password', 'tls', 'connectTimeout', 'clock', 'random'])
  return new RedisBus(target, options)
}

interface Joining {
  readonly resolve: () => void
  readonly reject: (error: RingtailError) => void
}

class RedisBus implements Bus {
  readonly #name: string
  readonly #link: RedisLink
  readonly #heartbeat: RedisHeartbeat
  readonly #listeners = new Map<string, Set<Listener>>()
  /** Those who wait for the link. */
  #joining: Joining[] = []
  #subscriber: RedisClient | undefined
  #publisher: RedisClient | undefined
  #unanswered = 0
  #opened = false
  #everUp = false
  #closed = false

  constructor(target: string | RedisTarget, options: RedisBusOptions) {
    const address = redisAddress(target, options)
    this.#name = `bus ${address.host}:${address.port}`
    const clock = options.clock ?? systemClock
    this.#heartbeat = new RedisHeartbeat(clock, (reason) => this.#link.reset(reason))
    this.#link = new RedisLink({
      name: this.#name,
      address,
      lookup: systemLookup,
      clock,
      random: options.random ?? systemRandom,
      connectTimeoutMs: durationMs(options.connectTimeout ?? CONNECT_TIMEOUT_MS, 'redisBus: connectTimeout'),
      setUp: (open) => this.#setUp(open),
      onUp: () => this.#onUp(),
      onLost: (error) => this.#onLost(error),
      onFailed: (error) => this.#refuseJoining(error),
    })
  }

  async publish(channel: string, bytes: Uint8Array): Promise<void> {
    this.#open()
    const publisher = this.#publisher
    if (publisher === undefined || !this.#link.up) throw this.#notConnected()
    if (this.#unanswered >= MAX_UNANSWERED) {
      throw new OverloadError(`${this.#name}: needs fewer than ${MAX_UNANSWERED} messages without an answer, but got: one more`)
    }
    this.#unanswered++
    try {
      await publisher.callBuffer('PUBLISH', [channel, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)])
    } catch (cause) {
      throw this.#failure(cause)
    } finally {
      this.#unanswered--
    }
  }

  async subscribe(channel: string, listener: Listener): Promise<() => Promise<void>> {
    this.#open()
    const listeners = this.#listeners.get(channel) ?? new Set<Listener>()
    this.#listeners.set(channel, listeners)
    listeners.add(listener)
    const stop = async (): Promise<void> => {
      listeners.delete(listener)
      // The server may go on sending until the next link; what nobody listens to is dropped.
      if (listeners.size === 0 && this.#listeners.get(channel) === listeners) this.#listeners.delete(channel)
    }
    try {
      if (!this.#link.up) await new Promise<void>((resolve, reject) => this.#joining.push({ resolve, reject }))
      if (this.#subscriber === undefined) throw this.#notConnected()
      await this.#subscriber.subscribe(channel)
    } catch (thrown) {
      await stop()
      throw thrown instanceof RingtailError ? thrown : this.#failure(thrown)
    }
    return stop
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#heartbeat.stop()
    this.#listeners.clear()
    this.#refuseJoining(this.#closedError())
    if (this.#opened) await this.#link.close()
  }

  #open(): void {
    if (this.#closed) throw this.#closedError()
    if (this.#opened) return
    this.#opened = true
    this.#link.open()
  }

  async #setUp(open: (protocol: 2 | 3) => Promise<RedisClient>): Promise<void> {
    const [subscriber, publisher] = await Promise.all([open(2), open(2)])
    subscriber.on('messageBuffer', (channel: Buffer, bytes: Buffer) => this.#received(String(channel), bytes))
    this.#subscriber = subscriber
    this.#publisher = publisher
    for (const channel of this.#listeners.keys()) await subscriber.subscribe(channel)
  }

  #received(channel: string, bytes: Buffer): void {
    for (const listener of this.#listeners.get(channel) ?? []) listener.received(bytes)
  }

  #onUp(): void {
    if (this.#everUp) this.#tellLost('what was said while the connection was lost was not received', true)
    this.#everUp = true
    this.#heartbeat.start([this.#subscriber!, this.#publisher!])
    const joining = this.#joining
    this.#joining = []
    for (const { resolve } of joining) resolve()
  }

  #onLost(error: NodeError): void {
    this.#heartbeat.stop()
    this.#subscriber = undefined
    this.#publisher = undefined
    this.#tellLost(error.message, false)
  }

  #tellLost(reason: string, hearing: boolean): void {
    for (const listeners of this.#listeners.values()) for (const listener of listeners) listener.lost(reason, hearing)
  }

  #refuseJoining(error: RingtailError): void {
    const joining = this.#joining
    this.#joining = []
    for (const { reject } of joining) reject(error)
  }

  /** Whether the server did what was asked is not known. */
  #failure(cause: unknown): NodeError {
    return new NodeError(`${this.#name}: ${asError(cause).message}`, this.#name, { cause, outcome: 'unknown' })
  }

  #notConnected(): NodeError {
    return new NodeError(`${this.#name} is not connected`, this.#name)
  }

  #closedError(): ClosedError {
    return new ClosedError(`${this.#name} is closed`)
  }
}
