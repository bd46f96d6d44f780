/**
 * Watching keys on a Redis server: client tracking in broadcast mode, over two connections of its own.
 *
 * One connection subscribes, the other turns tracking on and redirects what it would be told to the first (Redis documentation, "Client-side
 * caching"). They only make sense together, so they are one link. The promise is about silence: a watcher that has heard nothing may take
 * it that nothing changed. So every moment in which something may have gone unheard is told as `lost`: when the link breaks, again when it
 * is back (what was read in between was not watched), when the server is emptied, and when a heartbeat finds the link dead that looks alive.
 */
import { ClosedError, type NodeError, type RingtailError } from '../errors.ts'
import type { Watcher } from './node.ts'
import type { RedisClient } from './redis-client.ts'
import { RedisHeartbeat } from './redis-heartbeat.ts'
import { type LinkOptions, RedisLink } from './redis-link.ts'

export interface WatchOptions extends Omit<LinkOptions, 'setUp' | 'onUp' | 'onLost' | 'onFailed'> {
  readonly prefixes: readonly string[]
  readonly watcher: Watcher
}

const CHANNEL = '__redis__:invalidate'

export class RedisWatch {
  readonly #options: WatchOptions
  readonly #link: RedisLink
  readonly #heartbeat: RedisHeartbeat
  #clients: RedisClient[] = []
  #everUp = false
  #started: { resolve: () => void; reject: (error: RingtailError) => void } | undefined

  constructor(options: WatchOptions) {
    this.#options = options
    this.#heartbeat = new RedisHeartbeat(options.clock, (reason) => this.#link.reset(reason))
    this.#link = new RedisLink({
      ...options,
      setUp: (open) => this.#setUp(open),
      onUp: () => this.#onUp(),
      onLost: (error) => this.#onLost(error),
      onFailed: (error) => this.#onFailed(error),
    })
  }

  /** Resolves once keys are watched; rejects, closed, when the first try fails. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#started = { resolve, reject }
      this.#link.open()
    })
  }

  async close(): Promise<void> {
    this.#heartbeat.stop()
    this.#started?.reject(new ClosedError(`node ${this.#options.name} is closed`))
    this.#started = undefined
    await this.#link.close()
  }

  async #setUp(open: (protocol: 2 | 3) => Promise<RedisClient>): Promise<void> {
    const [subscriber, tracker] = await Promise.all([open(2), open(2)])
    // Asked before it subscribes: a subscriber takes hardly any other command.
    const id = await subscriber.callBuffer('CLIENT', ['ID'])
    subscriber.on('messageBuffer', (_channel: Buffer, keys: readonly Buffer[] | null) => this.#told(keys))
    await subscriber.subscribe(CHANNEL)
    const prefixes = disjoint(this.#options.prefixes).flatMap((prefix) => ['PREFIX', prefix])
    await tracker.callBuffer('CLIENT', ['TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', ...prefixes])
    this.#clients = [subscriber, tracker]
  }

  #told(keys: readonly Buffer[] | null): void {
    if (keys === null) this.#options.watcher.lost('the node was emptied', true)
    else this.#options.watcher.changed(keys.map((key) => key.toString()))
  }

  #onUp(): void {
    if (this.#everUp) this.#options.watcher.lost('what was read while the connection was lost was not watched', true)
    this.#everUp = true
    this.#heartbeat.start(this.#clients)
    this.#started?.resolve()
    this.#started = undefined
  }

  #onLost(error: NodeError): void {
    this.#heartbeat.stop()
    this.#options.watcher.lost(error.message, false)
  }

  #onFailed(error: NodeError): void {
    if (this.#started === undefined) return
    const { reject } = this.#started
    this.#started = undefined
    void this.close().then(() => reject(error))
  }
}

/** The server refuses a prefix that another one begins with; it is watched by the shorter one. */
function disjoint(prefixes: readonly string[]): string[] {
  const sorted = [...new Set(prefixes)].sort()
  return sorted.filter((prefix, i) => !sorted.some((other, j) => j !== i && prefix.startsWith(other)))
}
