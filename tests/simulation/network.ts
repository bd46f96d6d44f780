/**
 * The network between a client and a node: two directions, each in order, each with delays of its own.
 *
 * It behaves as TCP does. A message is neither doubled nor overtaken by a later one of its connection; a lost packet costs its
 * retransmission, and everything behind it waits; a blocked direction holds what is sent, and when it opens again what was held comes late,
 * or the connection breaks. A connection that the client gave up may still deliver what was on its way, after what was sent on the next one.
 */
import type { Random } from '../../src/clock.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface NetworkConditions {
  /** Mean of what a message takes above the least, ms. */
  readonly meanMs: number
  /** How many of a thousand messages are much later. */
  spikesPerMille: number
  readonly spikeMs: number
  /** How many of a thousand packets are lost once, and sent again after 200 ms. */
  lossesPerMille: number
}

const LEAST_MS = 0.1
const RETRANSMIT_MS = 200
/** No message takes longer, but on a line that is blocked: a lost packet, the worst spike, and 22 times the largest mean, which is all that is drawn. */
export const LONGEST_MESSAGE_MS = 350

/** One connection: what is sent after it was severed, or held by it then, never arrives. */
export interface Connection {
  /** The client does not listen to it any more. */
  closed: boolean
  /** Nothing on it arrives. */
  severed: boolean
}

interface Message {
  readonly connection: Connection
  readonly deliver: () => void
}

export class Direction {
  readonly #time: VirtualTime
  readonly #receiver: string
  readonly #label: string
  readonly #random: Random
  readonly #conditions: NetworkConditions
  #lastArrivalMs = 0
  #held: Message[] | undefined
  #openedMs = -1

  /** @param receiver the process whose event an arrival is */
  constructor(time: VirtualTime, receiver: string, label: string, random: Random, conditions: NetworkConditions) {
    this.#time = time
    this.#receiver = receiver
    this.#label = label
    this.#random = random
    this.#conditions = conditions
  }

  get blocked(): boolean {
    return this.#held !== undefined
  }

  /** Whether it was blocked at any time since. */
  wasBlockedSince(atMs: number): boolean {
    return this.#held !== undefined || this.#openedMs >= atMs
  }

  send(connection: Connection, deliver: () => void): void {
    if (this.#held !== undefined) this.#held.push({ connection, deliver })
    else this.#pass({ connection, deliver })
  }

  block(): void {
    this.#held ??= []
  }

  /** @param delivers whether what was held arrives now */
  open(delivers: boolean): void {
    const held = this.#held ?? []
    this.#held = undefined
    this.#openedMs = this.#time.nowMs
    if (delivers) for (const message of held) this.#pass(message)
  }

  #pass({ connection, deliver }: Message): void {
    if (connection.severed) return
    const arrivalMs = Math.max(this.#time.nowMs + this.#delayMs(), this.#lastArrivalMs + 0.001)
    this.#lastArrivalMs = arrivalMs
    this.#time.schedule(arrivalMs - this.#time.nowMs, this.#receiver, this.#label, () => {
      if (!connection.severed) deliver()
    })
  }

  #delayMs(): number {
    const { meanMs, spikesPerMille, spikeMs, lossesPerMille } = this.#conditions
    let delayMs = LEAST_MS - Math.log(1 - this.#random()) * meanMs
    if (this.#random() * 1_000 < spikesPerMille) delayMs += this.#random() * spikeMs
    if (this.#random() * 1_000 < lossesPerMille) delayMs += RETRANSMIT_MS
    return delayMs
  }
}
