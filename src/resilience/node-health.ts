/**
 * What this process knows of one node, and what follows from it for its reads.
 *
 * Evidence comes in three ways: whether there is a connection; whether the node answers pings, or anything else; and what becomes of its
 * batches, which a breaker and the recent times count. All of it is counted a batch at a time. What follows is in plain fields, for they
 * are looked at on the path of every read: whether others are asked first, how large its share is, after what time a read is late. Who
 * compares the nodes and says which state each is in is `health.ts`.
 */
import type { Clock, Random } from '../clock.ts'
import type { RingtailError } from '../errors.ts'
import type { CacheNode, NodeObserver, Standing } from '../node/node.ts'
import { Breaker } from './breaker.ts'
import { LATE_QUANTILE, RecentTimes } from './hedge.ts'

/**
 * `up`: it answers. `suspect`: it is slow or its last ping was not answered, or it looks dead and so do most, which is then this process's own
 * fault; it is asked as ever. `down`: it is not connected, silent, or fails too much; others are asked first. `returning`: it may have
 * missed changes; others are asked first, and others only while it is marked `behind`. `draining`: it answers and its keys are on their way elsewhere.
 */
export type NodeState = 'up' | 'suspect' | 'down' | 'returning' | 'draining'
/** What is decided elsewhere: by who catches it up (`behind`: it is returning, and known to have missed changes), and by who changes the ring. */
export type NodeMark = 'returning' | 'behind' | 'draining'

/** So many pings in a row not answered, and nothing else, is dead. */
const SILENT_PINGS = 2
/** Of few times nothing follows. */
const FEW_TIMES = 4
/** Until enough is known of a node's times, ms. */
const LATE_UNTIL_KNOWN_MS = 10
/** Sooner is not worth a second request, ms. */
const SOONEST_LATE_MS = 2
/** By this much times fade with each ping: half of them in some 600 ms. */
const FADE = 0.8
/** However slow: so that it is noticed when it is not any more. */
const SMALLEST_SHARE = 0.05

export class NodeHealth implements NodeObserver, Standing {
  readonly node: CacheNode
  readonly breaker: Breaker
  readonly times = new RecentTimes()
  state: NodeState = 'up'
  mark: NodeMark | undefined
  steered = false
  avoided = false
  share = 1
  emptiedMs = 0
  lateAfterMs = LATE_UNTIL_KNOWN_MS
  /** Most nodes look dead, which is then this process's own fault: none is refused for it. */
  isolated = false
  /** The breaker is not closed. */
  failing = false
  /** Not connected, and why. */
  disconnected: string | undefined
  /** Pings not answered since it was last heard of. */
  missed = 0
  /** Whether its connections' loss or its state was told as `node:down` and nothing better since. */
  toldDown = false
  /** It looked dead when it was last judged. */
  wasDead = false
  #turns = 0
  readonly #clock: Clock
  /** When the breaker opened last, ms, monotonic. */
  #openedMs = Number.NEGATIVE_INFINITY

  /** @param turned told when the breaker opens or closes */
  constructor(node: CacheNode, clock: Clock, random: Random, turned: () => void) {
    this.node = node
    this.#clock = clock
    this.breaker = new Breaker({}, clock, random, ({ state }) => {
      this.failing = state !== 'closed'
      if (state === 'open') this.#openedMs = clock.monotonic()
      turned()
    })
  }

  /** It may have missed changes, for all that is known. */
  doubt(): void {
    if (this.mark !== 'behind') this.mark = 'returning'
  }

  get down(): boolean {
    return this.state === 'down'
  }

  get behind(): boolean {
    return this.mark === 'behind'
  }

  /** The node answered, whatever it said. */
  heard(): void {
    this.missed = 0
  }

  get silent(): boolean {
    return this.missed >= SILENT_PINGS
  }

  get looksDead(): boolean {
    return this.disconnected !== undefined || this.silent || this.failing
  }

  /** Whether it does not answer now: what may be the sign of a fault of this process before it is one of a node. */
  get looksUnwell(): boolean {
    return this.disconnected !== undefined || this.missed > 0 || this.failing
  }

  landed(calls: number, tookMs: number, reads: boolean): void {
    this.heard()
    if (reads) this.times.add(tookMs, Math.max(1, calls))
    if (calls > 0 && this.#isCounted(tookMs)) this.breaker.succeeded(calls)
  }

  lost(calls: number, error: RingtailError, tookMs: number): void {
    // A lost connection is evidence of its own, and ends with it.
    if ((error.code === 'DEADLINE_EXCEEDED' || isReply(error)) && this.#isCounted(tookMs)) this.breaker.failed(calls)
  }

  /** What was sent before the breaker opened is no probe, and says nothing of what the node has become since. */
  #isCounted(tookMs: number): boolean {
    return this.#clock.monotonic() - tookMs >= this.#openedMs
  }

  takesRead(): boolean {
    this.#turns += this.share
    if (this.#turns < 1) return false
    this.#turns -= 1
    return true
  }

  /** What a read of it takes as a rule, ms; undefined: not known. */
  get usualMs(): number | undefined {
    return this.times.total < FEW_TIMES ? undefined : this.times.quantile(0.5)
  }

  /** To be called with each ping. @param boundMs what a node may usually take before load is taken off it, ms; undefined: whatever it takes */
  weigh(boundMs: number | undefined): void {
    const { usualMs } = this
    this.lateAfterMs = usualMs === undefined ? LATE_UNTIL_KNOWN_MS : Math.max(SOONEST_LATE_MS, this.times.quantile(LATE_QUANTILE))
    this.share = usualMs === undefined || boundMs === undefined ? 1 : Math.max(SMALLEST_SHARE, Math.min(1, boundMs / usualMs))
    this.steered = this.avoided || this.share < 1
    this.times.fade(FADE)
  }

  enter(state: NodeState): void {
    this.state = state
    this.avoided = state === 'down' || state === 'returning'
    this.steered = this.avoided || this.share < 1
  }
}

/** An error that the node replied, as opposed to none that came. */
export function isReply(error: RingtailError): boolean {
  return error.cause instanceof Error && error.cause.name === 'ReplyError'
}
