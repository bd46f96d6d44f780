/**
 * What a tier is given, checked once.
 */
import type { Clock, Random } from './clock.ts'
import { ConfigurationError } from './errors.ts'
import type { Bus } from './invalidation/bus.ts'
import type { CacheNode } from './node/node.ts'
import { knownOptions, wholeNumber } from './options.ts'
import type { StoreGuardOptions } from './resilience/guarded-store.ts'
import { hashRing } from './ring/hash-ring.ts'
import type { Placement } from './ring/ring.ts'
import type { ConnectNode } from './topology/topology.ts'

export interface TierOptions {
  /** `redisNode(url)` or `memoryNode({ id })`; ids are distinct. */
  readonly nodes: readonly CacheNode[]
  /** Connects to a node that another process has added to the ring. Default: as to the first of `nodes` that has an address, at the node's own. */
  readonly connectNode?: ConnectNode | undefined
  /** On how many nodes each key lives. Default 3. */
  readonly replicas?: number | undefined
  /** How keys are placed on nodes. Default `hashRing()`. */
  readonly ring?: Placement | undefined
  /** Where this process runs: what `reads: 'nearest'` means. Default: nowhere in particular. */
  readonly zone?: string | undefined
  /** How the processes hear of one another's changes where the nodes cannot tell them: `redisBus(url)`. Default: the nodes tell (client tracking). */
  readonly bus?: Bus | undefined
  /** How the databases behind the caches are protected; one guard a store, whichever caches use it. `false`: not at all. */
  readonly stores?: StoreGuardOptions | false | undefined
  /** For tests. Default: the system's. */
  readonly clock?: Clock | undefined
  /** For tests. Default: the system's. */
  readonly random?: Random | undefined
}

const NAMES = ['nodes', 'connectNode', 'replicas', 'ring', 'zone', 'bus', 'stores', 'clock', 'random']
const REPLICAS = 3
const MAX_REPLICAS = 16

/** @throws ConfigurationError for options that cannot work, such as fewer nodes than replicas */
export function checkedTierOptions(options: TierOptions): { readonly replicas: number; readonly placement: Placement } {
  knownOptions(options, 'createTier', NAMES)
  if (!Array.isArray(options.nodes))
    throw ConfigurationError.of('createTier: nodes', 'an array of redisNode(…) or memoryNode(…)', options.nodes)
  const replicas = wholeNumber(options.replicas ?? REPLICAS, 'createTier: replicas', 1, MAX_REPLICAS)
  if (options.nodes.length < replicas) {
    throw new ConfigurationError(
      `createTier: nodes: needs at least ${replicas} for replicas: ${replicas}, but got: ${options.nodes.length}`,
    )
  }
  for (const node of options.nodes) {
    if (typeof node?.getMany !== 'function') throw ConfigurationError.of('createTier: nodes', "nodes such as redisNode('redis://…')", node)
  }
  if (options.connectNode !== undefined && typeof options.connectNode !== 'function')
    throw ConfigurationError.of('createTier: connectNode', 'a function of a member', options.connectNode)
  return { replicas, placement: checkedPlacement(options.ring ?? hashRing(), 'createTier: ring') }
}

/** @throws ConfigurationError for what is no placement */
export function checkedPlacement(placement: Placement, what: string): Placement {
  if (typeof placement?.build === 'function' && typeof placement.prepare === 'function') return placement
  throw ConfigurationError.of(what, 'a placement: hashRing() or ketamaRing()', placement)
}
