/**
 * The nodes of a tier as they come and go, and the rings of its caches over them.
 *
 * A node that is admitted gets its guard, is connected, pinged and listened to, before any key is its own; one that is retired is let go of after
 * the last ring with it has gone. Each cache keeps one live ring for as long as it lives, and all of a tier turn in one step.
 */
import type { Clock, Random } from './clock.ts'
import { LiveRing } from './cluster/live-ring.ts'
import { RingKnowledge } from './cluster/ring-knowledge.ts'
import { ConfigurationError } from './errors.ts'
import type { Emit } from './events.ts'
import { memoryNode } from './node/memory-node.ts'
import type { CacheNode } from './node/node.ts'
import type { TellQueue } from './queues.ts'
import { Health } from './resilience/health.ts'
import { reweighted } from './ring/reweighted.ts'
import type { Placement, Ring } from './ring/ring.ts'
import { checkedPlacement } from './tier-options.ts'
import { type CacheRing, CacheRings } from './topology/cache-rings.ts'
import type { ConnectNode, KeyPlacing, Member, TopologyNodes, TopologyRecord } from './topology/topology.ts'
import { comingAndGoing, everyMember, memberOf } from './topology/topology-record.ts'

/** Where a cache's keys lie, as far as that is its own. */
export interface RingChoice {
  readonly replicas: number | undefined
  readonly nodes: readonly string[] | undefined
  readonly ring: Placement | undefined
  /** Whether its keys lie on the nodes as they are. */
  readonly plain: boolean
}

export interface TierNodesParts {
  /** The machine's, by which nodes in this process go. */
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  readonly replicas: number
  readonly placement: Placement
  readonly connectNode: ConnectNode | undefined
  /** See `HealthParts`. */
  readonly isReturning: (node: string) => boolean
}

/** Hears of nodes that come and go, and of those that reads begin to go to. */
export interface NodeListener {
  add(node: CacheNode): void
  remove(node: CacheNode): Promise<void> | void
  readFrom?(nodes: readonly CacheNode[]): void
}

/** @param takesFewer whether a key has as many owners as there are members where those are too few, as what was decided has to be gone by */
type Build = (members: readonly Member[], takesFewer?: boolean) => Ring<CacheNode>

interface OwnRing {
  readonly live: LiveRing
  readonly build: Build
}

const OURS = 'rt:'

export class TierNodes implements TopologyNodes {
  readonly #parts: TierNodesParts
  readonly health: Health
  readonly knowledge = new RingKnowledge()
  /** Changed in place, so that whoever was given them sees who comes and goes. */
  readonly all: CacheNode[]
  readonly #own: OwnRing
  readonly #ofCaches = new Map<string, OwnRing>()
  readonly #ofPlain: OwnRing[] = []
  /** Those of other processes too. */
  readonly #rings: CacheRings
  #members: readonly Member[]
  #others: readonly Member[] | undefined
  readonly #listeners: NodeListener[] = []
  /** Being closed. */
  readonly #leaving = new Set<Promise<unknown>>()
  readonly #draining = new Set<string>()
  readonly #returning = new Map<string, 'returning' | 'behind'>()

  constructor(nodes: readonly CacheNode[], parts: TierNodesParts) {
    this.#parts = parts
    const { clock, random, emit, isReturning } = parts
    this.health = new Health(nodes, { clock, random, emit, isReturning })
    this.all = [...this.health.guarded]
    this.#members = this.all.map(memberOf)
    this.#rings = new CacheRings(clock, random, this.all)
    this.#own = this.#made(this.#builder({}))
  }

  /** The tier's own. */
  get ring(): LiveRing {
    return this.#own.live
  }

  /** By what was decided, which may be other than what the nodes were made with. */
  get members(): readonly Member[] {
    return this.#members
  }

  /** @throws ConfigurationError for a misconfigured node; one that does not answer is tried again for as long as the tier is open */
  async connect(): Promise<void> {
    await Promise.all(this.all.map((node) => this.#connect(node)))
    this.health.start()
  }

  /** Is told of nodes that come and go from now on. */
  tell(listener: NodeListener): void {
    this.#listeners.push(listener)
  }

  /** @throws ConfigurationError for a choice that cannot be */
  ringOf(cache: string, choice: RingChoice, what: string): LiveRing {
    const isUsual = choice.replicas === undefined && choice.nodes === undefined && choice.ring === undefined
    if (!isUsual) this.#check(choice, what)
    const own = isUsual ? this.#own : this.#made(this.#builder(choice))
    if (choice.plain) this.#ofPlain.push(own)
    else this.#ofCaches.set(cache, own)
    const { replicas, nodes, plain } = choice
    this.#rings.add(cache, { replicas, nodes, placed: choice.ring !== undefined, plain })
    return own.live
  }

  /** Whether a node may have missed changes, so that others are read first. */
  markReturning(id: string, mark: 'returning' | 'behind' | undefined): void {
    if (mark !== undefined) this.#returning.set(id, mark)
    else this.#returning.delete(id)
    this.#mark(id)
  }

  /** See `Health.emptied`. */
  markEmptied(id: string, emptiedMs: number): void {
    if (this.all.some((node) => node.id === id)) this.health.emptied(id, emptiedMs)
  }

  admit(members: readonly Member[], given: readonly CacheNode[] = []): void {
    for (const member of members) {
      if (this.all.some(({ id }) => id === member.id)) continue
      const node = this.health.add(given.find(({ id }) => id === member.id) ?? this.#connectionTo(member))
      this.all.push(node)
      for (const listener of this.#listeners) listener.add(node)
      void this.#connect(node).catch(() => {})
    }
  }

  turn(record: TopologyRecord, holdsUntilMs: number): void {
    this.admit(everyMember(record))
    const { members, change } = record
    this.#members = members
    this.#others = change?.members
    for (const { live, build } of this.#each()) live.turn(build(members, true), this.#others && build(this.#others, true), holdsUntilMs)
    this.#markDraining(comingAndGoing(record).leaving)
    for (const listener of this.#listeners) listener.readFrom?.(this.ring.members)
  }

  retireAllBut(members: readonly Member[]): void {
    for (const node of this.all.filter(({ id }) => !members.some((member) => member.id === id))) {
      this.all.splice(this.all.indexOf(node), 1)
      this.health.remove(node.id)
      this.#draining.delete(node.id)
      this.#returning.delete(node.id)
      const leaving = Promise.all([...this.#listeners.map((listener) => listener.remove(node)), node.close()]).catch(() => {})
      this.#leaving.add(leaving)
      void leaving.then(() => this.#leaving.delete(leaving))
    }
  }

  lookAtCaches(isNeeded: boolean): Promise<void> {
    return this.#rings.look(isNeeded)
  }

  needCaches(): void {
    const unplaced = Array.from(this.#rings.ofOthers()).find(([, { placed }]) => placed)
    if (unplaced === undefined) return
    throw ConfigurationError.of(
      'a change of the ring: who makes it',
      'every cache that has a `ring` of its own',
      `none of '${unplaced[0]}'`,
    )
  }

  placing(members: readonly Member[]): KeyPlacing {
    const built = new Map<Build, Ring<CacheNode>>()
    const ringOf = (build: Build): Ring<CacheNode> => {
      const ring = built.get(build) ?? build(members)
      built.set(build, ring)
      return ring
    }
    const builds = this.#buildsByCache()
    const own = this.#own.build
    // Nobody can tell whose a plain key is.
    const plain = Array.from(this.#rings.ofOthers().values()).some((ring) => ring.plain) ? undefined : this.#ofPlain[0]?.build
    const rings = [own, plain, ...builds.values()].flatMap((build) => (build === undefined ? [] : [ringOf(build)]))
    return {
      prefix: plain === undefined ? OURS : '',
      members: ringOf(own).members,
      fewestOwners: Math.min(...rings.map(({ replicas }) => replicas)),
      ownersOf: (wire) => {
        if (!wire.startsWith(OURS)) return plain && ringOf(plain).ownersOf(wire)
        const cache = cacheOf(wire)
        if (cache === undefined) return undefined
        const build = builds.has(cache) ? builds.get(cache) : own
        return build && ringOf(build).ownersOf(wire)
      },
    }
  }

  measured(members: readonly Member[]): Ring<Member> {
    return this.#parts.placement.build(members, this.#parts.replicas)
  }

  tellQueues(tell: TellQueue): void {
    for (const node of this.all) node.tellQueues?.(tell)
    this.knowledge.tellQueues(tell)
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    await Promise.all([...this.all.map((node) => node.close()), ...this.#leaving])
  }

  async #connect(node: CacheNode): Promise<void> {
    try {
      await node.connect({ clock: this.#parts.clock, random: this.#parts.random, emit: this.#parts.emit })
    } catch (error) {
      // A misconfigured node is the caller's mistake; one that does not answer is what a tier is for.
      if (error instanceof ConfigurationError) throw error
    }
  }

  /** One that cannot be had is still a member: one that answers nothing. */
  #connectionTo(member: Member): CacheNode {
    const { connectNode, emit } = this.#parts
    try {
      if (connectNode !== undefined) return connectNode(member)
      const like = member.url === undefined ? undefined : this.all.find((node) => node.another !== undefined)
      if (like?.another !== undefined) return like.another(member.url!, member)
      throw new ConfigurationError(`createTier: connectNode: needs to be given for node '${member.id}', which has no address`)
    } catch (thrown) {
      emit('node:down', { node: member.id, reason: `it was added to the ring, and this process cannot connect: ${String(thrown)}` })
      const { id, zone, weight, label } = member
      const nobody = memoryNode({ id, weight, label, ...(zone !== undefined && { zone }) })
      void nobody.close()
      return nobody
    }
  }

  #check({ nodes, replicas = this.#parts.replicas, ring }: RingChoice, what: string): void {
    if (nodes !== undefined && !Array.isArray(nodes)) throw ConfigurationError.of(`${what}: nodes`, 'an array of node ids', nodes)
    const strange = nodes?.find((id) => !this.#members.some((member) => member.id === id))
    if (strange !== undefined) {
      throw ConfigurationError.of(`${what}: nodes`, `ids among ${this.#members.map(({ id }) => `'${id}'`).join(', ')}`, strange)
    }
    const count = nodes?.length ?? this.#members.length
    if (count < replicas) throw ConfigurationError.of(`${what}: replicas`, `at most as many as it has nodes (${count})`, replicas)
    if (ring !== undefined) checkedPlacement(ring, `${what}: ring`)
  }

  /** A cache of its own nodes keeps those that stay; where too few do, it lies on all. */
  #builder(choice: Partial<RingChoice>): Build {
    const { placement, replicas } = this.#parts
    const wanted = choice.replicas ?? replicas
    return (members, takesFewer = false) => {
      const named = choice.nodes === undefined ? members : members.filter(({ id }) => choice.nodes!.includes(id))
      const used = named.length < wanted ? members : named
      const order =
        choice.nodes === undefined || used !== named
          ? used
          : used.toSorted((a, b) => choice.nodes!.indexOf(a.id) - choice.nodes!.indexOf(b.id))
      const weights = new Map(order.map(({ id, weight }) => [id, weight]))
      const nodes = order.flatMap(({ id }) => this.all.find((node) => node.id === id) ?? [])
      return reweighted(choice.ring ?? placement, nodes, weights, takesFewer ? Math.min(wanted, nodes.length) : wanted)
    }
  }

  /** Of all caches that are not known to lie by the tier's own ring; undefined where it is not known by which. */
  #buildsByCache(): ReadonlyMap<string, Build | undefined> {
    const others = Array.from(this.#rings.ofOthers()).filter(([, { plain }]) => !plain)
    const buildOf = ({ placed, ...choice }: CacheRing): Build | undefined =>
      placed ? undefined : this.#builder({ ring: undefined, ...choice })
    const ofOthers = others.map(([cache, ring]): [string, Build | undefined] => [cache, buildOf(ring)])
    return new Map([...ofOthers, ...Array.from(this.#ofCaches, ([cache, { build }]): [string, Build] => [cache, build])])
  }

  #made(build: Build): OwnRing {
    const live = new LiveRing(build(this.#members, true), this.knowledge)
    if (this.#others !== undefined) live.turn(live.ring, build(this.#others, true))
    return { live, build }
  }

  #each(): Iterable<OwnRing> {
    return new Set([this.#own, ...this.#ofCaches.values(), ...this.#ofPlain])
  }

  #markDraining(leaving: readonly string[]): void {
    for (const { id } of this.all) {
      const isLeaving = leaving.includes(id)
      if (isLeaving === this.#draining.has(id)) continue
      if (isLeaving) this.#draining.add(id)
      else this.#draining.delete(id)
      this.#mark(id)
    }
  }

  #mark(id: string): void {
    if (!this.all.some((node) => node.id === id)) return
    this.health.mark(id, this.#returning.get(id) ?? (this.#draining.has(id) ? 'draining' : undefined))
  }
}

/** Whose a key is: an entry, or a record of a group; undefined for a record that a node is governed by. */
function cacheOf(wire: string): string | undefined {
  return /^rt:(?:!group:|!raised:)?([^!:][^:]*)/.exec(wire)?.[1]
}
