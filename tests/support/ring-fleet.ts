/**
 * A fleet of tiers over the same memory nodes, under one fake clock: what several processes see of a ring that changes.
 */
import {
  type Cache,
  type CacheNode,
  type CacheOptions,
  cacheAside,
  createTier,
  type Member,
  memoryNode,
  type NodeIdentity,
  type Tier,
} from '../../src/index.ts'
import { FakeClock, type FlakyNode, flakyNode, seededRandom } from '../../src/testing/index.ts'

export interface RingFleetOptions {
  readonly nodes?: number
  readonly tiers?: number
  readonly replicas?: number
  readonly cache?: Partial<CacheOptions<unknown>>
}

export interface Process {
  readonly tier: Tier
  readonly cache: Cache<unknown>
  /** Its own way to each node: trouble on it is nobody else's. */
  way(id: string): FlakyNode
}

export class RingFleet {
  readonly clock = new FakeClock()
  readonly processes: Process[] = []
  readonly #nodes = new Map<string, CacheNode>()
  readonly #options: RingFleetOptions

  private constructor(options: RingFleetOptions) {
    this.#options = options
    for (let nth = 1; nth <= (options.nodes ?? 4); nth++) this.node(`n${nth}`)
  }

  static async start(options: RingFleetOptions = {}): Promise<RingFleet> {
    const fleet = new RingFleet(options)
    const ids = [...fleet.#nodes.keys()]
    for (let nth = 0; nth < (options.tiers ?? 2); nth++) await fleet.join(ids)
    return fleet
  }

  /** The node itself, which no process closes. */
  node(id: string, as: Partial<NodeIdentity> = {}): CacheNode {
    const known = this.#nodes.get(id)
    if (known !== undefined) return known
    const node = memoryNode({ id, clock: this.clock, ...(as.weight !== undefined && { weight: as.weight }) })
    this.#nodes.set(id, node)
    return node
  }

  /** A process that was configured with these nodes. @param through what its calls go through on their way to each node */
  async join(
    ids: readonly string[],
    through: (node: CacheNode) => CacheNode = (node) => node,
    { replicas = this.#options.replicas ?? 3 }: Pick<RingFleetOptions, 'replicas'> = {},
  ): Promise<Process> {
    const ways = new Map<string, FlakyNode>()
    const wayTo = ({ id, weight }: Pick<Member, 'id'> & Partial<Member>): FlakyNode => {
      const way = flakyNode(through(unclosed(this.node(id, { weight: weight ?? 1 }))))
      ways.set(id, way)
      return way
    }
    const nth = this.processes.length
    const tier = await this.until(
      createTier({
        nodes: ids.map((id) => wayTo({ id })),
        connectNode: wayTo,
        replicas,
        clock: this.clock,
        random: seededRandom(100 + nth),
      }),
    )
    const cache = tier.cache<unknown>('item', { ttl: '1h', strategy: cacheAside(), ...this.#options.cache })
    const process: Process = {
      tier,
      cache,
      way: (id) => ways.get(id) ?? wayTo({ id }),
    }
    this.processes.push(process)
    return process
  }

  /** Moves time on until the promise is settled. */
  async until<T>(promise: Promise<T>, eachMs = 20, meanwhile: () => void = () => {}): Promise<T> {
    let isSettled = false
    const end = (): void => {
      isSettled = true
    }
    promise.then(end, end)
    for (let turns = 0; !isSettled; turns++) {
      if (turns > 20_000) throw new Error('nothing settles it')
      await this.clock.advance(eachMs)
      meanwhile()
    }
    return promise
  }

  async close(): Promise<void> {
    await this.until(Promise.all(this.processes.map(({ tier }) => tier.close())))
  }
}

/** The same node, but for who closes it: others use it too. */
function unclosed(node: CacheNode): CacheNode {
  return new Proxy(node, {
    get: (target, name) => {
      if (name === 'close') return async () => {}
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
