/**
 * Walks what lies on nodes: all of them at once, each a batch at a time, all together at one rate.
 *
 * A node that fails on the way is tried again from its beginning, for whoever looks at an entry twice finds that nothing is left to be done;
 * one that goes on failing is named, for its keys may lie elsewhere too.
 */
import type { Clock } from '../clock.ts'
import { Pace } from '../consistency/pace.ts'
import type { CacheNode } from '../node/node.ts'

/** Keys of one node at a time. */
export const BATCH = 128
const TRIES = 3
/** Before a node is tried again, ms. */
const AGAIN_AFTER_MS = 500

export interface WalkParts {
  readonly clock: Clock
  /** Entries a second, at most, of all nodes together. */
  readonly rate: number
  readonly signal: AbortSignal
  /** Told after each batch. */
  readonly looked: (entries: number) => void
}

export class WalkedNodes {
  readonly #parts: WalkParts
  readonly #pace: Pace

  constructor(parts: WalkParts) {
    this.#parts = parts
    this.#pace = new Pace(parts.clock, parts.rate)
  }

  /**
   * @param visit hears of each key at least once that was there all the time
   * @returns the nodes that could not be walked to their end
   * @throws the signal's reason, once it is aborted
   */
  async walk(
    nodes: readonly CacheNode[],
    prefix: string,
    visit: (node: CacheNode, keys: readonly string[]) => Promise<void>,
  ): Promise<CacheNode[]> {
    const walked = await Promise.all(nodes.map((node) => this.#walkOne(node, prefix, visit)))
    return nodes.filter((_, at) => !walked[at])
  }

  /** The fleet's time, ms since the epoch. */
  nowMs(): number {
    return this.#parts.clock.now()
  }

  /** Resolves after so long. @throws the signal's reason */
  async pause(ms: number): Promise<void> {
    const { clock, signal } = this.#parts
    signal.throwIfAborted()
    if (ms <= 0) return
    await new Promise<void>((resolve) => {
      const end = (): void => {
        signal.removeEventListener('abort', end)
        timer.cancel()
        resolve()
      }
      const timer = clock.after(ms, end, { keepAlive: true })
      signal.addEventListener('abort', end)
    })
    signal.throwIfAborted()
  }

  async #walkOne(node: CacheNode, prefix: string, visit: (node: CacheNode, keys: readonly string[]) => Promise<void>): Promise<boolean> {
    const { signal, looked } = this.#parts
    for (let tries = 1; ; tries++) {
      try {
        for await (const keys of node.scan(prefix, { batch: BATCH, signal })) {
          signal.throwIfAborted()
          if (keys.length === 0) continue
          await visit(node, keys)
          looked(keys.length)
          this.#pace.spend(keys.length)
          await this.pause(this.#pace.waitMs)
        }
        return true
      } catch {
        signal.throwIfAborted()
        // Of one that looks dead nobody expects that it gets better.
        if (tries === TRIES || node.standing?.avoided === true) return false
      }
      await this.pause(AGAIN_AFTER_MS)
    }
  }
}
