/**
 * A node's observers as one: each tier that uses a node in this process has its own opinion of it.
 */
import type { RingtailError } from '../errors.ts'
import type { NodeObserver } from './node.ts'

export class Traffic implements NodeObserver {
  #observers: readonly NodeObserver[] = []

  /** @returns the way to stop */
  add(observer: NodeObserver): () => void {
    this.#observers = [...this.#observers, observer]
    return () => {
      this.#observers = this.#observers.filter((each) => each !== observer)
    }
  }

  /** The soonest that any of them wants to know. */
  get lateAfterMs(): number {
    let soonestMs = Number.POSITIVE_INFINITY
    for (const { lateAfterMs } of this.#observers) if (lateAfterMs < soonestMs) soonestMs = lateAfterMs
    return soonestMs
  }

  landed(calls: number, tookMs: number, reads: boolean): void {
    for (const observer of this.#observers) observer.landed(calls, tookMs, reads)
  }

  lost(calls: number, error: RingtailError, tookMs: number): void {
    for (const observer of this.#observers) observer.lost(calls, error, tookMs)
  }
}
