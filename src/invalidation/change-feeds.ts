/**
 * The changes of all caches of a tier, those that are still to be made included: what `tier.on` listens to.
 */
import type { ChangeEventName, Listener } from '../events.ts'
import type { ChangeFeed } from './change-feed.ts'

/** A listener and how it is taken off each feed. */
interface Listening {
  readonly attach: (feed: ChangeFeed) => () => void
  readonly stops: (() => void)[]
}

export class ChangeFeeds {
  readonly #feeds = new Set<ChangeFeed>()
  readonly #listening = new Set<Listening>()

  add(feed: ChangeFeed): void {
    this.#feeds.add(feed)
    for (const { attach, stops } of this.#listening) stops.push(attach(feed))
  }

  /** The listener has a queue for each cache, so that a busy one does not crowd out another. @returns the way to stop */
  on<K extends ChangeEventName>(name: K, listener: Listener<K>): () => void {
    const attach = (feed: ChangeFeed): (() => void) => feed.on(name, listener)
    const listening: Listening = { attach, stops: Array.from(this.#feeds, attach) }
    this.#listening.add(listening)
    return () => {
      this.#listening.delete(listening)
      for (const stop of listening.stops.splice(0)) stop()
    }
  }

  close(): void {
    for (const feed of this.#feeds) feed.close()
  }
}
