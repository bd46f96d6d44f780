/**
 * What can be listened to of one cache: the tier's events that are about it, and the changes of its entries by anybody in the fleet.
 */
import { checkEvent, type Emitter } from '../emitter.ts'
import { UnsupportedError } from '../errors.ts'
import { CACHE_EVENTS, type CacheEventName, isChangeEvent, type Listener, type TierEvents } from '../events.ts'
import type { CacheChange, ChangeFeed } from '../invalidation/change-feed.ts'
import type { SubscribeOptions } from '../invalidation/change-interest.ts'

export interface CacheEventsParts {
  readonly cache: string
  readonly emitter: Pick<Emitter, 'on'>
  /** Undefined where values are plain. */
  readonly feed: ChangeFeed | undefined
}

export class CacheEvents {
  readonly #parts: CacheEventsParts

  constructor(parts: CacheEventsParts) {
    this.#parts = parts
  }

  /** See `Cache.on`. */
  on<K extends CacheEventName>(name: K, listener: Listener<K>): () => void {
    const { cache, emitter } = this.#parts
    checkEvent(name, listener, CACHE_EVENTS)
    if (isChangeEvent(name)) return this.#feed().on(name, listener as Listener<typeof name>)
    return emitter.on(name, listener, (payload: TierEvents[K]) => (payload as { readonly cache: string }).cache === cache)
  }

  /** See `Cache.subscribe`. */
  async subscribe(options: SubscribeOptions, listener: (change: CacheChange) => void): Promise<() => void> {
    return this.#feed().subscribe(options, listener)
  }

  #feed(): ChangeFeed {
    const { feed, cache } = this.#parts
    // Plain keys have no prefix of their own: to hear of them would be to hear of every key on the nodes.
    if (feed === undefined) throw new UnsupportedError(`cache '${cache}': changes of plain values are not told`)
    return feed
  }
}
