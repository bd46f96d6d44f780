/**
 * A tier over memory nodes with a consistency check at work, on a clock that the test moves; the copies on its nodes can be taken and laid.
 */
import type { Cache } from '../caches/cache.ts'
import type { CacheOptions } from '../caches/cache-options.ts'
import type { CheckOptions, ConsistencyCheck } from '../consistency/consistency.ts'
import { createTier, type Tier } from '../create-tier.ts'
import { NodeError } from '../errors.ts'
import type { TierEvents } from '../events.ts'
import { memoryNode } from '../node/memory-node.ts'
import type { CacheNode } from '../node/node.ts'
import { FakeClock } from './fake-clock.ts'
import { seededRandom } from './seeded-random.ts'

export interface CheckedTier<V> {
  readonly tier: Tier
  readonly clock: FakeClock
  readonly cache: Cache<V>
  readonly check: ConsistencyCheck
  readonly told: TierEvents['consistency:violated'][]
  readonly nodes: readonly HeldNode[]
  /** Those that hold the key now, in no order. */
  holders(key: string): Promise<HeldNode[]>
}

/** Everything that is served is written to all owners; the sweep begins at once and goes round all the time. */
const CHECK: CheckOptions = { share: 0, sweepEvery: '5s', keysPerSecond: 100_000 }

/** The cache is named `c`, so that key `k` lies under `rt:c:k`. */
export async function checkedTier<V>(options: CacheOptions<V>, check: CheckOptions = CHECK, replicas = 3): Promise<CheckedTier<V>> {
  const clock = new FakeClock()
  const nodes = ['a', 'b', 'c', 'd'].map((id) => new HeldNode(id, clock))
  const tier = await createTier({ nodes: nodes.map(({ node }) => node), replicas, clock, random: seededRandom(5) })
  const cache = tier.cache<V>('c', { consistency: { writes: 'all' }, ...options })
  const told: TierEvents['consistency:violated'][] = []
  tier.on('consistency:violated', (payload) => told.push(payload))
  const holders = async (key: string): Promise<HeldNode[]> => {
    const held = await Promise.all(nodes.map(async (each) => ((await each.take(key)) === undefined ? [] : [each])))
    return held.flat()
  }
  return { tier, clock, cache, check: tier.checkConsistency(cache, { ...CHECK, ...check }), told, nodes, holders }
}

/** A memory node that can be kept from answering, and whose copies can be taken and laid back past all order. */
export class HeldNode {
  readonly id: string
  readonly node: CacheNode
  readonly asked: { readonly keys: readonly string[]; readonly atMs: number }[] = []
  answers = true
  /** Instead of the node's own. */
  scan: CacheNode['scan'] | undefined
  readonly #inner: CacheNode

  constructor(id: string, clock: FakeClock) {
    this.id = id
    const inner = memoryNode({ id, clock })
    this.#inner = inner
    const getMany: CacheNode['getMany'] = async (keys, call) => {
      this.asked.push({ keys, atMs: clock.monotonic() })
      if (!this.answers) throw new NodeError(`${id} does not answer`, id)
      return inner.getMany(keys, call)
    }
    this.node = new Proxy(inner, {
      get: (target, name) => {
        if (name === 'getMany') return getMany
        if (name === 'scan' && this.scan !== undefined) return this.scan
        const member: unknown = Reflect.get(target, name, target)
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
  }

  /** A copy of what lies under the key, as nobody's read. */
  async take(key: string): Promise<Uint8Array | undefined> {
    const [bytes] = await this.#inner.getMany([key])
    return bytes && Uint8Array.from(bytes)
  }

  /** Lays bytes, whatever lies there; undefined: removes it. */
  async lay(key: string, bytes: Uint8Array | undefined): Promise<void> {
    await this.#inner.apply([bytes === undefined ? { op: 'drop', key } : { op: 'set', key, bytes, ttlMs: 0 }])
  }
}
