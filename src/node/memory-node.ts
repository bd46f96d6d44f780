/**
 * A cache node inside the process: for tests, for development, and for a tier on one machine.
 *
 * It keeps every promise of the contract, so that what runs on it runs on a Redis node: versions, expiry, a bound in bytes with eviction of
 * what may be lost, watching, control records. It answers a `get` at once, before the call returns. Entries do not outlive the process.
 */
import { type Clock, systemClock } from '../clock.ts'
import { ClosedError, ConfigurationError, NodeError, UnsupportedError } from '../errors.ts'
import { knownOptions, wholeNumber } from '../options.ts'
import { BoundedEntries } from './bounded-entries.ts'
import { applyChange, type JudgedEntries } from './judge-change.ts'
import { grantLease } from './judge-lease.ts'
import type {
  CacheNode,
  Change,
  Control,
  LeaseAsk,
  Leased,
  LocalEntries,
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

export interface MemoryNodeOptions {
  readonly id: string
  readonly zone?: string
  /** Share of the keys, relative to the other nodes. Default 1. */
  readonly weight?: number
  /** What ketama hashes. Default: the id. */
  readonly label?: string
  /** Keys, values, and an eighth of both and 64 bytes an entry, at most: what they take in memory. Default 64 MiB. */
  readonly maxBytes?: number
  /** Default: the one given to `connect`, else the system's. */
  readonly clock?: Clock
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024

/**
 * A node in this process's memory.
 * @example memoryNode({ id: 'a', maxBytes: 16 * 1024 * 1024 })
 * @throws ConfigurationError on a wrong option
 */
export function memoryNode(options: MemoryNodeOptions): CacheNode {
  knownOptions(options, 'memoryNode', ['id', 'zone', 'weight', 'label', 'maxBytes', 'clock'])
  return new MemoryNode(options)
}

class MemoryNode implements CacheNode {
  readonly id: string
  readonly zone: string | undefined
  readonly weight: number
  readonly label: string
  readonly engine = 'memory'
  readonly control: Control
  readonly #entries: BoundedEntries
  readonly #judged: JudgedEntries
  readonly #watches = new Set<{ readonly prefixes: readonly string[]; readonly watcher: Watcher }>()
  readonly #clockGiven: boolean
  #clock: Clock
  #closed = false
  #hits = 0
  #misses = 0

  constructor(options: MemoryNodeOptions) {
    this.id = options.id
    if (typeof this.id !== 'string' || this.id === '') throw ConfigurationError.of('memoryNode: id', 'a name', options.id)
    const what = `node '${this.id}'`
    this.zone = options.zone
    this.weight = options.weight ?? 1
    if (!(this.weight > 0 && Number.isFinite(this.weight))) throw ConfigurationError.of(`${what}: weight`, 'a number > 0', options.weight)
    this.label = options.label ?? this.id
    this.#clockGiven = options.clock !== undefined
    this.#clock = options.clock ?? systemClock
    const maxBytes = wholeNumber(options.maxBytes ?? DEFAULT_MAX_BYTES, `${what}: maxBytes`, 1_024)
    this.#entries = new BoundedEntries(
      maxBytes,
      () => this.#clock.monotonic(),
      (key) => this.#changed(key),
    )
    this.#judged = this.#judgedEntries()
    this.control = {
      get: async (name) => this.#open().get(controlKey(name)),
      compareAndSet: async (name, expected, next) => this.#compareAndSetControl(controlKey(name), expected, next),
    }
  }

  async connect(parts: NodeParts = {}): Promise<void> {
    const entries = this.#open()
    if (!this.#clockGiven && entries.size === 0) this.#clock = parts.clock ?? this.#clock
  }

  get(key: string, receiver: Receiver): void {
    if (this.#closed) receiver.failed(this.#closedError(), this)
    else receiver.answered(this.#counted(this.#entries.get(key)), this)
  }

  async getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    const entries = this.#open()
    return keys.map((key) => this.#counted(entries.get(key)))
  }

  change(change: Change, receiver: StatusReceiver): void {
    receiver.settled(this.#applyOne(change), this)
  }

  async apply(changes: readonly Change[]): Promise<Status[]> {
    return changes.map((change) => this.#applyOne(change))
  }

  async lease(asks: readonly LeaseAsk[]): Promise<Leased[]> {
    return asks.map((ask) =>
      this.#closed ? { state: 'failed', error: this.#closedError() } : grantLease(this.#judged, ask, this.#clock.now(), this.id),
    )
  }

  async run(script: Script, keys: readonly string[], args: readonly ScriptArgument[]): Promise<ScriptReply> {
    this.#open()
    if (script.local === undefined) {
      throw new UnsupportedError(`node ${this.id}: needs a script with a local form, but got: ${script.name}, which has Lua alone`)
    }
    return script.local(this.#localEntries(), keys, args)
  }

  async watch(prefixes: readonly string[], watcher: Watcher): Promise<() => Promise<void>> {
    this.#open()
    const watch = { prefixes: [...prefixes], watcher }
    this.#watches.add(watch)
    return async () => void this.#watches.delete(watch)
  }

  async *scan(prefix: string, options: { batch?: number; signal?: AbortSignal } = {}): AsyncIterable<readonly string[]> {
    const size = wholeNumber(options.batch ?? 500, 'scan: batch', 1, 100_000)
    let batch: string[] = []
    // A Map may be changed while it is walked; what stays is met, once.
    for (const key of this.#open().keys()) {
      if (!key.startsWith(prefix) || this.#entries.peek(key) === undefined) continue
      batch.push(key)
      if (batch.length < size) continue
      options.signal?.throwIfAborted()
      yield batch
      this.#open()
      batch = []
    }
    options.signal?.throwIfAborted()
    if (batch.length > 0) yield batch
  }

  async stats(): Promise<NodeStats> {
    const { size, usedBytes, maxBytes, evicted, expired } = this.#open()
    const looked = { hits: this.#hits, misses: this.#misses, controlReads: 0, hintReads: 0 }
    return {
      engine: 'memory',
      engineVersion: process.version,
      entries: size,
      usedBytes,
      maxBytes,
      evicted,
      expired,
      ...looked,
      connections: 0,
    }
  }

  async ping(): Promise<Pong> {
    this.#open()
    return { rttMs: 0, timeMs: this.#clock.now() }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#watches.clear()
    for (const key of [...this.#entries.keys()]) this.#entries.delete(key)
  }

  #applyOne(change: Change): Status {
    if (this.#closed) return { state: 'failed', error: this.#closedError() }
    return applyChange(this.#judged, change, this.#clock.now(), this.id)
  }

  #counted(held: Uint8Array | undefined): Uint8Array | undefined {
    if (held === undefined) this.#misses++
    else this.#hits++
    return held
  }

  #compareAndSetControl(key: string, expected: Uint8Array | undefined, next: Uint8Array): boolean {
    const held = this.#open().peek(key)
    const same = held === undefined || expected === undefined ? held === expected : Buffer.compare(held, expected) === 0
    if (!same) return false
    if (!this.#entries.set(key, next, 0)) throw this.#fullError()
    this.#changed(key)
    return true
  }

  #judgedEntries(): JudgedEntries {
    const entries = this.#entries
    return {
      peek: (key) => this.#counted(entries.peek(key)),
      ttlMs: (key) => entries.ttlMs(key),
      store: (key, bytes, ttlMs) => {
        const stored = entries.set(key, bytes, ttlMs)
        this.#changed(key)
        return stored
      },
      rewrite: (key, bytes) => {
        entries.rewrite(key, bytes)
        this.#changed(key)
        return true
      },
      prolong: (key, ttlMs) => entries.prolong(key, ttlMs),
      remove: (key) => {
        if (entries.delete(key)) this.#changed(key)
      },
    }
  }

  #localEntries(): LocalEntries {
    const entries = this.#entries
    return {
      get: (key) => entries.get(key),
      ttlMs: (key) => entries.ttlMs(key),
      set: (key, bytes, ttlMs) => {
        const stored = entries.set(key, bytes, ttlMs)
        this.#changed(key)
        if (!stored) throw this.#fullError()
      },
      delete: (key) => {
        const deleted = entries.delete(key)
        if (deleted) this.#changed(key)
        return deleted
      },
    }
  }

  #changed(key: string): void {
    for (const { prefixes, watcher } of this.#watches) {
      // On a later turn, as from a server: a watcher never runs inside of the change that it is told of.
      if (prefixes.some((prefix) => key.startsWith(prefix))) queueMicrotask(() => watcher.changed([key]))
    }
  }

  #open(): BoundedEntries {
    if (this.#closed) throw this.#closedError()
    return this.#entries
  }

  #closedError(): ClosedError {
    return new ClosedError(`node ${this.id} is closed`)
  }

  #fullError(): NodeError {
    return new NodeError(
      `node ${this.id}: no room within ${this.#entries.maxBytes} bytes, and nothing is held under the key any more`,
      this.id,
    )
  }
}

function controlKey(name: string): string {
  return `rt:!${name}`
}
