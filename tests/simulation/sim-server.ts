/**
 * A cache server in the simulation: the state of a production memory node, which judges as the Lua scripts do, behind crashes.
 *
 * A server that crashes loses what was on its way and, by how it comes back, nothing, everything, or everything since an older moment. Each
 * change is looked at from outside, before anybody hears of it: the order of a key's entries may only go forward while nothing was lost,
 * and that is checked here, at every step.
 */
import { isEnvelope, kindOf, leaseOf } from '../../src/codec/envelope.ts'
import { NodeError } from '../../src/errors.ts'
import { memoryNode } from '../../src/node/memory-node.ts'
import type {
  CacheNode,
  Change,
  LeaseAsk,
  Leased,
  LocalEntries,
  Script,
  ScriptArgument,
  ScriptReply,
  Status,
  Watcher,
} from '../../src/node/node.ts'
import type { Connection } from './network.ts'
import { describe, OwnerRecord } from './owner-record.ts'
import type { ProcessClock, VirtualTime } from './virtual-time.ts'

export type Request =
  | { readonly op: 'read'; readonly keys: readonly string[] }
  | { readonly op: 'change'; readonly changes: readonly Change[] }
  | { readonly op: 'lease'; readonly asks: readonly LeaseAsk[] }
  | { readonly op: 'time' }
  | { readonly op: 'script'; readonly script: Script; readonly keys: readonly string[]; readonly args: readonly ScriptArgument[] }
  | { readonly op: 'control'; readonly name: string }
  | { readonly op: 'set-control'; readonly name: string; readonly expected: Uint8Array | undefined; readonly next: Uint8Array }
  | { readonly op: 'keys'; readonly prefix: string }

export type Reply = readonly (Uint8Array | undefined | Status | Leased | number | boolean | string | ScriptReply)[]

/**
 * What a server answers an error to. `changes`: it is the replica of nobody (READONLY), and answers what only reads. `room`: it is full and may
 * not evict (OOM), so that what a newer entry would take the place of goes. `all`: it is busy with a script (BUSY), or not loaded yet (LOADING).
 */
export type Refusing = 'changes' | 'room' | 'all'

/** How a server that crashed comes back. */
export type Restart = 'intact' | 'empty' | 'stale'

export interface SnapshotEntry {
  readonly key: string
  readonly bytes: Uint8Array
  /** Infinity: none. */
  readonly expiresAtMs: number
}

export interface ServerParts {
  readonly time: VirtualTime
  readonly clock: ProcessClock
  /** A planted bug may stand between the server and its state. */
  readonly decorate: (engine: CacheNode) => CacheNode
  /** For the trace. */
  readonly tell: (key: string, what: () => string) => void
  /** Told of what may never happen. */
  readonly violated: (rule: 'backwards' | 'lease', key: string, what: string) => void
}

/** By their names: what a node is asked of hints. */
const READING_SCRIPTS = ['look-for-hints', 'list-hints']
/** What removes entries from a node that does not own them: see `topology/leftovers.ts`. */
const SWEEPING_SCRIPT = 'drop-but-pending'

export class SimServer {
  readonly id: string
  readonly zone: string
  readonly record: OwnerRecord
  readonly #parts: ServerParts
  readonly #connections = new Set<Connection>()
  readonly #watchers = new Set<{ readonly prefixes: readonly string[]; readonly watcher: Watcher }>()
  /** What lay under each key when it was last looked at. */
  readonly #looked = new Map<string, Uint8Array | undefined>()
  #engine: CacheNode
  #snapshot: readonly SnapshotEntry[] = []
  /** Keys that are nobody's entries: what the fleet notes on its nodes. */
  readonly #notes = new Set<string>()
  #runs = 1
  up = true
  refusing: Refusing | undefined

  constructor(id: string, zone: string, parts: ServerParts) {
    this.id = id
    this.zone = zone
    this.#parts = parts
    this.record = new OwnerRecord(() => parts.time.nowMs)
    this.#engine = this.#fresh()
  }

  /** Names the run of the server. */
  get incarnation(): string {
    return `${this.id} run ${this.#runs}`
  }

  connect(connection: Connection): void {
    this.#connections.add(connection)
  }

  disconnect(connection: Connection): void {
    this.#connections.delete(connection)
  }

  /** Carries a request out at once; `reply` hears of it before the next event. */
  execute(request: Request, reply: (reply: Reply) => void, refuse: (reason: string) => void): void {
    const refusal = this.#refusalOf(request)
    if (refusal !== undefined) {
      refuse(refusal)
      return
    }
    const engine = this.#engine
    const replied = (replies: Reply): void => {
      if (engine === this.#engine) reply(replies)
    }
    if (request.op === 'read') {
      void engine.getMany(request.keys).then((bytes) => replied(bytes.map((each) => each?.slice())))
    } else if (request.op === 'change') {
      const keys = request.changes.map(({ key }) => key)
      const tokens = this.#tokens(keys)
      const isFull = this.refusing === 'room'
      void engine.apply(request.changes).then((statuses) => {
        this.#checkFills(request.changes, statuses, tokens)
        replied(isFull ? statuses.map((status, at) => this.#withoutRoom(request.changes[at]!, status)) : statuses)
      })
      if (isFull) this.#dropNewer(request.changes)
      this.#look(keys, request.changes)
    } else if (request.op === 'time') {
      reply([this.#parts.clock.now()])
    } else if (request.op === 'script') {
      const isSweep = request.script.name === SWEEPING_SCRIPT
      if (!isSweep) for (const key of request.keys) this.#notes.add(key)
      void engine.run(request.script, request.keys, request.args).then((answer) => replied([answer]))
      if (isSweep) this.#swept(request.keys)
    } else if (request.op === 'control') {
      void engine.control.get(request.name).then((bytes) => replied([bytes?.slice()]))
    } else if (request.op === 'set-control') {
      this.#notes.add(`rt:!${request.name}`)
      void engine.control.compareAndSet(request.name, request.expected, request.next).then((isSet) => replied([isSet]))
    } else if (request.op === 'keys') {
      reply([...this.entries(), ...this.#noted()].map(({ key }) => key).filter((key) => key.startsWith(request.prefix)))
    } else {
      const tokens = this.#tokens(request.asks.map(({ key }) => key))
      void engine.lease(request.asks).then((answers) => {
        this.#checkLeases(request.asks, answers, tokens)
        replied(answers)
      })
      this.#look(
        request.asks.map(({ key }) => key),
        [],
      )
    }
  }

  /** What a sweep took is not lost: it was no owner's. */
  #swept(keys: readonly string[]): void {
    const gone: string[] = []
    this.#locally((entries) => {
      for (const key of keys) if (entries.get(key) === undefined) gone.push(key)
    })
    this.#forget(gone)
  }

  #refusalOf(request: Request): string | undefined {
    if (this.refusing === undefined) return undefined
    if (this.refusing === 'all') return 'BUSY somebody runs a script'
    if (['read', 'time', 'control', 'keys'].includes(request.op)) return undefined
    if (request.op === 'script' && READING_SCRIPTS.includes(request.script.name)) return undefined
    if (this.refusing === 'changes') return 'READONLY it is a replica'
    return request.op === 'change' ? undefined : 'OOM it has no room'
  }

  /** As the script does: what was newer than the key's entry has removed it, and is not there itself. */
  #dropNewer(changes: readonly Change[]): void {
    this.#locally((entries) => {
      for (const { key } of changes) {
        if (entries.get(key) === this.#looked.get(key)) continue
        entries.delete(key)
        this.record.lose(key)
      }
    })
  }

  #withoutRoom({ op }: Change, status: Status): Status {
    if (op === 'drop' || status.state !== 'applied') return status
    return { state: 'failed', error: new NodeError(`node ${this.id}: OOM it has no room`, this.id) }
  }

  watch(prefixes: readonly string[], watcher: Watcher): () => void {
    const watch = { prefixes, watcher }
    this.#watchers.add(watch)
    return () => this.#watchers.delete(watch)
  }

  crash(): void {
    this.up = false
    for (const connection of this.#connections) connection.severed = true
    this.#connections.clear()
    this.#watchers.clear()
  }

  restart(how: Restart): void {
    this.up = true
    this.#runs++
    if (how === 'intact') return
    const kept = how === 'stale' ? this.#snapshot : []
    this.#engine = this.#fresh()
    this.record.loseAll()
    const { nowMs } = this.#parts.time
    this.#locally((entries) => {
      for (const { key, bytes, expiresAtMs } of kept) {
        if (expiresAtMs <= nowMs) continue
        entries.set(key, bytes, expiresAtMs === Number.POSITIVE_INFINITY ? 0 : Math.max(1, Math.ceil(expiresAtMs - nowMs)))
      }
    })
    this.#look(
      kept.map(({ key }) => key).filter((key) => !this.#notes.has(key)),
      [],
    )
  }

  /** What a later `restart('stale')` comes back with. */
  save(): void {
    this.#snapshot = [...this.entries(), ...this.#noted()]
  }

  /** Removes entries as a server short of memory does; tombstones are no exception. @param chosen whether a key goes */
  evict(chosen: (key: string) => boolean): number {
    const gone = this.entries().filter(({ key }) => chosen(key))
    this.#locally((entries) => {
      for (const { key } of gone) entries.delete(key)
    })
    this.#forget(gone.map(({ key }) => key))
    return gone.length
  }

  /** Loses all it has, notes too, without a restart: FLUSHALL. */
  empty(): void {
    this.#engine = this.#fresh()
    this.#forget([...this.record.keys()])
  }

  /** What lay under the keys is gone, and that is no mistake. */
  #forget(keys: readonly string[]): void {
    for (const key of keys) {
      this.record.lose(key)
      this.#looked.delete(key)
    }
    this.#push(keys)
  }

  /** What is held now. */
  entries(): SnapshotEntry[] {
    return this.#held(this.record.keys())
  }

  #noted(): SnapshotEntry[] {
    return this.#held(this.#notes)
  }

  #held(keys: Iterable<string>): SnapshotEntry[] {
    const found: SnapshotEntry[] = []
    const { nowMs } = this.#parts.time
    this.#locally((entries) => {
      for (const key of keys) {
        const bytes = entries.get(key)
        const ttlMs = entries.ttlMs(key)
        if (bytes === undefined || ttlMs === undefined) continue
        found.push({ key, bytes: bytes.slice(), expiresAtMs: ttlMs === 0 ? Number.POSITIVE_INFINITY : nowMs + ttlMs })
      }
    })
    return found
  }

  /** What lies under a key; undefined: nothing, or only a lease. */
  held(key: string): Uint8Array | undefined {
    let held: Uint8Array | undefined
    this.#locally((entries) => {
      held = entries.get(key)
    })
    return held === undefined || (isEnvelope(held) && kindOf(held) === 'vacant') ? undefined : held
  }

  #fresh(): CacheNode {
    return this.#parts.decorate(memoryNode({ id: this.id, clock: this.#parts.clock }))
  }

  /** Compares what lies under the keys with what lay there. */
  #look(keys: readonly string[], changes: readonly Change[]): void {
    const changed: string[] = []
    this.#locally((entries) => {
      for (const key of keys) {
        const dropped = changes.some((change) => change.op === 'drop' && change.key === key)
        const bytes = entries.get(key)
        const wrong = this.record.see(key, bytes, entries.ttlMs(key), dropped)
        this.#parts.tell(key, () => `holds ${bytes === undefined ? 'nothing' : describe(bytes)}`)
        if (wrong !== undefined) this.#parts.violated('backwards', key, `${this.id}: ${wrong}`)
        // The state never changes bytes in place: other bytes are another object.
        if (this.#looked.get(key) !== bytes) changed.push(key)
        this.#looked.set(key, bytes)
      }
    })
    this.#push(changed)
  }

  /** Who has the lease of each key now; none where it has run out. */
  #tokens(keys: readonly string[]): Map<string, number> {
    const tokens = new Map<string, number>()
    const nowMs = this.#parts.clock.now()
    this.#locally((entries) => {
      for (const key of keys) {
        const bytes = entries.get(key)
        if (bytes === undefined || !isEnvelope(bytes)) continue
        const { token, until } = leaseOf(bytes)
        const isLive = ((until - nowMs) | 0) > 0
        if (token !== 0) tokens.set(key, isLive ? token : -token)
      }
    })
    return tokens
  }

  #checkFills(changes: readonly Change[], statuses: readonly Status[], tokens: ReadonlyMap<string, number>): void {
    for (const [at, change] of changes.entries()) {
      if (change.op !== 'put' || change.lease === undefined || statuses[at]!.state !== 'applied') continue
      const token = Math.abs(tokens.get(change.key) ?? 0)
      if (token !== change.lease)
        this.#parts.violated('lease', change.key, `${this.id}: took a fill of lease ${change.lease}, and held ${token}`)
    }
  }

  #checkLeases(asks: readonly LeaseAsk[], answers: readonly Leased[], tokens: ReadonlyMap<string, number>): void {
    for (const [at, ask] of asks.entries()) {
      const token = tokens.get(ask.key) ?? 0
      if (answers[at]!.state !== 'granted' || ask.force === true || token <= 0 || token === ask.token) continue
      this.#parts.violated('lease', ask.key, `${this.id}: leased to ${ask.token} what ${token} has`)
    }
  }

  /** Tells those who watch, once a request, as Redis does. */
  #push(changed: readonly string[]): void {
    if (changed.length === 0) return
    for (const { prefixes, watcher } of this.#watchers) {
      const keys = changed.filter((key) => prefixes.some((prefix) => key.startsWith(prefix)))
      if (keys.length > 0) watcher.changed(keys)
    }
  }

  /** A memory node runs a local script before `run` returns. */
  #locally(work: (entries: LocalEntries) => void): void {
    const script: Script = {
      name: 'look',
      lua: '',
      local: (entries) => {
        work(entries)
        return null
      },
    }
    void this.#engine.run(script, [], [])
  }
}
