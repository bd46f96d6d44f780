/**
 * A cache node that is a Redis or Valkey server (Redis ≥ 6.2), connected to by ioredis 6.
 *
 * The node is a name for whatever server stands behind it: calls pick one of its connections, each with its own batcher
 * (`redis-connection.ts`), and fail at once when there is none. It keeps connecting for as long as it lives, tells when it comes and goes,
 * and looks over the server's settings when it meets it. Everything it does is bounded: a try by `timeout`, a queue by `batch.maxQueue`.
 */
import { type Clock, type Random, systemClock, systemRandom } from '../clock.ts'
import { ClosedError, ConfigurationError, NodeError } from '../errors.ts'
import { type Emit, noEmit } from '../events.ts'
import { type Duration, durationMs, knownOptions, wholeNumber } from '../options.ts'
import type { TellQueue } from '../queues.ts'
import { type BatchLimits, batchLimits } from './batch-limits.ts'
import { chosen, chosenFor, chosenForAll } from './connection-choice.ts'
import { ChangeCall, EachCall, GetManyCall } from './many-calls.ts'
import type {
  CacheNode,
  Change,
  Control,
  LeaseAsk,
  Leased,
  NodeCall,
  NodeIdentity,
  NodeObserver,
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
} from './node.ts'
import { type Credentials, type Lookup, type RedisAddress, type RedisTarget, redisAddress, systemLookup, urlOf } from './redis-address.ts'
import { loadClient } from './redis-client.ts'
import { RedisConnection } from './redis-connection.ts'
import { type Info, parseInfo, SettingsJudge, statsOf } from './redis-info.ts'
import { asBuffer, scriptReply, unanswered } from './redis-reply.ts'
import { RedisWatch } from './redis-watch.ts'
import type { Argument } from './resp-writer.ts'
import { compareAndSetControlScript, scriptSource } from './script-source.ts'
import { Traffic } from './traffic.ts'

export interface RedisNodeOptions extends Credentials {
  /** Who the node is, whatever its address: keys follow it. Default: `host:port` as they were given. */
  readonly id?: string
  readonly zone?: string
  /** Share of the keys, relative to the other nodes. Default 1. */
  readonly weight?: number
  /** What ketama hashes. Default: the id. */
  readonly label?: string
  /** Connections for calls, each with its own batches. Default 2: while the server answers one, this process is busy with the other. */
  readonly connections?: number
  /** Bound of one try of one call. Default '50ms'. */
  readonly timeout?: Duration
  /** Bound of making one connection, and of `connect()`. Default '1s'. */
  readonly connectTimeout?: Duration
  readonly batch?: Partial<BatchLimits>
  /** Finds the addresses of the host's name, anew on each connection. Default: the system's resolver. */
  readonly lookup?: Lookup
}

const KNOWN = [
  'id',
  'zone',
  'weight',
  'label',
  'connections',
  'timeout',
  'connectTimeout',
  'batch',
  'lookup',
  'username',
  'password',
  'tls',
]

/**
 * A node on a Redis or Valkey server. Nothing is connected before `connect()`, which a tier calls.
 *
 * @param target `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS (`valkey://`, `valkeys://` too), or `{ host, port }`
 * @example redisNode('rediss://app:secret@cache-1.example', { id: 'cache-1', zone: 'a' })
 * @throws ConfigurationError on a wrong target or option
 */
export function redisNode(target: string | RedisTarget, options: RedisNodeOptions = {}): CacheNode {
  knownOptions(options, 'redisNode', KNOWN)
  return new RedisNode(redisAddress(target, options), options)
}

/** See `connection-choice.ts`. */
const CONNECTIONS = 2
/** Bound of one step of a scan: off the hot path, and longer than a try of it. */
const SCAN_CALL: NodeCall = { timeoutMs: 1_000 }

class RedisNode implements CacheNode {
  readonly id: string
  readonly zone: string | undefined
  readonly weight: number
  readonly label: string
  readonly engine = 'redis'
  readonly url: string
  readonly control: Control
  readonly #options: RedisNodeOptions
  readonly #address: RedisAddress
  readonly #timeoutMs: number
  readonly #connectTimeoutMs: number
  readonly #poolSize: number
  readonly #limits: BatchLimits
  readonly #lookup: Lookup
  #clock: Clock = systemClock
  #random: Random = systemRandom
  #emit: Emit = noEmit
  #connections: RedisConnection[] = []
  readonly #traffic = new Traffic()
  readonly #watches = new Set<RedisWatch>()
  #state: 'new' | 'connecting' | 'up' | 'down' | 'closed' = 'new'
  #awaitingUp: (() => void)[] = []
  #lastFailure: NodeError | undefined
  readonly #settings: SettingsJudge
  #incarnation: string | undefined

  constructor(address: RedisAddress, options: RedisNodeOptions) {
    this.#address = address
    this.#options = options
    this.url = urlOf(address)
    this.id = options.id ?? `${address.host}:${address.port}`
    if (typeof this.id !== 'string' || this.id === '') throw ConfigurationError.of('redisNode: id', 'a name', options.id)
    this.#settings = new SettingsJudge(this.id)
    const what = `node '${this.id}'`
    this.zone = options.zone
    this.weight = options.weight ?? 1
    if (!(this.weight > 0 && Number.isFinite(this.weight))) throw ConfigurationError.of(`${what}: weight`, 'a number > 0', options.weight)
    this.label = options.label ?? this.id
    this.#timeoutMs = atLeastOne(options.timeout ?? '50ms', `${what}: timeout`)
    this.#connectTimeoutMs = atLeastOne(options.connectTimeout ?? '1s', `${what}: connectTimeout`)
    this.#poolSize = wholeNumber(options.connections ?? CONNECTIONS, `${what}: connections`, 1, 64)
    this.#limits = batchLimits(options.batch ?? {}, what)
    this.#lookup = options.lookup ?? systemLookup
    this.control = {
      get: (name, call) => this.#controlGet(name, call),
      compareAndSet: (name, expected, next, call) => this.#controlCompareAndSet(name, expected, next, call),
    }
  }

  another(url: string, { id, zone, weight, label }: NodeIdentity): CacheNode {
    const { username, password, tls } = this.#address
    const options = { ...this.#options, username, password, tls, id, weight, label, ...(zone !== undefined && { zone }) }
    return redisNode(url, options)
  }

  async connect(parts: NodeParts = {}): Promise<void> {
    if (this.#isClosed()) throw this.#closedError()
    if (this.#state === 'new') {
      this.#clock = parts.clock ?? this.#clock
      this.#random = parts.random ?? this.#random
      this.#emit = parts.emit ?? this.#emit
      await loadClient()
      if (this.#state === 'new') this.#open()
    }
    if (this.#isClosed()) throw this.#closedError()
    await this.#firstUp()
  }

  get incarnation(): string | undefined {
    return this.#incarnation
  }

  get load(): number {
    let load = 0
    for (const connection of this.#connections) load += connection.load
    return load
  }

  tellQueues(tell: TellQueue): void {
    for (const connection of this.#connections) connection.tellQueues(tell)
  }

  observe(observer: NodeObserver): () => void {
    return this.#traffic.add(observer)
  }

  get(key: string, receiver: Receiver, call?: NodeCall): void {
    const connection = chosen(this.#connections)
    if (connection === undefined) receiver.failed(this.#notConnected(), this)
    else connection.get(key, receiver, 0, call?.timeoutMs)
  }

  getMany(keys: readonly string[], call?: NodeCall): Promise<(Uint8Array | undefined)[]> {
    const many = new GetManyCall(keys.length, call?.late)
    const connection = chosen(this.#connections)
    if (connection === undefined) many.failed(this.#notConnected())
    else for (let i = 0; i < keys.length; i++) connection.get(keys[i]!, many, i, call?.timeoutMs)
    return many.promise
  }

  change(change: Change, receiver: StatusReceiver, call?: NodeCall): void {
    const connection = chosenFor(this.#connections, change)
    if (connection === undefined) receiver.settled({ state: 'failed', error: this.#notConnected() }, this)
    else connection.change(change, new ChangeCall(receiver), 0, call?.timeoutMs)
  }

  apply(changes: readonly Change[], call?: NodeCall): Promise<Status[]> {
    const applying = new EachCall<Status>(changes.length, unanswered)
    const connection = chosenForAll(this.#connections, changes)
    for (let i = 0; i < changes.length; i++) {
      if (connection === undefined) applying.failed(this.#notConnected(), this, i, false)
      else connection.change(changes[i]!, applying, i, call?.timeoutMs)
    }
    return applying.promise
  }

  lease(asks: readonly LeaseAsk[], call?: NodeCall): Promise<Leased[]> {
    const leasing = new EachCall<Leased>(asks.length, unanswered)
    const connection = chosen(this.#connections)
    for (let i = 0; i < asks.length; i++) {
      if (connection === undefined) leasing.failed(this.#notConnected(), this, i, false)
      else connection.lease(asks[i]!, leasing, i, call?.timeoutMs)
    }
    return leasing.promise
  }

  async run(script: Script, keys: readonly string[], args: readonly ScriptArgument[], call?: NodeCall): Promise<ScriptReply> {
    const given = args.map((arg): Argument => (arg instanceof Uint8Array ? asBuffer(arg) : arg))
    return scriptReply(await this.#needed().run(scriptSource(script.lua), keys, given, call?.timeoutMs))
  }

  async watch(prefixes: readonly string[], watcher: Watcher): Promise<() => Promise<void>> {
    if (this.#state === 'new') throw this.#notConnected()
    if (this.#state === 'closed') throw this.#closedError()
    const watch = new RedisWatch({ ...this.#linkOptions(), prefixes, watcher })
    this.#watches.add(watch)
    const stop = async (): Promise<void> => {
      this.#watches.delete(watch)
      await watch.close()
    }
    try {
      await watch.open()
    } catch (thrown) {
      await stop()
      throw thrown
    }
    return stop
  }

  async *scan(prefix: string, options: { batch?: number; signal?: AbortSignal } = {}): AsyncIterable<readonly string[]> {
    const count = wholeNumber(options.batch ?? 500, 'scan: batch', 1, 100_000)
    let cursor = '0'
    do {
      options.signal?.throwIfAborted()
      const reply = await this.#command('SCAN', [cursor, 'MATCH', `${escapeGlob(prefix)}*`, 'COUNT', count], SCAN_CALL)
      const [next, keys] = reply as [Buffer, Buffer[]]
      cursor = String(next)
      // None of a step's keys may begin with the prefix; it is the caller's to say when the next is asked for.
      yield keys.map((key) => key.toString())
    } while (cursor !== '0')
  }

  async stats(call?: NodeCall): Promise<NodeStats> {
    const [info, entries] = await Promise.all([this.#command('INFO', ['all'], call), this.#command('DBSIZE', [], call)])
    return statsOf(parseInfo(String(info)), Number(entries))
  }

  async ping(call?: NodeCall): Promise<Pong> {
    const sentMs = this.#clock.monotonic()
    const [seconds, microseconds] = (await this.#command('TIME', [], call)) as [Buffer, Buffer]
    return { rttMs: this.#clock.monotonic() - sentMs, timeMs: Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000) }
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    for (const resolve of this.#awaitingUp.splice(0)) resolve()
    await Promise.all([...this.#connections, ...this.#watches].map((each) => each.close()))
  }

  async #controlGet(name: string, call?: NodeCall): Promise<Uint8Array | undefined> {
    return ((await this.#command('GET', [controlKey(name)], call)) as Buffer | null) ?? undefined
  }

  async #controlCompareAndSet(name: string, expected: Uint8Array | undefined, next: Uint8Array, call?: NodeCall): Promise<boolean> {
    const args = [expected === undefined ? '0' : '1', asBuffer(expected ?? new Uint8Array()), asBuffer(next)]
    return (await this.#needed().run(compareAndSetControlScript(), [controlKey(name)], args, call?.timeoutMs)) === 1
  }

  async #command(name: string, args: readonly Argument[], call?: NodeCall): Promise<unknown> {
    return this.#needed().command(name, args, call?.timeoutMs)
  }

  #open(): void {
    this.#state = 'connecting'
    for (let i = 0; i < this.#poolSize; i++) {
      const connection: RedisConnection = new RedisConnection({
        ...this.#linkOptions(),
        node: this,
        timeoutMs: this.#timeoutMs,
        limits: this.#limits,
        observer: this.#traffic,
        onInfo: (info) => this.#judge(parseInfo(info)),
        onStalled: () => this.#doubtOthers(connection),
        onUp: () => this.#onUp(),
        onLost: (error) => this.#onLost(error),
        onFailed: (error) => this.#onLost(error),
      })
      this.#connections.push(connection)
      connection.open()
    }
  }

  #linkOptions() {
    return {
      name: this.id,
      address: this.#address,
      lookup: this.#lookup,
      clock: this.#clock,
      random: this.#random,
      connectTimeoutMs: this.#connectTimeoutMs,
    }
  }

  /** Resolves when the node is up, rejects with the last failure when it is not so in time. */
  #firstUp(): Promise<void> {
    if (this.#state === 'up') return Promise.resolve()
    return new Promise((resolve, reject) => {
      const late = (): void => {
        const fallback = new NodeError(`node ${this.id}: not connected within ${this.#connectTimeoutMs} ms`, this.id)
        reject(this.#lastFailure ?? fallback)
      }
      const timer = this.#clock.after(this.#connectTimeoutMs, late, { keepAlive: true })
      this.#awaitingUp.push(() => {
        timer.cancel()
        if (this.#state === 'closed') reject(this.#closedError())
        else resolve()
      })
    })
  }

  /** Where one waits in vain, it may be the server: who goes on with another is not to wait there too. */
  #doubtOthers(stalled: RedisConnection): void {
    for (const other of this.#connections) if (other !== stalled) other.doubt()
  }

  #onUp(): void {
    const before = this.#state
    if (before === 'closed') return
    this.#state = 'up'
    if (before === 'down') this.#emit('node:up', { node: this.id })
    for (const resolve of this.#awaitingUp.splice(0)) resolve()
  }

  #onLost(error: NodeError): void {
    this.#lastFailure = error
    if (this.#state === 'closed' || this.#state === 'down' || this.#connections.some((connection) => connection.up)) return
    this.#state = 'down'
    this.#emit('node:down', { node: this.id, reason: error.message })
  }

  /** Looked at on each connection, before anything is read there. */
  #judge(info: Info): void {
    const before = this.#incarnation
    this.#incarnation = info.get('run_id') ?? before
    if (before !== undefined && this.#incarnation !== before) this.#emit('node:restarted', { node: this.id })
    this.#settings.judge(info, this.#emit)
  }

  #needed(): RedisConnection {
    const connection = chosen(this.#connections)
    if (connection === undefined) throw this.#notConnected()
    return connection
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  #notConnected(): NodeError | ClosedError {
    return this.#state === 'closed'
      ? this.#closedError()
      : new NodeError(`node ${this.id} is not connected: connect() comes first`, this.id)
  }

  #closedError(): ClosedError {
    return new ClosedError(`node ${this.id} is closed`)
  }
}

function controlKey(name: string): string {
  return `rt:!${name}`
}

/** `MATCH` takes a pattern; what is special in one stands for itself here. */
function escapeGlob(prefix: string): string {
  return prefix.replace(/[\\*?[\]]/g, '\\$&')
}

function atLeastOne(value: Duration, what: string): number {
  const ms = durationMs(value, what)
  if (ms === 0) throw ConfigurationError.of(what, 'a duration of at least 1 ms', value)
  return ms
}
