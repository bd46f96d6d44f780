/**
 * A server as one client sees it: a `CacheNode` at the end of a simulated connection.
 *
 * It answers as the Redis node would. What is sent is bounded by its timeout, after which it is `unknown` whether it happened; while a reply
 * is overdue further calls fail at once, and after a second more the connection is given up; a broken connection fails what is on it and is
 * made again after a while. Bytes are copied as they leave, so that nobody's later change to a buffer travels back in time.
 */
import type { Random, Timer } from '../../src/clock.ts'
import { systemClock } from '../../src/clock.ts'
import { ClosedError, DeadlineError, NodeError, type RingtailError } from '../../src/errors.ts'
import { type Emit, noEmit } from '../../src/events.ts'
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
} from '../../src/node/node.ts'
import type { Connection, Direction } from './network.ts'
import type { Reply, Request, SimServer } from './sim-server.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface SimNodeParts {
  readonly client: string
  readonly server: SimServer
  readonly time: VirtualTime
  readonly outward: Direction
  readonly inward: Direction
  readonly random: Random
  /** Told of each change as it is sent, and of what the client came to know of it. */
  readonly sent: (node: string, change: Change) => void
  readonly told: (node: string, change: Change, status: Status) => void
  /** Told of what each read brings. */
  readonly brought: (node: string, key: string, bytes: Uint8Array | undefined) => void
}

type Answer = { readonly reply: Reply } | { readonly error: RingtailError; readonly sent: boolean }

interface Call {
  readonly connection: Connection
  /** That are read. */
  readonly keys: readonly string[]
  readonly answered: (answer: Answer) => void
  timer: Timer | undefined
  overdue: boolean
}

const TIMEOUT_MS = 50
const SCAN_CALL: NodeCall = { timeoutMs: 1_000 }
const SCAN_BATCH = 128
/** As of the Redis node: how long a reply may be overdue before the connection is given up. */
const RESET_AFTER_MS = 1_000
const RECONNECT_MS = { least: 20, most: 400 }
/** A dead connection on which nothing is asked is found after two heartbeats. */
export const HEARTBEAT_MS = 1_000

export class SimNode implements CacheNode {
  readonly id: string
  readonly zone: string
  readonly weight = 1
  readonly label: string
  readonly engine = 'simulated'
  readonly #parts: SimNodeParts
  readonly #calls = new Set<Call>()
  readonly #watches = new Set<{ readonly prefixes: readonly string[]; readonly watcher: Watcher }>()
  #unwatch: (() => void)[] = []
  #clock = systemClock
  #emit: Emit = noEmit
  #connection: Connection | undefined
  #overdue = 0
  #resetTimer: Timer | undefined
  #closed = false
  #incarnation: string | undefined

  constructor(parts: SimNodeParts) {
    this.#parts = parts
    this.id = parts.server.id
    this.zone = parts.server.zone
    this.label = this.id
  }

  readonly control: Control = {
    get: async (name, call) => (await this.#ask({ op: 'control', name }, call))[0] as Uint8Array | undefined,
    compareAndSet: async (name, expected, next, call) =>
      (await this.#ask({ op: 'set-control', name, expected: expected?.slice(), next: next.slice() }, call))[0] === true,
  }

  get incarnation(): string | undefined {
    return this.#incarnation
  }

  /** Calls neither answered nor failed: what a closed node must not have. */
  get pendingCalls(): number {
    return this.#calls.size
  }

  async connect(parts: NodeParts = {}): Promise<void> {
    this.#clock = parts.clock ?? this.#clock
    this.#emit = parts.emit ?? this.#emit
    this.#connected()
  }

  get(key: string, receiver: Receiver, call?: NodeCall): void {
    this.#send({ op: 'read', keys: [key] }, call, (answer) => {
      if ('reply' in answer) receiver.answered(answer.reply[0] as Uint8Array | undefined, this)
      else receiver.failed(answer.error, this)
    })
  }

  getMany(keys: readonly string[], call?: NodeCall): Promise<(Uint8Array | undefined)[]> {
    return new Promise((resolve, reject) => {
      this.#send({ op: 'read', keys: [...keys] }, call, (answer) => {
        if ('reply' in answer) resolve([...answer.reply] as (Uint8Array | undefined)[])
        else reject(answer.error)
      })
    })
  }

  change(change: Change, receiver: StatusReceiver, call?: NodeCall): void {
    this.#change([change], call, (statuses) => receiver.settled(statuses[0]!, this))
  }

  apply(changes: readonly Change[], call?: NodeCall): Promise<Status[]> {
    return new Promise((resolve) => this.#change(changes, call, resolve))
  }

  lease(asks: readonly LeaseAsk[], call?: NodeCall): Promise<Leased[]> {
    return new Promise((resolve) => {
      this.#send({ op: 'lease', asks: [...asks] }, call, (answer) => {
        if ('reply' in answer) resolve([...answer.reply] as Leased[])
        else resolve(asks.map(() => ({ state: answer.sent ? 'unknown' : 'failed', error: answer.error })))
      })
    })
  }

  async run(script: Script, keys: readonly string[], args: readonly ScriptArgument[], call?: NodeCall): Promise<ScriptReply> {
    return (await this.#ask({ op: 'script', script, keys, args }, call))[0] as ScriptReply
  }

  async watch(prefixes: readonly string[], watcher: Watcher): Promise<() => Promise<void>> {
    if (this.#connection === undefined) throw this.#notConnected()
    const watch = { prefixes: [...prefixes], watcher }
    this.#watches.add(watch)
    this.#follow(watch, this.#connection)
    return async () => void this.#watches.delete(watch)
  }

  /** All that is there when it begins, a batch at a time. */
  async *scan(prefix: string, { batch = SCAN_BATCH }: { readonly batch?: number } = {}): AsyncIterable<readonly string[]> {
    const keys = (await this.#ask({ op: 'keys', prefix }, SCAN_CALL)) as readonly string[]
    for (let at = 0; at < keys.length; at += batch) yield keys.slice(at, at + batch)
  }

  async stats(call?: NodeCall): Promise<NodeStats> {
    const entries = (await this.#ask({ op: 'keys', prefix: '' }, call)).length
    const none = { usedBytes: 0, maxBytes: 0, evicted: 0, expired: 0, hits: 0, misses: 0, controlReads: 0, hintReads: 0, connections: 0 }
    return { engine: this.engine, engineVersion: '', entries, ...none }
  }

  ping(call?: NodeCall): Promise<Pong> {
    const startMs = this.#clock.monotonic()
    return new Promise((resolve, reject) => {
      this.#send({ op: 'time' }, call, (answer) => {
        if ('reply' in answer) resolve({ rttMs: this.#clock.monotonic() - startMs, timeMs: answer.reply[0] as number })
        else reject(answer.error)
      })
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#lose('closed')
    this.#watches.clear()
  }

  /** The connection breaks: by the network, or because the server did. */
  break(reason: string): void {
    if (this.#connection === undefined) return
    this.#lose(reason)
    this.#emit('node:down', { node: this.id, reason })
    this.#reconnectLater()
  }

  /** A direction fell silent: whoever watches finds out by heartbeats, if nobody else does before. */
  fellSilent(): void {
    const connection = this.#connection
    if (connection === undefined || this.#watches.size === 0) return
    const { time, client, outward, inward } = this.#parts
    time.schedule(2 * HEARTBEAT_MS, client, 'heartbeat', () => {
      if (this.#connection === connection && (outward.blocked || inward.blocked)) this.break('no answer to a heartbeat')
    })
  }

  #change(changes: readonly Change[], call: NodeCall | undefined, settle: (statuses: Status[]) => void): void {
    const { sent, told } = this.#parts
    const copies = changes.map(copied)
    for (const change of copies) sent(this.id, change)
    this.#send({ op: 'change', changes: copies }, call, (answer) => {
      const statuses =
        'reply' in answer
          ? ([...answer.reply] as Status[])
          : copies.map((): Status => ({ state: answer.sent ? 'unknown' : 'failed', error: answer.error }))
      for (const [at, change] of copies.entries()) told(this.id, change, statuses[at]!)
      settle(statuses)
    })
  }

  #ask(request: Request, call: NodeCall | undefined): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#send(request, call, (answer) => ('reply' in answer ? resolve(answer.reply) : reject(answer.error)))
    })
  }

  #send(request: Request, call: NodeCall | undefined, answered: (answer: Answer) => void): void {
    const connection = this.#connection
    const refusal = this.#refusal()
    if (connection === undefined || refusal !== undefined) {
      answered({ error: refusal ?? this.#notConnected(), sent: false })
      return
    }
    const { outward, inward, server } = this.#parts
    const pending: Call = { connection, keys: request.op === 'read' ? request.keys : [], answered, timer: undefined, overdue: false }
    this.#calls.add(pending)
    pending.timer = this.#clock.after(call?.timeoutMs ?? TIMEOUT_MS, () => this.#late(pending))
    outward.send(connection, () => {
      const back = (answer: Answer): void => inward.send(connection, () => this.#arrived(pending, answer))
      const refuse = (reason: string): void => back({ error: new NodeError(`node ${this.id}: ${reason}`, this.id), sent: false })
      server.execute(request, (reply) => back({ reply }), refuse)
    })
  }

  #arrived(call: Call, answer: Answer): void {
    if (call.connection.closed || !this.#calls.delete(call)) return
    if (call.overdue) {
      this.#overdue--
      if (this.#overdue === 0) this.#resetTimer?.cancel()
      return
    }
    call.timer?.cancel()
    if ('reply' in answer)
      for (const [at, key] of call.keys.entries()) this.#parts.brought(this.id, key, answer.reply[at] as Uint8Array | undefined)
    call.answered(answer)
  }

  #late(call: Call): void {
    call.overdue = true
    this.#overdue++
    if (this.#overdue === 1) this.#resetTimer = this.#clock.after(RESET_AFTER_MS, () => this.break('a reply is overdue'))
    call.answered({ error: new DeadlineError(`node ${this.id}: no answer within the timeout`), sent: true })
  }

  #connected(): void {
    this.#connection = { closed: false, severed: false }
    const { server } = this.#parts
    server.connect(this.#connection)
    const before = this.#incarnation
    this.#incarnation = server.incarnation
    if (before !== undefined && before !== this.#incarnation) this.#emit('node:restarted', { node: this.id })
    for (const watch of this.#watches) {
      watch.watcher.lost('what was read while the connection was lost was not watched', true)
      this.#follow(watch, this.#connection)
    }
  }

  #lose(reason: string): void {
    const connection = this.#connection
    if (connection === undefined) return
    this.#connection = undefined
    connection.closed = true
    // What the client had sent may still be in the network's hands.
    if (this.#parts.random() < 0.5) connection.severed = true
    if (connection.severed) this.#parts.server.disconnect(connection)
    for (const stop of this.#unwatch.splice(0)) stop()
    this.#resetTimer?.cancel()
    this.#overdue = 0
    const calls = [...this.#calls]
    this.#calls.clear()
    for (const call of calls) {
      call.timer?.cancel()
      const error = new NodeError(`node ${this.id}: connection lost before the reply: ${reason}`, this.id, { outcome: 'unknown' })
      if (!call.overdue) call.answered({ error, sent: true })
    }
    for (const { watcher } of this.#watches) watcher.lost(reason, false)
  }

  #reconnectLater(): void {
    const { time, client, server, outward, inward, random } = this.#parts
    const delayMs = RECONNECT_MS.least + random() * (RECONNECT_MS.most - RECONNECT_MS.least)
    time.schedule(delayMs, client, 'reconnect', () => {
      if (this.#closed || this.#connection !== undefined) return
      if (!server.up || outward.blocked || inward.blocked) {
        this.#reconnectLater()
        return
      }
      this.#connected()
      this.#emit('node:up', { node: this.id })
    })
  }

  #follow(watch: { readonly prefixes: readonly string[]; readonly watcher: Watcher }, connection: Connection): void {
    const { server, inward } = this.#parts
    const pushed: Watcher = {
      changed: (keys) =>
        inward.send(connection, () => {
          if (!connection.closed && this.#watches.has(watch)) watch.watcher.changed(keys)
        }),
      lost: () => {},
    }
    this.#unwatch.push(server.watch(watch.prefixes, pushed))
  }

  /** Why a call is not even sent. */
  #refusal(): RingtailError | undefined {
    if (this.#closed) return new ClosedError(`node ${this.id} is closed`)
    if (this.#connection === undefined) return this.#notConnected()
    return this.#overdue > 0
      ? new NodeError(`node ${this.id}: a reply is overdue, nothing more is sent until it comes`, this.id)
      : undefined
  }

  #notConnected(): NodeError {
    return new NodeError(`node ${this.id} is not connected`, this.id)
  }
}

function copied(change: Change): Change {
  return change.op === 'put' || change.op === 'set' ? { ...change, bytes: change.bytes.slice() } : { ...change }
}
