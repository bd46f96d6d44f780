/**
 * A node with its guard before it: the same node, but nobody waits for what it is not going to answer.
 *
 * While most of its calls fail, its breaker refuses them at once, but for a few that probe; where most nodes fail, none refuses, for then the
 * fault is this process's own. A node that is silent with its connection open still hears every change, which it will find when it goes on,
 * but who made it does not wait: it is told at once that the outcome is unknown. What is not safe to arrive late, because no version orders
 * it, or because it must be decided there and then, is not sent. One that is returning, and may not hold the newest, decides no
 * compare-and-set. Reads of a silent node go on to it: who has others to ask looks at
 * `standing` and asks them first.
 *
 * Reads cost one look at a field more than without it; outcomes reach the guard a batch at a time, from the node (`NodeObserver`).
 */
import { asError, NodeError } from '../errors.ts'
import { type Emit, noEmit, type TierEvents } from '../events.ts'
import type {
  CacheNode,
  Change,
  Control,
  LeaseAsk,
  Leased,
  NodeCall,
  NodeParts,
  NodeStats,
  Pong,
  Receiver,
  Script,
  ScriptArgument,
  ScriptReply,
  Standing,
  Status,
  StatusReceiver,
  Watcher,
} from '../node/node.ts'
import type { TellQueue } from '../queues.ts'
import type { NodeHealth } from './node-health.ts'

/** Told of a node's connections, in place of `node:down` and `node:up`, which are for who weighs all evidence to tell. */
export interface ConnectionListener {
  lost(reason: string): void
  found(): void
  /** Its server was started anew. */
  restarted(): void
}

export function guardNode(health: NodeHealth, connection: ConnectionListener): CacheNode {
  return new GuardedNode(health, connection)
}

const NOBODY: StatusReceiver = { settled: () => {} }

class GuardedNode implements CacheNode {
  readonly id: string
  readonly zone: string | undefined
  readonly weight: number
  readonly label: string
  readonly engine: string
  readonly url: string | undefined
  readonly another: CacheNode['another']
  readonly standing: Standing
  readonly #node: CacheNode
  readonly #health: NodeHealth
  readonly #connection: ConnectionListener
  #stopObserving: (() => void) | undefined

  constructor(health: NodeHealth, connection: ConnectionListener) {
    const { node } = health
    this.id = node.id
    this.zone = node.zone
    this.weight = node.weight
    this.label = node.label
    this.engine = node.engine
    this.url = node.url
    this.another = node.another?.bind(node)
    this.standing = health
    this.#node = node
    this.#health = health
    this.#connection = connection
  }

  get control(): Control {
    return this.#node.control
  }

  get incarnation(): string | undefined {
    return this.#node.incarnation
  }

  get load(): number {
    return this.#node.load ?? 0
  }

  tellQueues(tell: TellQueue): void {
    this.#node.tellQueues?.(tell)
  }

  async connect(parts: NodeParts = {}): Promise<void> {
    const emit = parts.emit ?? noEmit
    const heard: Emit = (name, payload) => {
      if (name === 'node:down') this.#connection.lost((payload as TierEvents['node:down']).reason)
      else if (name === 'node:up') this.#connection.found()
      else {
        if (name === 'node:restarted') this.#connection.restarted()
        emit(name, payload)
      }
    }
    this.#stopObserving ??= this.#node.observe?.(this.#health)
    try {
      await this.#node.connect({ ...parts, emit: heard })
    } catch (error) {
      this.#connection.lost(asError(error).message)
      throw error
    }
  }

  get(key: string, receiver: Receiver, call?: NodeCall): void {
    if (this.#health.failing && !this.#mayPass()) receiver.failed(this.#refusal(), this)
    else this.#node.get(key, receiver, call)
  }

  getMany(keys: readonly string[], call?: NodeCall): Promise<(Uint8Array | undefined)[]> {
    if (this.#health.failing && !this.#mayPass()) return Promise.reject(this.#refusal())
    return this.#node.getMany(keys, call)
  }

  change(change: Change, receiver: StatusReceiver, call?: NodeCall): void {
    if (this.#health.failing && !this.#mayPass()) receiver.settled(this.#refused(), this)
    else if (this.#isUndecidable(change)) receiver.settled(this.#undecided(), this)
    else if (!this.#isKeepingSilent()) this.#node.change(change, receiver, call)
    else receiver.settled(this.#sentUnheard(change, call), this)
  }

  async apply(changes: readonly Change[], call?: NodeCall): Promise<Status[]> {
    if (this.#health.failing && !this.#mayPass()) return changes.map(() => this.#refused())
    if (!this.#isKeepingSilent()) return this.#applyDecidable(changes, call)
    return changes.map((change) => this.#sentUnheard(change, call))
  }

  async lease(asks: readonly LeaseAsk[], call?: NodeCall): Promise<Leased[]> {
    if (this.#health.failing && !this.#mayPass()) return asks.map(() => ({ state: 'failed', error: this.#refusal() }))
    return this.#node.lease(asks, call)
  }

  run(script: Script, keys: readonly string[], args: readonly ScriptArgument[], call?: NodeCall): Promise<ScriptReply> {
    return this.#node.run(script, keys, args, call)
  }

  watch(prefixes: readonly string[], watcher: Watcher): Promise<() => Promise<void>> {
    return this.#node.watch(prefixes, watcher)
  }

  scan(prefix: string, options?: { readonly batch?: number; readonly signal?: AbortSignal }): AsyncIterable<readonly string[]> {
    return this.#node.scan(prefix, options)
  }

  stats(call?: NodeCall): Promise<NodeStats> {
    return this.#node.stats(call)
  }

  ping(call?: NodeCall): Promise<Pong> {
    return this.#node.ping(call)
  }

  async close(): Promise<void> {
    this.#stopObserving?.()
    await this.#node.close()
  }

  /** Asked also where none is refused: so that it counts as a probe. */
  #mayPass(): boolean {
    return this.#health.breaker.mayPass() || this.#health.isolated
  }

  /** One that is not connected says so itself, at once. */
  #isKeepingSilent(): boolean {
    const health = this.#health
    return health.state === 'down' && health.disconnected === undefined && health.silent
  }

  async #applyDecidable(changes: readonly Change[], call: NodeCall | undefined): Promise<Status[]> {
    if (this.#health.state !== 'returning') return this.#node.apply(changes, call)
    // Looked at once: it may have caught up by the time that it answers.
    const isDecidable = changes.map((change) => !this.#isUndecidable(change))
    const statuses = await this.#node.apply(
      changes.filter((_, at) => isDecidable[at]),
      call,
    )
    let nth = 0
    return isDecidable.map((decidable) => (decidable ? statuses[nth++]! : this.#undecided()))
  }

  #isUndecidable(change: Change): boolean {
    return this.#health.state === 'returning' && change.op === 'put' && change.expected !== undefined
  }

  #undecided(): Status {
    return {
      state: 'failed',
      error: new NodeError(`node ${this.id} has not caught up: it cannot say which version is the newest`, this.id),
    }
  }

  #sentUnheard(change: Change, call: NodeCall | undefined): Status {
    const mustBeHeard = change.op === 'set' || (change.op === 'put' && (change.expected !== undefined || change.lease !== undefined))
    if (mustBeHeard) return { state: 'failed', error: new NodeError(`node ${this.id} does not answer`, this.id) }
    this.#node.change(change, NOBODY, call)
    const message = `node ${this.id} does not answer: it was sent the change, and may find it later`
    return { state: 'unknown', error: new NodeError(message, this.id, { outcome: 'unknown' }) }
  }

  #refused(): Status {
    return { state: 'failed', error: this.#refusal() }
  }

  #refusal(): NodeError {
    return new NodeError(`node ${this.id} is not asked: most calls of it failed`, this.id)
  }
}
