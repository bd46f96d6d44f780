/**
 * Leases that nobody holds and that an owner may still have: granted without the answer arriving in time, or given back without the owner having heard.
 *
 * Everybody else would wait for such a lease until it is over. So whoever asked gives it back: with each look of catch-up, until the
 * owner has answered twice. Of two connections to it, the one may be read before what waits on the other: a lease may be granted after it was first given back.
 * A full owner answers, and keeps what it could only clear by writing: such a lease ends by itself.
 */
import type { Clock } from '../clock.ts'
import type { CacheNode, Status } from '../node/node.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import type { Lease } from './cluster.ts'

/** Beyond so many, one ends by itself. */
const MAX_STRAYS = 65_536
/** Of a node at once: little beside what it does in `CALL`. */
const MOST_AT_ONCE = 512
/** Then the rest is left for the next time, ms: looks of catch-up wait for this. */
const LONGEST_MS = 250
/** What an owner may take to answer, ms. */
const CALL = { timeoutMs: 100 }

interface Stray {
  readonly key: string
  readonly lease: Lease
  /** Whether its owner has answered once. */
  answered: boolean
}

export class StrayLeases implements QueueTeller {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #strays = new Map<CacheNode, Stray[]>()
  #count = 0

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  add(key: string, lease: Lease): void {
    if (this.#count >= MAX_STRAYS) return
    this.#count++
    const ofNode = this.#strays.get(lease.node)
    const stray = { key, lease, answered: false }
    if (ofNode === undefined) this.#strays.set(lease.node, [stray])
    else ofNode.push(stray)
  }

  tellQueues(tell: TellQueue): void {
    tell('leasesStray', this.#count, MAX_STRAYS)
  }

  /** Resolves when each owner has answered, or was given up for now; never rejects. */
  async giveBack(): Promise<void> {
    const all = [...this.#strays]
    this.#strays.clear()
    await Promise.all(all.map(([node, strays]) => this.#giveBackTo(node, strays)))
  }

  /** Some at a time, as long as it answers and does not take long. */
  async #giveBackTo(node: CacheNode, strays: readonly Stray[]): Promise<void> {
    const nowMs = this.#clock.monotonic()
    const alive = strays.filter(({ lease }) => lease.untilMs > nowMs)
    const open: Stray[] = []
    let from = 0
    for (let answers = true; answers && from < alive.length && this.#clock.monotonic() - nowMs <= LONGEST_MS; from += MOST_AT_ONCE) {
      const some = alive.slice(from, from + MOST_AT_ONCE)
      const statuses = await Promise.all(some.map(release))
      answers = statuses.some(isApplied)
      open.push(...some.filter((stray, at) => !isApplied(statuses[at]!) || !stray.answered))
      for (const [at, stray] of some.entries()) stray.answered ||= isApplied(statuses[at]!)
    }
    const left = open.concat(alive.slice(from))
    this.#count -= strays.length - left.length
    if (left.length > 0) this.#strays.set(node, left.concat(this.#strays.get(node) ?? []))
  }
}

function release({ key, lease: { node, token } }: Stray): Promise<Status> {
  return new Promise((settled) => node.change({ op: 'release', key, lease: token }, { settled }, CALL))
}

function isApplied({ state }: Status): boolean {
  return state === 'applied'
}
