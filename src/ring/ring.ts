/**
 * The contract of placement: a pure function from key to owners.
 *
 * A ring knows members, never connections. It is built for one set of members and one number of replicas, and never changes: a changed
 * membership is a new ring, and `moved-ranges.ts` tells what lies between the two.
 */

/** Whatever can own keys. A `CacheNode` is one. */
export interface RingMember {
  /** Stable and independent of the address: keys follow it when the machine behind it changes. */
  readonly id: string
  /** Relative share of the keys, > 0. 1 is the share of an ordinary member. */
  readonly weight: number
  /** Owners of a key are picked from distinct zones as far as there are any. */
  readonly zone?: string | undefined
  /** The name that ketama hashes, `host:port` or a name: what the client that is moved over from was configured with. Default: the id. */
  readonly label?: string | undefined
}

export interface Ring<M extends RingMember = RingMember> {
  readonly members: readonly M[]
  /** How many owners each key has. */
  readonly replicas: number
  /**
   * The owners of a key, first the preferred one, all distinct. The array is shared between calls and frozen: it costs nothing to ask.
   * @param key as it lies on the nodes (`rt:product:B0001`, or the plain key of a plain cache)
   */
  ownersOf(key: string): readonly M[]
}

/** How keys are placed: `hashRing()` or `ketamaRing()`. */
export interface Placement {
  readonly name: string
  /** Makes ready what needs time, once, before the first `build`. */
  prepare(): Promise<void>
  /** @throws ConfigurationError when there are fewer members than replicas, two share an id, or a weight is not a number > 0 */
  build<M extends RingMember>(members: readonly M[], replicas: number): Ring<M>
}
