/**
 * A cap on what runs at once, for a database that has so many connections and no more.
 *
 * What comes above the cap waits in line, first come first served; the line is bounded as well, and what comes above that is turned away
 * at once with an `OverloadError`. A caller that gives up leaves the line. One whose task is under way may leave too, but its place is taken
 * until the work behind the task is over (`leftRunning`): a database that has gone silent is not asked more and more.
 */
import { OverloadError } from '../errors.ts'
import type { StoreCall } from './store.ts'

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

  /**
   * @param task is handed the call with a `leftRunning` of its own; the caller's is told as well
   * @returns what `task` returns @throws OverloadError when the line is full; the signal's reason when it came first
   */
  async run<T>(task: (call: StoreCall) => Promise<T>, call: StoreCall | undefined): Promise<T> {
    const signal = call?.signal
    signal?.throwIfAborted()
    if (this.#running < this.#concurrency) this.#running++
    else await this.#wait(signal)
    const left: Promise<unknown>[] = []
    const leftRunning = (work: Promise<unknown>) => {
      left.push(work)
      call?.leftRunning?.(work)
    }
    try {
      return await task({ signal, leftRunning })
    } finally {
      if (left.length === 0) this.#leave()
      else void Promise.allSettled(left).then(() => this.#leave())
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
