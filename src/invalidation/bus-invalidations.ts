/**
 * Invalidations over a bus: the processes that change keys say so, where nodes cannot.
 *
 * Each process numbers its messages, so that whoever misses one sees the gap at the next; and it repeats its number for a while after the
 * last, so that there always is a next. The promise: every announced key is told, or `lost` is, by the next message or heartbeat of the
 * process that announced it: within 2 s, and sooner while it goes on to publish. What no bus can tell is a change whose process died before
 * it could say so: only the near caches' own time to live bounds that.
 *
 * A process hears its own announcements at once, not by the bus.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import type { Bus } from './bus.ts'
import { type BusMessage, decodeMessage, encodeMessage, MAX_KEYS } from './bus-message.ts'
import { Followers } from './followers.ts'
import { HeardPublishers } from './heard-publishers.ts'
import type { Follower, Invalidations } from './invalidation.ts'

export interface BusInvalidationsParts {
  readonly bus: Bus
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** One for all processes of a tier. Default 'ringtail:invalidations'. */
  readonly channel?: string | undefined
}

/** A number is repeated every so often, ms, so many times after the last message that had keys. */
const HEARTBEAT_MS = 1_000
const HEARTBEATS = 5
/** Keys that wait to be published, at most; more are published as `all`. */
const MAX_PENDING = 10_000
/** Messages on their way out, at most; keys wait meanwhile. */
const MAX_FLIGHTS = 32
/** The wait before subscribing is tried again is at most the first, ms; the bound doubles up to the last. */
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 2_000

export class BusInvalidations implements Invalidations, QueueTeller {
  readonly #parts: BusInvalidationsParts
  readonly #channel: string
  readonly #publisher: string
  readonly #followers: Followers
  readonly #heard = new HeardPublishers()
  readonly #pending = new Set<string>()
  #allPending = false
  #leaving = false
  #flights = 0
  #number = 0
  #beatsLeft = 0
  #heartbeat: Timer | undefined
  #hearing = false
  #failures = 0
  #waiting: Timer | undefined
  #stop: (() => Promise<void>) | undefined
  #subscribing: Promise<void>
  #closed = false

  /** Subscribes at once. The bus stays the caller's to close. */
  constructor(parts: BusInvalidationsParts) {
    this.#parts = parts
    this.#channel = parts.channel ?? 'ringtail:invalidations'
    this.#publisher = [0, 1]
      .map(() =>
        Math.floor(parts.random() * 2 ** 32)
          .toString(16)
          .padStart(8, '0'),
      )
      .join('')
    this.#followers = new Followers(parts.emit)
    this.#subscribing = this.#subscribe()
  }

  follow(prefix: string, follower: Follower): () => void {
    this.#followers.add(prefix, follower)
    return () => this.#followers.remove(prefix, follower)
  }

  covers(prefix: string): boolean {
    return this.#hearing && this.#followers.has(prefix)
  }

  announce(keys: readonly string[]): void {
    if (keys.length === 0 || this.#closed) return
    this.#followers.changed(keys)
    for (const key of keys) {
      if (this.#pending.size >= MAX_PENDING) this.#allPending = true
      if (!this.#allPending) this.#pending.add(key)
    }
    if (this.#allPending) this.#pending.clear()
    if (this.#leaving) return
    this.#leaving = true
    this.#parts.clock.soon(() => {
      this.#leaving = false
      this.#publishPending()
    })
  }

  tellQueues(tell: TellQueue): void {
    tell('busWaiting', this.#pending.size, MAX_PENDING)
  }

  /** Publishes what waits, and hears nothing afterwards. */
  async close(): Promise<void> {
    this.#publishPending()
    this.#closed = true
    this.#hearing = false
    this.#heartbeat?.cancel()
    this.#waiting?.cancel()
    await this.#subscribing
    await this.#stop?.().catch(() => {})
  }

  async #subscribe(): Promise<void> {
    const { bus, clock, random } = this.#parts
    let hearing = true
    try {
      this.#stop = await bus.subscribe(this.#channel, {
        received: (bytes) => this.#received(bytes),
        lost: (reason, isHearing) => {
          hearing = isHearing
          this.#hearing = isHearing && this.#stop !== undefined && !this.#closed
          this.#followers.lost(reason, undefined)
        },
      })
      this.#hearing = hearing && !this.#closed
      if (this.#hearing) this.#followers.covered()
    } catch {
      if (this.#closed) return
      const boundMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#failures++, 10))
      this.#waiting = clock.after(random() * boundMs, () => {
        this.#subscribing = this.#subscribe()
      })
    }
  }

  #received(bytes: Uint8Array): void {
    if (this.#closed) return
    const message = decodeMessage(bytes)
    if (message === undefined) {
      this.#followers.lost('a message on the bus was not understood', undefined)
      return
    }
    if (message.publisher === this.#publisher) return
    if (this.#heard.misses(message)) this.#followers.lost('a message on the bus was missed', undefined)
    if (message.kind === 'all') this.#followers.lost('more keys were changed than were named', undefined)
    else if (message.kind === 'keys') this.#followers.changed(message.keys)
  }

  #publishPending(): void {
    if (this.#closed) return
    if (this.#allPending && this.#flights < MAX_FLIGHTS) {
      this.#allPending = false
      this.#publish({ kind: 'all', publisher: this.#publisher, number: ++this.#number })
    }
    while (this.#pending.size > 0 && this.#flights < MAX_FLIGHTS) {
      const keys: string[] = []
      for (const key of this.#pending) {
        if (keys.length === MAX_KEYS) break
        keys.push(key)
        this.#pending.delete(key)
      }
      this.#publish({ kind: 'keys', publisher: this.#publisher, number: ++this.#number, keys })
    }
  }

  /** Whether a message went out is not looked at: if it did not, its number is missed. */
  #publish(message: BusMessage): void {
    this.#flights++
    this.#beatsLeft = HEARTBEATS
    this.#heartbeat ??= this.#parts.clock.after(HEARTBEAT_MS, () => this.#beat())
    const settled = (): void => {
      this.#flights--
      this.#publishPending()
    }
    this.#parts.bus.publish(this.#channel, encodeMessage(message)).then(settled, settled)
  }

  /** A heartbeat that did not go out is none: they go on until enough of them did. */
  #beat(): void {
    const { bus, clock } = this.#parts
    const message = encodeMessage({ kind: 'heartbeat', publisher: this.#publisher, number: this.#number })
    const again = (sent: number): void => {
      this.#beatsLeft -= sent
      this.#heartbeat = this.#beatsLeft > 0 && !this.#closed ? clock.after(HEARTBEAT_MS, () => this.#beat()) : undefined
    }
    bus.publish(this.#channel, message).then(
      () => again(1),
      () => again(0),
    )
  }
}
