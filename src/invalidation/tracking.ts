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
  readonly #parts: TrackingParts
  readonly #nodes = new Map<CacheNode, NodeTracking>()
  #changing = false
  #closed = false

  constructor(parts: TrackingParts) {
    this.#parts = parts
    this.#followers = new Followers(parts.emit)
    for (const node of parts.nodes) this.add(node)
  }

  /** Hears of this node's changes too, once it can. */
  add(node: CacheNode): void {
    const { clock, random } = this.#parts
    this.#nodes.set(node, new NodeTracking({ node, clock, random, followers: this.#followers }))
    this.#changed()
  }

  /** Stops listening to a node on which nothing lies any more that could be held. */
  async remove(node: CacheNode): Promise<void> {
    const tracking = this.#nodes.get(node)
    this.#nodes.delete(node)
    await tracking?.close()
  }

  /** Reads begin to go to these nodes: where one of them is not heard, what is held may have been changed there already. */
  readFrom(nodes: readonly CacheNode[]): void {
    const isHeard = this.#followers.prefixes.every((prefix) => this.covers(prefix, nodes))
    if (!isHeard) this.#followers.lost('reads go to nodes that were not heard yet', undefined)
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
