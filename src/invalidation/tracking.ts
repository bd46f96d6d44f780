/**
 * Invalidations from the nodes themselves: each node tells this process of every key that changes on it, whoever changed it.
 *
 * One watch a node serves all that is followed, as client tracking in broadcast mode does with prefixes (`node/redis-watch.ts`). A node that
 * cannot be watched leaves only the keys it owns uncovered. The promise: a change is told one push after the node applied it; while a link
 * has died without a sign this is not noticed before its heartbeat is missed, 2 s at most; and whenever a node was not heard for however
 * short a time, everything that lies on it is told as lost.
 */
import type { Clock, Random } from '../clock.ts'
import type { Emit } from '../events.ts'
import type { CacheNode } from '../node/node.ts'
import { Followers } from './followers.ts'
import type { Follower, Invalidations } from './invalidation.ts'
import { NodeTracking } from './node-tracking.ts'

export interface TrackingParts {
  readonly nodes: readonly CacheNode[]
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
}

export class Tracking implements Invalidations {
  readonly #followers: Followers
  readonly #nodes: ReadonlyMap<CacheNode, NodeTracking>
  #changing = false
  #closed = false

  constructor(parts: TrackingParts) {
    this.#followers = new Followers(parts.emit)
    const tracking = (node: CacheNode): NodeTracking =>
      new NodeTracking({ node, clock: parts.clock, random: parts.random, followers: this.#followers })
    this.#nodes = new Map(parts.nodes.map((node) => [node, tracking(node)]))
  }

  follow(prefix: string, follower: Follower): () => void {
    this.#followers.add(prefix, follower)
    this.#changed()
    return () => {
      this.#followers.remove(prefix, follower)
      this.#changed()
    }
  }

  covers(prefix: string, owners?: readonly CacheNode[], spare = 0): boolean {
    let silent = 0
    for (const owner of owners ?? this.#nodes.keys()) {
      if (this.#nodes.get(owner)?.hears(prefix) !== true && ++silent > spare) return false
    }
    return true
  }

  announce(): void {}

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(Array.from(this.#nodes.values(), (each) => each.close()))
  }

  /** Followers come in numbers, as caches do when a service starts: those of one turn are one new watch. */
  #changed(): void {
    if (this.#changing) return
    this.#changing = true
    queueMicrotask(() => {
      this.#changing = false
      if (this.#closed) return
      for (const each of this.#nodes.values()) each.want(this.#followers.prefixes)
    })
  }
}
