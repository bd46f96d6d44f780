/**
 * Processes over nodes that go away, come back empty or with what they had once, for what hints and catching up promise.
 *
 * Nodes are memory nodes, each behind a flaky one; a process has a cluster, hints and a catch-up of its own over them, and says of which nodes it
 * would read. Key `rt:t:<n>` lies on the nodes n, n+1 and n+2 of five. Time is the fake clock's.
 */
import { CatchUp } from '../../src/cluster/catch-up.ts'
import { Hints } from '../../src/cluster/hints.ts'
import { LiveRing } from '../../src/cluster/live-ring.ts'
import { RingCluster } from '../../src/cluster/ring-cluster.ts'
import type { EventName, TierEvents } from '../../src/events.ts'
import { memoryNode } from '../../src/node/memory-node.ts'
import type { CacheNode, Standing } from '../../src/node/node.ts'
import type { Ring } from '../../src/ring/ring.ts'
import { FakeClock } from '../../src/testing/fake-clock.ts'
import { type FlakyNode, flakyNode } from '../../src/testing/flaky-node.ts'
import { seededRandom } from '../../src/testing/seeded-random.ts'

const IDS = ['n0', 'n1', 'n2', 'n3', 'n4']
export const REPLICAS = 3

/** A server that can be started anew. */
export class Restartable {
  readonly id: string
  readonly node: FlakyNode
  readonly #clock: FakeClock
  #inner: CacheNode
  #runs = 1

  constructor(id: string, clock: FakeClock) {
    this.id = id
    this.#clock = clock
    this.#inner = memoryNode({ id, clock })
    this.node = flakyNode(this.#facade(), { clock })
  }

  get incarnation(): string {
    return `${this.id} run ${this.#runs}`
  }

  /** What lies there, past all mishaps. */
  async bytes(key: string): Promise<Uint8Array | undefined> {
    const [bytes] = await this.#inner.getMany([key])
    return bytes
  }

  /** @param keys what it still has; all else is gone */
  async restart(keys: ReadonlyMap<string, Uint8Array> = new Map()): Promise<void> {
    this.#runs++
    this.#inner = await this.#filled(keys)
  }

  /** Somebody empties it, in the same run. */
  async flush(): Promise<void> {
    this.#inner = await this.#filled(new Map())
  }

  /** What it would come back with after a restart. */
  async snapshot(): Promise<ReadonlyMap<string, Uint8Array>> {
    const held = new Map<string, Uint8Array>()
    for await (const keys of this.#inner.scan('')) {
      const bytes = await this.#inner.getMany(keys)
      for (const [at, key] of keys.entries()) held.set(key, Buffer.from(bytes[at]!))
    }
    return held
  }

  async #filled(keys: ReadonlyMap<string, Uint8Array>): Promise<CacheNode> {
    const inner = memoryNode({ id: this.id, clock: this.#clock })
    await inner.apply(Array.from(keys, ([key, bytes]) => ({ op: 'set', key, bytes, ttlMs: 0 })))
    return inner
  }

  /** The node that now is, under one name. */
  #facade(): CacheNode {
    return new Proxy(this.#inner, {
      get: (_, name) => {
        if (name === 'incarnation') return this.incarnation
        const inner = this.#inner
        const value: unknown = Reflect.get(inner, name, inner)
        return typeof value === 'function' ? value.bind(inner) : value
      },
    })
  }
}

export class HintingFleet {
  readonly clock = new FakeClock()
  readonly servers: readonly Restartable[] = IDS.map((id) => new Restartable(id, this.clock))
  readonly processes: HintingProcess[] = []

  server(nth: number): Restartable {
    return this.servers[nth]!
  }

  /** A process more, which has looked at its nodes. */
  async process(options: HintingProcessOptions = {}): Promise<HintingProcess> {
    const process = new HintingProcess(this, this.processes.length + 1, options)
    this.processes.push(process)
    const starting = process.catchUp.start()
    await this.pass(1)
    await starting
    return process
  }

  /** Lets time pass, and what happens in it. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms)
    await this.clock.settle()
  }

  async stop(): Promise<void> {
    for (const { catchUp } of this.processes) catchUp.stop()
    for (const { node } of this.servers) node.mishaps.close()
  }
}

interface Held extends Standing {
  avoided: boolean
  down: boolean
  looksDead: boolean
  behind: boolean
  emptiedMs: number
}

export interface HintingProcessOptions {
  /** Whether what no owner took stands all the same. Default true. */
  readonly stands?: boolean
}

export class HintingProcess {
  readonly ring: LiveRing
  readonly cluster: RingCluster
  readonly catchUp: CatchUp
  readonly hints: Hints
  readonly told: { name: EventName; payload: TierEvents[EventName] }[] = []
  readonly #standings = new Map<string, Held>()

  readonly #nodes: readonly CacheNode[]

  constructor({ clock, servers }: HintingFleet, seed: number, { stands = true }: HintingProcessOptions) {
    const emit = <K extends EventName>(name: K, payload: TierEvents[K]) => void this.told.push({ name, payload })
    const nodes = servers.map((server) => this.#watched(server))
    this.hints = new Hints({ clock, emit })
    this.#nodes = nodes
    this.ring = new LiveRing(this.#ringOf((nth) => Array.from({ length: REPLICAS }, (_, at) => (nth + at) % nodes.length)))
    this.cluster = new RingCluster(this.ring, {
      clock,
      emit,
      probeEvery: 0,
      hints: this.hints,
      stands,
      isUninformed: () => this.catchUp.isUninformed,
    })
    this.catchUp = new CatchUp(nodes, {
      clock,
      random: seededRandom(seed),
      emit,
      hints: this.hints,
      replicas: REPLICAS,
      mark: (node, mark) => {
        const standing = this.#standings.get(node)!
        standing.avoided = mark !== undefined
        standing.behind = mark === 'behind'
      },
      fill: (node, emptiedMs) => {
        this.#standings.get(node)!.emptiedMs = emptiedMs
      },
    })
  }

  /** From now on keys lie elsewhere. @param placesOf the positions of the owners of key `rt:t:<nth>` */
  turn(placesOf: (nth: number) => readonly number[]): void {
    this.ring.turn(this.#ringOf(placesOf), undefined)
  }

  /** One more node, which is in no ring yet. */
  add(server: Restartable): void {
    this.catchUp.add(this.#watched(server))
  }

  #ringOf(placesOf: (nth: number) => readonly number[]): Ring<CacheNode> {
    const ownersOf = (key: string) => placesOf(Number(key.slice('rt:t:'.length))).map((place) => this.#nodes[place]!)
    return { members: this.#nodes, replicas: placesOf(0).length, ownersOf }
  }

  #watched({ id, node }: Restartable): CacheNode {
    const standing: Held = {
      avoided: false,
      down: false,
      looksDead: false,
      behind: false,
      emptiedMs: 0,
      share: 1,
      takesRead: () => true,
      get steered() {
        return this.avoided
      },
    }
    this.#standings.set(id, standing)
    return new Proxy(node, {
      get: (_, name) => {
        if (name === 'standing') return standing
        const value: unknown = Reflect.get(node, name, node)
        return typeof value === 'function' ? value.bind(node) : value
      },
    })
  }

  /** As whoever watches nodes does when one looks dead, and most do. */
  lose(node: string): void {
    Object.assign(this.#standings.get(node)!, { looksDead: true })
  }

  /** As whoever watches nodes does with one that may have missed changes. @param behind it is known to have */
  avoid(node: string, behind: boolean): void {
    Object.assign(this.#standings.get(node)!, { avoided: true, behind })
  }

  /** As whoever watches nodes does when one that looked dead answers. */
  found(node: string): void {
    this.#standings.get(node)!.avoided = true
    this.catchUp.doubt(node)
  }

  /** Whether reads ask the node but where all owners are so. */
  knowsBehind(node: string): boolean {
    return this.#standings.get(node)!.behind
  }

  /** Whether reads ask the node before others. */
  trusts(node: string): boolean {
    return !this.#standings.get(node)!.avoided
  }

  names(): readonly EventName[] {
    return this.told.map(({ name }) => name)
  }
}
