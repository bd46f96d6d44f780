/**
 * A bus inside the process: for tests, for development, and for a tier whose nodes are in memory too.
 *
 * Every message reaches every listener of its channel, in order, on a later turn of the microtasks: a listener never runs inside of the call
 * that publishes.
 */
import { ClosedError } from '../errors.ts'
import type { Bus, Listener } from './bus.ts'

export class MemoryBus implements Bus {
  readonly #listeners = new Map<string, Set<Listener>>()
  #closed = false

  async publish(channel: string, bytes: Uint8Array): Promise<void> {
    if (this.#closed) throw closedError()
    const listeners = this.#listeners.get(channel)
    for (const listener of listeners ?? []) {
      queueMicrotask(() => {
        if (listeners?.has(listener) === true) listener.received(bytes)
      })
    }
  }

  async subscribe(channel: string, listener: Listener): Promise<() => Promise<void>> {
    if (this.#closed) throw closedError()
    const listeners = this.#listeners.get(channel) ?? new Set()
    this.#listeners.set(channel, listeners.add(listener))
    return async () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#listeners.get(channel) === listeners) this.#listeners.delete(channel)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#listeners.clear()
  }
}

function closedError(): ClosedError {
  return new ClosedError('the bus is closed')
}
