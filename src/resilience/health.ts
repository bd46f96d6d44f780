/**
 * Which nodes answer, as this process sees it.
 *
 * A node may refuse, fall silent with its connection open, answer with errors, or merely slow down; and it may be this process that is cut
 * off. So each is pinged five times a second, with a bound, beside what its own traffic shows (`node-health.ts`), and the nodes are judged
 * together: one that is dead is `down` and others are asked first; where more than half do not answer, this process takes its own network to
 * be at fault and ejects none of them: they are `suspect`, and asked as ever. One that takes much longer than the others do is asked less, in
 * proportion.
 *
 * The promise: a server that is stopped, with its connections open, is `down` within a second, and `up` one ping after it goes on. A ping that
 * was late because this process was held up says nothing of the node. Health is an opinion and steers this process's reads; what is
 * decided of a node, for everybody, it is told by `mark`.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import { ConfigurationError, type RingtailError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { CacheNode } from '../node/node.ts'
import { guardNode } from './guarded-node.ts'
import { isReply, NodeHealth, type NodeMark, type NodeState } from './node-health.ts'

export type { NodeMark, NodeState }

export interface HealthParts {
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** Between two pings of a node, ms. Default 200. */
  readonly intervalMs?: number | undefined
  /** Asked when a node that looked dead answers again: whether it may have missed changes, so that it is `returning` until `mark` says otherwise. Default: never. */
  readonly isReturning?: ((node: string) => boolean) | undefined
}

const INTERVAL_MS = 200
/** Of the interval: what is not answered by then is missed before the next ping is sent. */
const PING_BOUND = 0.96
/** A ping that ended so much later than it was bound to was held up by this process, or the whole machine, ms. */
const HELD_UP_MS = 150
/** A node is slow that usually takes so many times as long as the others, and so much longer, ms. */
const SLOW_TIMES = 4
const SLOW_MS = 5
/** With a smaller share than this it is told of as suspect. */
const SUSPECT_SHARE = 0.5

export class Health {
  readonly #parts: HealthParts
  readonly #intervalMs: number
  #nodes: readonly NodeHealth[] = []
  /** In front of the nodes that it was made with, in their order: to be used in their stead. */
  readonly guarded: readonly CacheNode[]
  #timer: Timer | undefined
  #started = false

  constructor(nodes: readonly CacheNode[], parts: HealthParts) {
    this.#parts = parts
    this.#intervalMs = parts.intervalMs ?? INTERVAL_MS
    this.guarded = nodes.map((node) => this.add(node))
  }

  /** Judges this node too, from the next ping on. @returns it with its guard before it */
  add(node: CacheNode): CacheNode {
    const health: NodeHealth = new NodeHealth(node, this.#parts.clock, this.#parts.random, () => this.#judge())
    this.#nodes = [...this.#nodes, health]
    return guardNode(health, {
      lost: (reason) => this.#lost(health, reason),
      found: () => this.#found(health),
      restarted: () => this.#restarted(health),
    })
  }

  /** Forgets a node: it is neither pinged nor counted among those that answer. */
  remove(node: string): void {
    this.#nodes = this.#nodes.filter((each) => each.node.id !== node)
  }

  /** Pings from now on, until `stop`. */
  start(): void {
    this.#started = true
    this.#round()
  }

  /** Leaves no timer. */
  stop(): void {
    this.#started = false
    this.#timer?.cancel()
  }

  /** @throws ConfigurationError for a node that is not one of these */
  stateOf(node: string): NodeState {
    return this.#of(node).state
  }

  /** The nodes whose connections are lost, or that are down. */
  isDown(node: string): boolean {
    return this.#of(node).toldDown
  }

  /** Whether most nodes look dead: then this process is taken to be cut off from them. */
  get isCutOff(): boolean {
    return areMost(this.#nodes, ({ looksDead }) => looksDead)
  }

  /**
   * Says what has been decided of a node. While it is `returning` reads ask others first, and while `behind` others only; `draining` is told, and changes nothing here.
   * @throws ConfigurationError for a node that is not one of these
   */
  mark(node: string, mark: NodeMark | undefined): void {
    this.#of(node).mark = mark
    this.#judge()
  }

  /** Says when a node lost what it held, ms since the epoch; 0: long ago. @throws ConfigurationError for a node that is not one of these */
  emptied(node: string, ms: number): void {
    this.#of(node).emptiedMs = ms
  }

  #of(node: string): NodeHealth {
    const health = this.#nodes.find((each) => each.node.id === node)
    if (health === undefined) throw ConfigurationError.of('health: node', "a node's id", node)
    return health
  }

  readonly #round = (): void => {
    if (!this.#started) return
    this.#timer = this.#parts.clock.after(this.#intervalMs, this.#round)
    this.#weigh()
    for (const health of this.#nodes) void this.#ping(health)
  }

  async #ping(health: NodeHealth): Promise<void> {
    const { clock } = this.#parts
    const timeoutMs = this.#intervalMs * PING_BOUND
    // A breaker that is not closed has its pings for probes, so that it closes though nobody asks the node.
    const { breaker } = health
    const probes = health.failing && breaker.mayPass()
    const { era } = breaker
    const sentMs = clock.monotonic()
    try {
      const { rttMs } = await health.node.ping({ timeoutMs })
      health.times.add(rttMs)
      health.heard()
      if (probes) breaker.succeeded(1, era)
    } catch (error) {
      const heldUp = clock.monotonic() - sentMs > timeoutMs + HELD_UP_MS
      if (isReply(error as RingtailError)) health.heard()
      else if (!heldUp) health.missed++
      if (probes && !heldUp) breaker.failed(1, era)
    }
    if (this.#started) this.#judge()
  }

  #lost(health: NodeHealth, reason: string): void {
    if (!this.#nodes.includes(health)) return
    health.disconnected = reason
    // That it is not connected is so whoever's fault it is.
    this.#tellDown(health, reason)
    this.#judge()
  }

  #found(health: NodeHealth): void {
    health.disconnected = undefined
    health.heard()
    this.#judge()
  }

  #restarted(health: NodeHealth): void {
    if (this.#parts.isReturning?.(health.node.id) === true) health.doubt()
    this.#judge()
  }

  #judge(): void {
    const isolated = areMost(this.#nodes, ({ looksUnwell }) => looksUnwell)
    for (const health of this.#nodes) {
      const { looksDead } = health
      health.isolated = isolated
      // Before it is asked as ever.
      if (health.wasDead && !looksDead && this.#parts.isReturning?.(health.node.id) === true) health.doubt()
      health.wasDead = looksDead
      this.#enter(health, stateOf(health))
    }
  }

  #enter(health: NodeHealth, state: NodeState): void {
    const before = health.state
    health.enter(state)
    const alive = !health.looksDead
    if (state === before && !(health.toldDown && alive)) return
    const node = health.node.id
    if (state === 'down') this.#tellDown(health, reasonOf(health))
    else if (state !== 'suspect' || !health.toldDown || alive) {
      health.toldDown = false
      if (state === 'suspect') this.#parts.emit('node:suspect', { node, reason: reasonOf(health) })
      else this.#parts.emit(`node:${state}`, { node })
    }
  }

  #tellDown(health: NodeHealth, reason: string): void {
    if (health.toldDown) return
    health.toldDown = true
    this.#parts.emit('node:down', { node: health.node.id, reason })
  }

  /** What a node may usually take follows from what the others do. */
  #weigh(): void {
    const usual = this.#nodes.map(({ usualMs }) => usualMs)
    for (const [at, health] of this.#nodes.entries()) {
      const others = usual.filter((ms, other) => other !== at && ms !== undefined)
      health.weigh(others.length === 0 ? undefined : boundOf(others as number[]))
    }
  }
}

/** More than half. */
function areMost(nodes: readonly NodeHealth[], is: (node: NodeHealth) => boolean): boolean {
  return nodes.reduce((sum, each) => sum + (is(each) ? 1 : 0), 0) * 2 > nodes.length
}

function stateOf(health: NodeHealth): NodeState {
  if (health.looksDead && !health.isolated) return 'down'
  // Also where this process is cut off: what it has missed it has missed whoever's fault it is that it does not answer.
  if (health.mark === 'returning' || health.mark === 'behind') return 'returning'
  if (health.looksDead) return 'suspect'
  if (health.missed > 0 || health.share < (health.state === 'suspect' ? 1 : SUSPECT_SHARE)) return 'suspect'
  return health.mark ?? 'up'
}

function reasonOf(health: NodeHealth): string {
  const cutOff = health.looksDead && health.isolated ? ', and most nodes look so: this process may be cut off' : ''
  if (health.disconnected !== undefined) return `${health.disconnected}${cutOff}`
  if (health.silent) return `no answer to its pings${cutOff}`
  if (health.failing) return `most calls of it failed${cutOff}`
  return health.missed > 0 ? 'no answer to a ping' : 'it takes much longer than others'
}

function boundOf(others: number[]): number {
  const usualMs = others.sort((a, b) => a - b)[others.length >> 1]!
  return Math.max(usualMs * SLOW_TIMES, usualMs + SLOW_MS)
}
