/**
 * A cap on what runs at once, for a database that has so many connections and no more.
 *
 * What comes above the cap waits in line, first come first served; the line is bounded as well, and what comes above that is turned away
 * at once with an `OverloadError`. A caller that gives up leaves the line.
 */
import { OverloadError } from '../errors.ts'

interface Waiter {
  enter(): void
  giveUp(): void
  readonly signal: AbortSignal | undefined
}

export class Gate {
  readonly #name: string
  readonly #concurrency: number
  readonly #queue: number
  readonly #line = new Set<Waiter>()
  #running = 0

  constructor(name: string, concurrency: number, queue: number) {
    this.#name = name
    this.#concurrency = concurrency
    this.#queue = queue
  }

  /** @returns what `task` returns @throws OverloadError when the line is full; the signal's reason when it came first */
  async run<T>(task: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted()
    if (this.#running < this.#concurrency) this.#running++
    else await this.#wait(signal)
    try {
      return await task()
    } finally {
      this.#leave()
    }
  }

  /** The place of the one that leaves is handed on, so that nobody slips in between. */
  #leave(): void {
    const [next] = this.#line
    if (next === undefined) {
      this.#running--
      return
    }
    this.#line.delete(next)
    next.signal?.removeEventListener('abort', next.giveUp)
    next.enter()
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.#line.size >= this.#queue) {
      const limits = `${this.#concurrency} statements at once and ${this.#queue} in line`
      return Promise.reject(new OverloadError(`${this.#name}: takes ${limits}, and both are full`))
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        enter: resolve,
        giveUp: () => {
          this.#line.delete(waiter)
          reject(signal!.reason)
        },
        signal,
      }
      this.#line.add(waiter)
      signal?.addEventListener('abort', waiter.giveUp, { once: true })
    })
  }
}
