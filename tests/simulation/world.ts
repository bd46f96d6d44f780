/**
 * The fleet of one run: servers, the network, the databases, and clients that are production tiers.
 *
 * A client is what one service process would be: `createTier` over its own view of every server, with its own clock and chance, and all
 * caches of the table. Faults reach in through `FaultyWorld`; checks look on from outside.
 */
import type { Cache } from '../../src/caches/cache.ts'
import { createTier, type Tier } from '../../src/create-tier.ts'
import type { CacheNode } from '../../src/node/node.ts'
import { hashRing } from '../../src/ring/hash-ring.ts'
import type { Ring } from '../../src/ring/ring.ts'
import { memoryStore } from '../../src/store/memory-store.ts'
import type { Store } from '../../src/store/store.ts'
import { Checks, type Violation } from './checks.ts'
import type { FaultyWorld } from './faults.ts'
import { Direction, LONGEST_MESSAGE_MS, type NetworkConditions } from './network.ts'
import { CACHES, type CacheKind, type CacheName } from './operations.ts'
import { describe } from './owner-record.ts'
import { type Plan, streamOf } from './plan.ts'
import type { PlantedBug } from './planted-bugs.ts'
import { HEARTBEAT_MS, SimNode } from './sim-node.ts'
import { type Refusing, type Restart, SimServer } from './sim-server.ts'
import { SimStore, type StoreConditions } from './sim-store.ts'
import type { Trace } from './trace.ts'
import { Truth, type Value } from './truth.ts'
import { ProcessClock, VirtualTime } from './virtual-time.ts'

export const LOAD_MS = 1_000
export const CALL_MS = 250
/** So that each zone has an owner of each key. */
const ZONES = 3
/** By when every tier is open. */
const OPEN_MS = 1_500

/** Of the cache with a near cache. */
const NEAR_PREFIX = 'rt:near:'

interface Line {
  readonly node: SimNode
  readonly out: Direction
  readonly in: Direction
}

export interface Client {
  readonly name: string
  readonly clock: ProcessClock
  readonly lines: readonly Line[]
  readonly stores: ReadonlyMap<CacheName, Store<Value>>
  tier: Tier
  caches: ReadonlyMap<CacheName, Cache<Value>>
}

export class World implements FaultyWorld {
  readonly plan: Plan
  readonly time: VirtualTime
  readonly truth: Truth
  readonly checks: Checks
  readonly servers: readonly SimServer[]
  readonly violations: Violation[] = []
  readonly members: Client[] = []
  readonly #ring: Ring<SimServerMember>
  readonly #bug: PlantedBug | undefined
  readonly #databases = new Map<CacheName, Store<Value>>()
  readonly #network: NetworkConditions
  readonly #storeConditions: StoreConditions
  #mostAheadMs = 0
  #leastAheadMs = 0
  #pausedMs = 0
  #changesUnderWay = 0
  readonly #pauses: { readonly client: string; readonly untilMs: number; readonly forMs: number }[] = []

  /** Use `World.open`. */
  private constructor(plan: Plan, trace: Trace, bug: PlantedBug | undefined, placement: ReturnType<typeof hashRing>) {
    this.plan = plan
    this.#bug = bug
    this.time = new VirtualTime(trace)
    this.truth = new Truth(() => this.time.nowMs)
    this.servers = Array.from({ length: plan.nodes }, (_, at) => this.#server(at))
    this.#ring = placement.build(
      this.servers.map((server) => ({ id: server.id, weight: 1, zone: server.zone, server })),
      plan.replicas,
    )
    this.#network = { ...plan.network }
    this.#storeConditions = { meanMs: plan.storeMs, unansweredPercent: 0, refusedPercent: 0, slowPercent: 0 }
    this.checks = new Checks({
      nowMs: () => this.time.nowMs,
      truth: this.truth,
      bounds: {
        ttlMs: plan.ttlMs,
        graceMs: plan.graceMs,
        loadMs: LOAD_MS,
        callMs: CALL_MS,
        skewMs: () => this.#skewMs(),
        pausedMs: () => this.#pausedMs,
      },
      ownersOf: (key) => this.ownersOf(key),
      unheardMs: (client, key, sinceMs) => this.#unheardMs(client, key, sinceMs),
      violated: (violation) => this.#violated(violation),
    })
    for (const [name, kind] of Object.entries(CACHES) as [CacheName, CacheKind][]) {
      if (kind.versioned !== undefined) this.#databases.set(name, memoryStore<Value>({ name, versioned: kind.versioned }))
    }
  }

  static async open(plan: Plan, trace: Trace, bug?: PlantedBug): Promise<World> {
    const placement = hashRing()
    await placement.prepare()
    const world = new World(plan, trace, bug, placement)
    // Tiers ask their nodes for the time before they are open, so time has to pass.
    const opening = Promise.all(Array.from({ length: plan.clients }, (_, client) => world.#client(client)))
    await world.time.advance(OPEN_MS)
    world.members.push(...(await opening))
    return world
  }

  get clients(): number {
    return this.plan.clients
  }

  /** The servers that own a key as it lies on the nodes. */
  ownersOf(key: string): readonly SimServer[] {
    return this.#ring.ownersOf(key).map(({ server }) => server)
  }

  /** A cache's key as it lies on the nodes. */
  static wireKey(cache: CacheName, key: string): string {
    return `rt:${cache}:${key}`
  }

  keysOf(cache: CacheName): string[] {
    return Array.from({ length: this.plan.keys }, (_, at) => `${cache}${at}`)
  }

  block(client: number, node: number, way: 'out' | 'in'): void {
    const line = this.#line(client, node)
    line[way].block()
    line.node.fellSilent()
  }

  open(client: number, node: number, way: 'out' | 'in', delivers: boolean): void {
    const line = this.#line(client, node)
    if (!line[way].blocked) return
    line[way].open(delivers)
    if (!delivers) line.node.break('the connection was reset')
  }

  breakConnection(client: number, node: number): void {
    this.#line(client, node).node.break('the connection was reset')
  }

  crash(node: number): void {
    this.servers[node]!.crash()
    // A client that still hears of the node learns of it at once; the others when a reply is overdue.
    for (const { lines, name } of this.members) {
      const line = lines[node]!
      if (!line.in.blocked) this.time.schedule(0.2, name, 'reset', () => line.node.break('the server went away'))
    }
  }

  restart(node: number, how: Restart): void {
    if (!this.servers[node]!.up) this.servers[node]!.restart(how)
  }

  saveState(node: number): void {
    this.servers[node]!.save()
  }

  evict(node: number, share: number): void {
    const random = streamOf(this.plan.seed, `evict ${this.time.nowMs}`)
    this.servers[node]!.evict(() => random() < share)
  }

  refuse(node: number, what: Refusing | undefined): void {
    this.servers[node]!.refusing = what
  }

  pauseNode(node: number, forMs: number): void {
    this.time.pause(this.servers[node]!.id, forMs)
  }

  pauseClient(client: number, forMs: number): void {
    const { name } = this.members[client]!
    this.#pausedMs += forMs
    this.#pauses.push({ client: name, untilMs: this.time.nowMs + forMs, forMs })
    this.time.pause(name, forMs)
  }

  jumpWall(client: number, byMs: number): void {
    this.#skewMs()
    this.members[client]!.clock.jumpWall(byMs)
    this.#skewMs()
  }

  worsenStore(unansweredPercent: number, refusedPercent: number, slowPercent: number): void {
    Object.assign(this.#storeConditions, { unansweredPercent, refusedPercent, slowPercent })
  }

  slowStore(meanMs: number | undefined): void {
    this.#storeConditions.meanMs = meanMs ?? this.plan.storeMs
  }

  /** Everything whole again, as far as it can be: what was lost stays lost. */
  heal(): void {
    this.worsenStore(0, 0, 0)
    this.#storeConditions.meanMs = 0.5
    Object.assign(this.#network, { spikesPerMille: 0, lossesPerMille: 0 })
    for (let node = 0; node < this.plan.nodes; node++) {
      this.refuse(node, undefined)
      this.restart(node, 'intact')
      for (let client = 0; client < this.clients; client++) {
        this.open(client, node, 'out', true)
        this.open(client, node, 'in', true)
      }
    }
  }

  /** Until no change is on its way to an owner: one that others have already is no sign that they stay apart. */
  async quiet(): Promise<void> {
    for (let ms = 0; this.#changesUnderWay > 0 && ms < CALL_MS; ms++) await this.time.advance(1)
  }

  /** A session's token as another process gets it. */
  handedOn(token: string): string {
    return this.#bug?.token?.(token) ?? token
  }

  tell(who: string, key: string, what: () => string): void {
    this.time.trace.tell(this.time.nowMs, who, key, what)
  }

  #violated(violation: Violation): void {
    this.violations.push(violation)
    this.tell('check', violation.key, () => `VIOLATED ${violation.rule}: ${violation.what}`)
  }

  #server(at: number): SimServer {
    const id = `n${at}`
    return new SimServer(id, zoneOf(at), {
      time: this.time,
      clock: new ProcessClock(this.time, id, 0, 0),
      decorate: (engine) => this.#bug?.server?.(engine) ?? engine,
      tell: (key, what) => this.tell(id, key, what),
      violated: (rule, key, what) => this.#violated({ rule, atMs: this.time.nowMs, key, what }),
    })
  }

  async #client(at: number): Promise<Client> {
    const { seed, skews, ttlMs, graceMs, replicas } = this.plan
    const name = `c${at}`
    const clock = new ProcessClock(this.time, name, skews[at]!.skewMs, skews[at]!.drift)
    const lines = this.servers.map((server) => this.#wire(name, server))
    const stores = new Map([...this.#databases].map(([cache, database]) => [cache, this.#store(name, cache, database)]))
    const tools = { time: this.time, client: name, ownersOf: (key: string) => this.ownersOf(key).map((owner) => owner.id) }
    const bare: CacheNode[] = lines.map(({ node }) => node)
    const nodes = bare.map((node) => this.#bug?.client?.(node, { ...tools, nodes: bare }) ?? node)
    const tier = await createTier({ nodes, replicas, zone: zoneOf(at), clock, random: streamOf(seed, `tier ${name}`) })
    const caches = new Map<CacheName, Cache<Value>>()
    for (const [cache, kind] of Object.entries(CACHES) as [CacheName, CacheKind][]) {
      caches.set(
        cache,
        tier.cache<Value>(cache, { ...optionsOf(kind), strategy: kind.strategy(stores.get(cache)!), ttl: ttlMs, grace: graceMs }),
      )
    }
    return { name, clock, lines, stores, tier, caches }
  }

  #wire(client: string, server: SimServer): Line {
    const { seed } = this.plan
    const { time } = this
    const line = `${client} ${server.id}`
    const outward = new Direction(time, server.id, 'request', streamOf(seed, `out ${line}`), this.#network)
    const inward = new Direction(time, client, 'reply', streamOf(seed, `in ${line}`), this.#network)
    const node = new SimNode({
      client,
      server,
      time,
      outward,
      inward,
      random: streamOf(seed, `line ${line}`),
      sent: (id, change) => {
        this.#changesUnderWay++
        this.checks.sent(client, change)
        this.tell(client, change.key, () => `→ ${id} ${change.op} ${'bytes' in change ? describe(change.bytes) : ''}`)
      },
      told: (id, change, status) => {
        this.#changesUnderWay--
        this.checks.told(client, id, change, status)
        this.tell(client, change.key, () => `← ${id} ${change.op} ${status.state}`)
      },
      brought: (id, key, bytes) => {
        if (key.startsWith(NEAR_PREFIX)) this.checks.brought(client, id, key, bytes)
      },
    })
    return { node, out: outward, in: inward }
  }

  #store(client: string, cache: CacheName, database: Store<Value>): Store<Value> {
    const store = new SimStore<Value>({
      time: this.time,
      client,
      random: streamOf(this.plan.seed, `store ${client} ${cache}`),
      database: this.#bug?.store?.(database) ?? database,
      conditions: this.#storeConditions,
      committed: (key, value, version) => {
        const wire = World.wireKey(cache, key)
        this.checks.committed(wire, value, version, CACHES[cache].order === 'rows')
        this.tell('store', wire, () => `${client} committed ${value === undefined ? 'no row' : `value ${value.id}`} @${version}`)
      },
    })
    return this.#bug?.storeOfClient?.(store, { time: this.time, client }) ?? store
  }

  /**
   * Any owner that has a change tells it at once, in its order; so it takes what a message takes at most, unless nobody can be heard of as many
   * as must have it: then two heartbeats show that the line is dead.
   */
  #unheardMs(client: string, key: string, sinceMs: number): number {
    const owners = this.ownersOf(key).map(({ id }) => id)
    const { lines } = this.members.find(({ name }) => name === client)!
    const silent = lines.filter((line) => owners.includes(line.node.id) && line.in.wasBlockedSince(sinceMs)).length
    const pausedMs = this.#pauses.reduce((sum, each) => sum + (each.client === client && each.untilMs >= sinceMs ? each.forMs : 0), 0)
    return pausedMs + LONGEST_MESSAGE_MS + (silent > (owners.length - 1) / 2 ? 2 * HEARTBEAT_MS : 0)
  }

  #line(client: number, node: number): Line {
    return this.members[client]!.lines[node]!
  }

  /** Between the clocks that were farthest apart so far. */
  #skewMs(): number {
    for (const { clock } of this.members) {
      this.#mostAheadMs = Math.max(this.#mostAheadMs, clock.aheadMs)
      this.#leastAheadMs = Math.min(this.#leastAheadMs, clock.aheadMs)
    }
    return this.#mostAheadMs - this.#leastAheadMs
  }
}

/** Of a node or a client, by its number. */
function zoneOf(at: number): string {
  return `z${at % ZONES}`
}

function optionsOf({ reads, writes, nearBytes }: CacheKind) {
  return {
    consistency: { reads: reads ?? 'primary', writes: writes ?? 'quorum' },
    near: nearBytes === undefined ? undefined : { maxBytes: nearBytes },
  } as const
}

interface SimServerMember {
  readonly id: string
  readonly weight: number
  readonly zone: string
  readonly server: SimServer
}
