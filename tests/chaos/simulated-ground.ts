/**
 * The ground of a row in virtual time: the nodes, spares, shards and disks of `ground.ts`, as the simulation has them.
 *
 * Every client has connections of its own to each node, as through a door of a proxy, and a store over all shards. What is asked of the shards is
 * counted by key: in virtual time nothing of that is the machine's doing.
 */
import type { TierOptions } from '../../src/index.ts'
import type { CacheNode } from '../../src/node/node.ts'
import { type MemoryStore, memoryStore } from '../../src/store/memory-store.ts'
import { shardedStore } from '../../src/store/sharded-store.ts'
import type { Store } from '../../src/store/store.ts'
import type { Operation } from '../../src/testing/index.ts'
import { Direction, type NetworkConditions } from '../simulation/network.ts'
import { streamOf } from '../simulation/plan.ts'
import { SimDisk } from '../simulation/sim-disk.ts'
import { SimNode } from '../simulation/sim-node.ts'
import { SimServer } from '../simulation/sim-server.ts'
import { SimStore, type StoreConditions } from '../simulation/sim-store.ts'
import { Trace } from '../simulation/trace.ts'
import { ProcessClock, VirtualTime } from '../simulation/virtual-time.ts'
import { allKeys, DATABASE_PROCESS, type Held, PAD, SHARDS } from './database.ts'
import { NODES, SPARES } from './ground.ts'

const NETWORK: NetworkConditions = { meanMs: 0.3, spikesPerMille: 2, spikeMs: 30, lossesPerMille: 0 }
/** Either way to a shard, at least and the mean above it, ms. */
const LEAST_STORE_MS = 0.2
const USUAL_STORE_MS = 1
const STEP_MS = 5
const HINTS = 'rt:!hints:'

/** What stands between the code and the simulation, for a test that is to find it. */
export interface SimulatedMistake {
  /** Between a server and its state. Must act before it returns. */
  readonly server?: (engine: CacheNode) => CacheNode
  /** Between a client and a node. */
  readonly node?: (node: CacheNode, client: string) => CacheNode
  /** Of every tier. */
  readonly tier?: Partial<TierOptions>
  /** Once a process was killed, before it has a successor. */
  readonly killed?: (ground: SimulatedGround, process: number) => void
}

export class SimulatedGround {
  readonly time = new VirtualTime(new Trace())
  readonly mistake: SimulatedMistake
  readonly #seed: number
  readonly #servers: ReadonlyMap<string, SimServer>
  readonly #databases: readonly MemoryStore<Held>[]
  readonly #conditions: StoreConditions = {
    leastMs: LEAST_STORE_MS,
    meanMs: USUAL_STORE_MS,
    unansweredPercent: 0,
    refusedPercent: 0,
    slowPercent: 0,
  }
  readonly #lines: { readonly server: string; readonly client: string; readonly node: SimNode }[] = []
  readonly #disks = new Map<number, SimDisk>()
  readonly #saw = new Map<string, number>()
  /** Of each key, how often it was asked of a shard since the fault began. */
  readonly #asked = new Map<string, number>()
  /** What may never happen on a node. */
  readonly broken: string[] = []
  #repeating = false

  constructor(seed: number, mistake: SimulatedMistake = {}) {
    this.#seed = seed
    this.mistake = mistake
    this.#servers = new Map([...NODES, ...SPARES].map(({ id, zone }) => [id, this.#server(id, zone)]))
    const clock = new ProcessClock(this.time, 'store', 0, 0)
    this.#databases = SHARDS.map((name) => memoryStore<Held>({ name, clock }))
  }

  /** Of the nodes that are in the ring at first. */
  get servers(): readonly SimServer[] {
    return NODES.map(({ id }) => this.server(id))
  }

  server(id: string): SimServer {
    return this.#servers.get(id)!
  }

  get saw(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#saw)
  }

  get asked(): ReadonlyMap<string, number> {
    return this.#asked
  }

  /** Of hints that a node keeps for one other, the most. */
  get hintsKept(): number {
    const kept = [...this.#servers.values()].flatMap((server) => server.entries().filter(({ key }) => key.startsWith(HINTS)))
    return Math.max(0, ...kept.map(({ bytes }) => (JSON.parse(Buffer.from(bytes).toString()) as unknown[]).length))
  }

  count(name: string, many: number): void {
    this.#saw.set(name, (this.#saw.get(name) ?? 0) + many)
  }

  countAskedAnew(): void {
    this.#asked.clear()
  }

  /** A new connection of a client to a node. */
  connection(client: string, id: string): CacheNode {
    const { time } = this
    const server = this.server(id)
    const line = `${client} ${id}`
    const node = new SimNode({
      ...{ client, server, time },
      outward: new Direction(time, id, 'request', streamOf(this.#seed, `out ${line}`), NETWORK),
      inward: new Direction(time, client, 'reply', streamOf(this.#seed, `in ${line}`), NETWORK),
      random: streamOf(this.#seed, `line ${line}`),
      sent: () => {},
      told: () => {},
      brought: () => {},
    })
    this.#lines.push({ server: id, client, node })
    return this.mistake.node?.(node, client) ?? node
  }

  /** Calls of a client that have no end yet. */
  pendingCalls(client: string): number {
    return this.#lines.reduce((sum, line) => sum + (line.client === client ? line.node.pendingCalls : 0), 0)
  }

  /** @param concurrency calls under way at once, a shard */
  store(client: string, concurrency: number): Store<Held> {
    const shards = this.#databases.map((database, nth) => {
      const random = streamOf(this.#seed, `store ${client} ${nth}`)
      const { time } = this
      const store = new SimStore<Held>({ time, client, random, database, conditions: this.#conditions, remembersRemovals: true })
      return { id: SHARDS[nth]!, store }
    })
    const store = shardedStore(shards, { concurrency })
    const load: Store<Held>['load'] = (keys, call) => {
      for (const key of keys) this.#asked.set(key, (this.#asked.get(key) ?? 0) + 1)
      return store.load(keys, call)
    }
    return { ...store, load }
  }

  /** Every statement takes so much longer, ms. */
  slowShards(latencyMs: number): void {
    this.#conditions.leastMs = LEAST_STORE_MS + latencyMs / 2
  }

  disk(process: number): SimDisk {
    const disk = this.#disks.get(process) ?? new SimDisk({ time: this.time, random: streamOf(this.#seed, `disk ${process}`) })
    this.#disks.set(process, disk)
    return disk
  }

  /** The disk is another from now on, with nothing on it. */
  loseDisk(process: number): void {
    this.#disks.delete(process)
  }

  killNode(id: string): void {
    this.server(id).crash()
    for (const { server, client, node } of this.#lines)
      if (server === id) this.time.schedule(0.2, client, 'reset', () => node.break('the server went away'))
  }

  /** Again and again, until `stopRepeating`. */
  repeat(everyMs: number, work: () => void): void {
    this.#repeating = true
    const again = (): void => {
      if (!this.#repeating) return
      work()
      this.time.schedule(everyMs, 'fault', 'again', again)
    }
    again()
  }

  stopRepeating(): void {
    this.#repeating = false
  }

  /** Lets time go on until it settles. @throws where it has not by then */
  async passing<T>(promise: Promise<T>, withinMs: number): Promise<T> {
    let isOver = false
    const over = (): void => {
      isOver = true
    }
    promise.then(over, over)
    const endMs = this.time.nowMs + withinMs
    while (!isOver && this.time.nowMs < endMs) await this.time.advance(STEP_MS)
    if (!isOver) throw new Error(`it has not ended within ${withinMs} ms`)
    return promise
  }

  /** Fills the shards. @returns the writes */
  async seed(): Promise<Operation[]> {
    const keys = allKeys()
    await shardedStore(this.#databases).save(keys.map((key, v) => ({ key, value: { k: key, v, pad: PAD }, floor: 0n })))
    const written = { process: DATABASE_PROCESS, kind: 'write', outcome: 'ok', callMs: this.time.nowMs, returnMs: this.time.nowMs } as const
    return keys.map((key, value) => ({ ...written, key, value }))
  }

  /** What the shards have now, as reads that may not be old at all. */
  async read(): Promise<Operation[]> {
    const keys = allKeys()
    const { rows } = await shardedStore(this.#databases).load(keys)
    const { nowMs } = this.time
    const read = { process: DATABASE_PROCESS, kind: 'read', level: 'database', boundMs: 0, outcome: 'ok' } as const
    return keys.map((key) => ({ ...read, key, value: rows.get(key)?.value.v, callMs: nowMs, returnMs: nowMs }))
  }

  #server(id: string, zone: string): SimServer {
    return new SimServer(id, zone, {
      time: this.time,
      clock: new ProcessClock(this.time, id, 0, 0),
      decorate: (engine) => this.mistake.server?.(engine) ?? engine,
      tell: () => {},
      violated: (rule, key, what) => void this.broken.push(`${rule} of ${key}: ${what}`),
    })
  }
}
