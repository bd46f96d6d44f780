/**
 * The watch over one node, kept up: started, widened, tried again.
 *
 * A server takes no further prefix for a watch that runs, so a wider one is started beside it and takes its place once it is up: what was
 * heard before goes on to be heard. Only a message that the narrower one had still under way could fall between the two, so the change is
 * told as a loss. A watch that cannot be started is tried again, later each time up to a bound and by chance.
 */
import type { Clock, Random, Timer } from '../clock.ts'
import { ClosedError } from '../errors.ts'
import type { CacheNode, Watcher } from '../node/node.ts'
import type { Followers } from './followers.ts'

export interface NodeTrackingParts {
  readonly node: CacheNode
  readonly clock: Clock
  readonly random: Random
  readonly followers: Followers
}

/** A wait before a new try is at least the first and at most the last, ms; the bound doubles with each failed try. */
const SHORTEST_WAIT_MS = 10
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 2_000

interface Watch {
  readonly prefixes: ReadonlySet<string>
  /** Whether its link is up. */
  hearing: boolean
  stopped: boolean
  stop: () => Promise<void>
}

export class NodeTracking {
  readonly #parts: NodeTrackingParts
  #wanted: readonly string[] = []
  #watch: Watch | undefined
  #starting: Promise<void> | undefined
  #failures = 0
  #waiting: Timer | undefined
  #closed = false

  constructor(parts: NodeTrackingParts) {
    this.#parts = parts
  }

  hears(prefix: string): boolean {
    return this.#watch?.hearing === true && this.#watch.prefixes.has(prefix)
  }

  /** Watches these prefixes as soon as it can. A watch that is too wide is left as it is: what it tells of in vain costs less than a gap. */
  want(prefixes: readonly string[]): void {
    this.#wanted = prefixes
    if (prefixes.length === 0) this.#stop()
    else this.#start()
  }

  /** Resolves when no connection of the watch is left. */
  async close(): Promise<void> {
    this.#closed = true
    this.#wanted = []
    this.#waiting?.cancel()
    await Promise.all([this.#stop(), this.#starting])
  }

  #start(): void {
    const isWatched = this.#wanted.every((prefix) => this.#watch?.prefixes.has(prefix))
    if (this.#starting !== undefined || this.#waiting !== undefined || isWatched || this.#closed) return
    this.#starting = this.#try().finally(() => {
      this.#starting = undefined
      this.#start()
    })
  }

  async #try(): Promise<void> {
    const { node } = this.#parts
    const next: Watch = { prefixes: new Set(this.#wanted), hearing: true, stopped: false, stop: async () => {} }
    try {
      next.stop = await node.watch([...next.prefixes], this.#watcherOf(next))
    } catch (thrown) {
      if (!(thrown instanceof ClosedError)) this.#again()
      else this.#closed = true
      return
    }
    this.#failures = 0
    if (this.#closed || this.#wanted.length === 0) {
      await end(next)
      return
    }
    const before = this.#watch
    this.#watch = next
    if (before !== undefined) {
      void end(before)
      this.#parts.followers.lost(`node ${node.id}: more is watched now`, node)
    }
    this.#parts.followers.covered()
  }

  #watcherOf(watch: Watch): Watcher {
    const { followers, node } = this.#parts
    return {
      changed: (keys) => {
        if (!watch.stopped) followers.changed(keys)
      },
      lost: (reason, hearing) => {
        watch.hearing = hearing
        if (!watch.stopped) followers.lost(reason, node)
      },
    }
  }

  #again(): void {
    if (this.#closed) return
    const { clock, random } = this.#parts
    const boundMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#failures++, 10))
    this.#waiting = clock.after(SHORTEST_WAIT_MS + random() * (boundMs - SHORTEST_WAIT_MS), () => {
      this.#waiting = undefined
      this.#start()
    })
  }

  async #stop(): Promise<void> {
    const watch = this.#watch
    this.#watch = undefined
    if (watch !== undefined) await end(watch)
  }
}

/** A watch that cannot be ended properly is one whose connection is gone. */
function end(watch: Watch): Promise<void> {
  watch.stopped = true
  return watch.stop().catch(() => {})
}
