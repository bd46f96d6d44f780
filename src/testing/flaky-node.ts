/**
 * A cache node that has its bad moments: a decorator of any `CacheNode`, in the process and under a fake clock.
 *
 * What a network or a server does to calls, without either: calls that fail, come late, hang, are lost, or lose their answer after they were
 * applied, which is the hardest to get right above. What lies on the node is always true; only who hears of it when is not.
 *
 *     const node = flakyNode(memoryNode({ id: 'a' }), { odds: { loseAnswer: 0.01 }, seed: 42 })
 *     node.mishaps.next('lose-answer')      // the next call, whichever it is
 *     node.mishaps.down('silent')           // as a stopped process
 *
 * Without a mishap it keeps the contract of a node in full (`testing/node-conformance.ts`).
 */
import { DeadlineError, NodeError, type RingtailError } from '../errors.ts'
import { type Emit, noEmit } from '../events.ts'
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
  Status,
  StatusReceiver,
  Watcher,
} from '../node/node.ts'
import type { FlakyOptions } from './mishap.ts'
import { type Met, Mishaps } from './mishaps.ts'

export interface FlakyNode extends CacheNode {
  /** What goes wrong, to be said and changed at any time. Every call meets it but `connect`, which fails while the node is down, `watch` and `close`. */
  readonly mishaps: Mishaps
}

/** @throws ConfigurationError on a wrong option */
export function flakyNode(node: CacheNode, options: FlakyOptions = {}): FlakyNode {
  return new DecoratedNode(node, options)
}

class DecoratedNode implements FlakyNode {
  readonly mishaps: Mishaps
  readonly control: Control
  readonly #node: CacheNode
  readonly #watchers = new Set<Watcher>()
  #emit: Emit = noEmit

  constructor(node: CacheNode, options: FlakyOptions) {
    this.#node = node
    const id = node.id
    this.mishaps = new Mishaps('flakyNode', options, '50ms', {
      failed: (reason) => new NodeError(`node ${id}: ${reason}`, id),
      unknown: (reason) => new NodeError(`node ${id}: ${reason}`, id, { outcome: 'unknown' }),
      silent: (timeoutMs) => new DeadlineError(`node ${id}: no answer within ${timeoutMs} ms`),
    })
    this.mishaps.onFall((isDown, how) => this.#fell(isDown, how))
    this.control = {
      get: (name, call) => this.#asked('control.get', [name], call, () => node.control.get(name, call)),
      compareAndSet: (name, expected, next, call) =>
        this.#asked('control.compareAndSet', [name], call, () => node.control.compareAndSet(name, expected, next, call)),
    }
  }

  get id(): string {
    return this.#node.id
  }

  get zone(): string | undefined {
    return this.#node.zone
  }

  get incarnation(): string | undefined {
    return this.#node.incarnation
  }

  get weight(): number {
    return this.#node.weight
  }

  get label(): string {
    return this.#node.label
  }

  get engine(): string {
    return this.#node.engine
  }

  async connect(parts: NodeParts = {}): Promise<void> {
    this.mishaps.useClock(parts.clock)
    this.#emit = parts.emit ?? this.#emit
    await this.#node.connect(parts)
    if (this.mishaps.isDown) throw this.#isDownError()
  }

  get(key: string, receiver: Receiver, call?: NodeCall): void {
    const get = (to: Receiver): void => this.#node.get(key, to, call)
    const mishap = this.mishaps.of('get', [key])
    if (mishap === undefined) {
      get({ answered: (bytes) => receiver.answered(bytes, this), failed: (error) => receiver.failed(error, this) })
      return
    }
    const act = (): Promise<Uint8Array | undefined> => new Promise((answered, failed) => get({ answered, failed }))
    void this.mishaps.meet(mishap, act, { timeoutMs: call?.timeoutMs }).then(
      (met) => {
        if (met.state === 'answered') receiver.answered(met.answer, this)
        else receiver.failed(met.error, this)
      },
      (error: RingtailError) => receiver.failed(error, this),
    )
  }

  getMany(keys: readonly string[], call?: NodeCall): Promise<(Uint8Array | undefined)[]> {
    return this.#asked('getMany', keys, call, () => this.#node.getMany(keys, call))
  }

  change(change: Change, receiver: StatusReceiver, call?: NodeCall): void {
    const settle = (status: Status): void => receiver.settled(status, this)
    const mishap = this.mishaps.of('change', [change.key])
    if (mishap === undefined) {
      this.#node.change(change, { settled: settle }, call)
      return
    }
    const act = (): Promise<Status> => new Promise((settled) => this.#node.change(change, { settled }, call))
    void this.mishaps
      .meet(mishap, act, { timeoutMs: call?.timeoutMs })
      .then((met) => settle(met.state === 'answered' ? met.answer : unsettled(met)))
  }

  async apply(changes: readonly Change[], call?: NodeCall): Promise<Status[]> {
    const keys = changes.map(({ key }) => key)
    const met = await this.#met('apply', keys, call, () => this.#node.apply(changes, call))
    return met.state === 'answered' ? met.answer : changes.map(() => unsettled(met))
  }

  async lease(asks: readonly LeaseAsk[], call?: NodeCall): Promise<Leased[]> {
    const keys = asks.map(({ key }) => key)
    const met = await this.#met('lease', keys, call, () => this.#node.lease(asks, call))
    return met.state === 'answered' ? met.answer : asks.map(() => unsettled(met))
  }

  run(script: Script, keys: readonly string[], args: readonly ScriptArgument[], call?: NodeCall): Promise<ScriptReply> {
    return this.#asked('run', keys, call, () => this.#node.run(script, keys, args, call))
  }

  async watch(prefixes: readonly string[], watcher: Watcher): Promise<() => Promise<void>> {
    if (this.mishaps.isDown) throw this.#isDownError()
    const gate: Watcher = {
      changed: (keys) => {
        if (!this.mishaps.isDown) watcher.changed(keys)
      },
      lost: (reason, hearing) => watcher.lost(reason, hearing && !this.mishaps.isDown),
    }
    const stop = await this.#node.watch(prefixes, gate)
    this.#watchers.add(watcher)
    return async () => {
      this.#watchers.delete(watcher)
      await stop()
    }
  }

  async *scan(prefix: string, options: { readonly batch?: number; readonly signal?: AbortSignal } = {}): AsyncIterable<readonly string[]> {
    await this.#asked('scan', [prefix], undefined, async () => {})
    for await (const keys of this.#node.scan(prefix, options)) {
      if (this.mishaps.isDown) throw this.#isDownError()
      yield keys
    }
  }

  stats(call?: NodeCall): Promise<NodeStats> {
    return this.#asked('stats', [], call, () => this.#node.stats(call))
  }

  ping(call?: NodeCall): Promise<Pong> {
    return this.#asked('ping', [], call, () => this.#node.ping(call))
  }

  async close(): Promise<void> {
    await this.mishaps.close()
    this.#watchers.clear()
    await this.#node.close()
  }

  async #met<T>(operation: string, keys: readonly string[], call: NodeCall | undefined, act: () => Promise<T>): Promise<Met<T>> {
    const mishap = this.mishaps.of(operation, keys)
    if (mishap === undefined) return { state: 'answered', answer: await act() }
    return this.mishaps.meet(mishap, act, { timeoutMs: call?.timeoutMs })
  }

  async #asked<T>(operation: string, keys: readonly string[], call: NodeCall | undefined, act: () => Promise<T>): Promise<T> {
    const met = await this.#met(operation, keys, call, act)
    if (met.state === 'answered') return met.answer
    throw met.error
  }

  /** A process that is stopped is not known to be; that changes go unheard is told all the same, for a watcher is promised that. */
  #fell(isDown: boolean, how: 'refusing' | 'silent'): void {
    for (const watcher of this.#watchers) watcher.lost(isDown ? 'the node is down' : 'the node was down', !isDown)
    if (how === 'silent') return
    if (isDown) this.#emit('node:down', { node: this.id, reason: `node ${this.id}: down` })
    else this.#emit('node:up', { node: this.id })
  }

  #isDownError(): NodeError {
    return new NodeError(`node ${this.id}: down`, this.id)
  }
}

function unsettled({ state, error }: Exclude<Met<unknown>, { state: 'answered' }>): Extract<Status, { state: 'failed' | 'unknown' }> {
  return { state: state === 'unknown' ? 'unknown' : 'failed', error }
}
