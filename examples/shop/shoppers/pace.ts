/**
 * A rate, kept over all shoppers: each request waits for its turn.
 *
 * Whoever is more than a second behind does not catch up in a burst: the rate is what is aimed at, not what is owed.
 */
import { setTimeout as sleep } from 'node:timers/promises'

const MOST_BEHIND_MS = 1_000

type Wait = (ms: number, signal: AbortSignal) => Promise<unknown>

const sleepUntilStopped: Wait = (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {})

export class Pace {
  readonly #gapMs: number
  #nextMs: number
  readonly #now: () => number
  readonly #wait: Wait
  readonly #stopping = new AbortController()

  /** @param rate turns per second; undefined: no waiting */
  constructor(rate: number | undefined, now: () => number = () => performance.now(), wait: Wait = sleepUntilStopped) {
    this.#gapMs = rate === undefined ? 0 : 1_000 / rate
    this.#now = now
    this.#wait = wait
    this.#nextMs = now()
  }

  async turn(): Promise<void> {
    if (this.#gapMs === 0 || this.#stopping.signal.aborted) return
    const now = this.#now()
    const turnMs = Math.max(this.#nextMs, now - MOST_BEHIND_MS)
    this.#nextMs = turnMs + this.#gapMs
    if (turnMs > now) await this.#wait(turnMs - now, this.#stopping.signal)
  }

  /** Nobody waits any more. */
  stop(): void {
    this.#stopping.abort()
  }
}
