/**
 * Who listens to which event of a tier.
 *
 * Events are told from the midst of reads and writes, so the application's listeners are not called there: each has a queue
 * (`listener-queue.ts`). Only the tier's own book-keeping hears at once, and what subscribed to `node:diagnostics_channel`, which is the way
 * of those channels: do nothing slow there.
 */
import { channel } from 'node:diagnostics_channel'
import { ConfigurationError } from './errors.ts'
import { type Emit, EVENT_NAMES, type EventName, type Listener, type TierEvents } from './events.ts'
import { type Deliveries, ListenerQueue, MAX_WAITING } from './listener-queue.ts'

type Hears = (payload: never) => void

export class Emitter {
  readonly #deliveries: Deliveries
  readonly #listeners = new Map<EventName, Set<Hears>>()
  #count = 0

  constructor(deliveries: Deliveries) {
    this.#deliveries = deliveries
  }

  /**
   * @param wanted which of these events the listener is told of; called at once. Default: all
   * @returns the way to stop listening: what waits is not told any more @throws ConfigurationError for an event that there is not
   */
  on<K extends EventName>(name: K, listener: Listener<K>, wanted?: (payload: TierEvents[K]) => boolean): () => void {
    checkEvent(name, listener)
    const queue = new ListenerQueue<TierEvents[K]>({
      deliveries: this.#deliveries,
      listener,
      failed: (_payload, thrown) => this.#failed(name, String(thrown)),
      overflowed: (dropped) => {
        this.#failed(name, `slower than it happens: ${dropped} were left out, for at most ${MAX_WAITING} wait`)
        return undefined
      },
    })
    const stop = this.onAtOnce(name, (payload) => {
      if (wanted === undefined || wanted(payload)) queue.push(this.#count++, payload)
    })
    return () => {
      stop()
      queue.stop()
    }
  }

  /** For the tier itself: called where the event happens. */
  onAtOnce<K extends EventName>(name: K, hears: (payload: TierEvents[K]) => void): () => void {
    let listeners = this.#listeners.get(name)
    if (listeners === undefined) {
      listeners = new Set()
      this.#listeners.set(name, listeners)
    }
    listeners.add(hears as Hears)
    return () => listeners.delete(hears as Hears)
  }

  readonly emit: Emit = (name, payload) => {
    const published = channel(`ringtail:${name}`)
    if (published.hasSubscribers) published.publish(payload)
    for (const hears of this.#listeners.get(name) ?? []) (hears as (told: typeof payload) => void)(payload)
  }

  #failed(event: EventName, reason: string): void {
    if (event !== 'listener:failed') this.emit('listener:failed', { event, reason })
  }
}

export function checkEvent(name: EventName, listener: unknown, names: readonly EventName[] = EVENT_NAMES): void {
  if (!names.includes(name)) throw ConfigurationError.of('on: event', `one of ${names.join(', ')}`, name)
  if (typeof listener !== 'function') throw ConfigurationError.of(`on '${name}': listener`, 'a function', listener)
}
