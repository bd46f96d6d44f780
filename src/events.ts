/**
 * Everything rare that a tier tells about itself: one typed map, names in the past tense, no values in payloads.
 *
 * Hits and misses are not events: they are counted (`metrics/`). Each event is also published on `node:diagnostics_channel` under
 * `ringtail:<name>`, so that tools can listen without holding the tier.
 */
import { channel } from 'node:diagnostics_channel'
import { ConfigurationError } from './errors.ts'

export interface TierEvents {
  /** A node answered again after it had not. */
  'node:up': { readonly node: string }
  /** A node's connections were lost, or it stopped answering. */
  'node:down': { readonly node: string; readonly reason: string }
  /** A node runs with settings that can lose what must be kept, or refuse what should be evicted. */
  'node:misconfigured': { readonly node: string; readonly reason: string }
  /** Bytes under a key were not an entry of this cache: corrupt, foreign or cut short. They were treated as a miss. */
  'entry:rejected': { readonly cache: string; readonly node: string | undefined; readonly reason: string }
  /** A loaded value could not be kept: it does not serialize, or is too large. Each read of it loads. */
  'entry:refused': { readonly cache: string; readonly reason: string }
  /** No owner could answer, so the store was asked or written without the cache. */
  'cache:bypassed': { readonly cache: string; readonly operation: 'read' | 'write' | 'delete'; readonly reason: string }
  /** An owner did not take a change that others took. */
  'write:missed': { readonly node: string; readonly changes: number; readonly reason: string }
  /** Reads found that an owner held older states of some keys than others, and it took the newest. */
  'replica:repaired': { readonly node: string; readonly keys: number }
  /** The store did not answer, or refused. */
  'store:failed': { readonly cache: string; readonly operation: 'load' | 'save' | 'remove'; readonly reason: string }
  /** A listener threw; the others were still called. */
  'listener:failed': { readonly event: string; readonly reason: string }
}

export type EventName = keyof TierEvents

const EVENTS: Readonly<Record<EventName, true>> = {
  'node:up': true,
  'node:down': true,
  'node:misconfigured': true,
  'entry:rejected': true,
  'entry:refused': true,
  'cache:bypassed': true,
  'write:missed': true,
  'replica:repaired': true,
  'store:failed': true,
  'listener:failed': true,
}
export type Listener<K extends EventName> = (payload: TierEvents[K]) => void
/** How the lower rooms tell: handed to them, never imported. */
export type Emit = <K extends EventName>(name: K, payload: TierEvents[K]) => void

const silent: Emit = () => {}
/** For parts used on their own, without a tier. */
export const noEmit: Emit = silent

export class Emitter {
  readonly #listeners = new Map<EventName, Set<(payload: never) => void>>()

  /** @returns the way to stop listening @throws ConfigurationError for an event that there is not */
  on<K extends EventName>(name: K, listener: Listener<K>): () => void {
    if (!Object.hasOwn(EVENTS, name)) throw ConfigurationError.of('on: event', `one of ${Object.keys(EVENTS).join(', ')}`, name)
    if (typeof listener !== 'function') throw ConfigurationError.of(`on '${name}': listener`, 'a function', listener)
    let listeners = this.#listeners.get(name)
    if (listeners === undefined) {
      listeners = new Set()
      this.#listeners.set(name, listeners)
    }
    listeners.add(listener as (payload: never) => void)
    return () => listeners.delete(listener as (payload: never) => void)
  }

  readonly emit: Emit = (name, payload) => {
    const published = channel(`ringtail:${name}`)
    if (published.hasSubscribers) published.publish(payload)
    const listeners = this.#listeners.get(name)
    if (listeners === undefined) return
    for (const listener of listeners) {
      try {
        ;(listener as Listener<typeof name>)(payload)
      } catch (thrown) {
        if (name !== 'listener:failed') this.emit('listener:failed', { event: name, reason: String(thrown) })
      }
    }
  }
}
