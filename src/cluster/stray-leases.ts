/**
 * Leases that an owner may have granted without its answer arriving in time.
 *
 * Nobody holds such a lease, and everybody else would wait for it until it is over. So whoever asked gives it back: with each look of catch-up, until the
 * owner has answered. A connection on which an answer is owed carries nothing before that has come, so that as a rule a lease is given back after it was granted.
 */
import type { Clock } from '../clock.ts'
import type { CacheNode, LeaseAsk, Status } from '../node/node.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'

/** Beyond so many, one ends by itself. */
const MAX_STRAYS = 4_096
/** What an owner may take to answer, ms. */
const CALL = { timeoutMs: 100 }

interface Stray {
  readonly node: CacheNode
  readonly key: string
  readonly token: number
  /** When it is over by itself, ms, monotonic: the owner may have granted it as late as its answer was given up. */
  readonly untilMs: number
}

export class StrayLeases implements QueueTeller {
  readonly #clock: Pick<Clock, 'monotonic'>
  #strays: Stray[] = []

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  add(node: CacheNode, { key, token, leaseMs }: LeaseAsk): void {
    if (this.#strays.length < MAX_STRAYS) this.#strays.push({ node, key, token, untilMs: this.#clock.monotonic() + leaseMs })
  }

  tellQueues(tell: TellQueue): void {
    tell('leasesStray', this.#strays.length, MAX_STRAYS)
  }

  /** Resolves when each owner has answered, or was given up for now; never rejects. */
  async giveBack(): Promise<void> {
    if (this.#strays.length === 0) return
    const nowMs = this.#clock.monotonic()
    const strays = this.#strays.filter(({ untilMs }) => untilMs > nowMs)
    this.#strays = []
    const statuses = await Promise.all(strays.map((stray) => released(stray)))
    const open = strays.filter((_, at) => statuses[at]!.state === 'failed')
    this.#strays = [...open, ...this.#strays].slice(0, MAX_STRAYS)
  }
}

function released({ node, key, token }: Stray): Promise<Status> {
  return new Promise((settled) => node.change({ op: 'release', key, lease: token }, { settled }, CALL))
}
