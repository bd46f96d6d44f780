/**
 * The contract of invalidations: how a process hears that keys it holds something of were changed by anyone in the fleet.
 *
 * The promise is about silence: a follower that is covered and has heard nothing may take it that nothing changed, but for the bound that the
 * implementation states. Every moment in which something may have gone unheard is told as `lost`. `tracking.ts` hears it from the nodes
 * themselves, `bus-invalidations.ts` from the processes that write, where nodes cannot tell.
 */
import type { CacheNode } from '../node/node.ts'

export interface Follower {
  /** @param keys as they lie on the nodes, all of the followed prefix; one change may be told several times */
  changed(keys: readonly string[]): void
  /**
   * Changes may have been missed: what is held of them is to be forgotten. Told before `covers` is true again.
   * @param node whose changes they are: what does not lie on it may be kept; undefined: anybody's
   */
  lost(reason: string, node: CacheNode | undefined): void
  /** More is heard from now on than before, so that `covers` may have become true. Nothing that was covered was missed. */
  covered?(): void
}

export interface Invalidations {
  /** Follows every key on the nodes that begins with `prefix`, from when `covers` says so. @returns the way to stop */
  follow(prefix: string, follower: Follower): () => void
  /**
   * Whether every change of a key of this followed prefix would be heard now. What is read while it is not must not be kept.
   * @param owners of the key; all others may be silent. Default: all nodes
   * @param spare how many of them may be silent all the same. A change that is acknowledged by n owners is heard from one of them while
   * fewer than n are silent. Default 0
   */
  covers(prefix: string, owners?: readonly CacheNode[], spare?: number): boolean
  /** Told of the keys that this process has changed, after the nodes have them; what hears of changes from the nodes does nothing. */
  announce(keys: readonly string[]): void
  close(): Promise<void>
}
