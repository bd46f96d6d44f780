/**
 * An open loop: requests come when the clock says, however slowly those before them are answered.
 *
 * A closed loop waits for the slow answer and so never sees what others would have suffered meanwhile. Here gaps are drawn as of a Poisson
 * process, latency counts from when a request was due, and what could not be sent in time is told as well: nothing is left out because the
 * system was busy failing.
 */
import type { Random } from '../../src/index.ts'
import { sharedMs } from '../../src/testing/index.ts'
import { MOST_IN_FLIGHT, UNSENT_AFTER_MS } from './chaos-plan.ts'

export interface Arrival {
  readonly dueMs: number
  readonly lagMs: number
}

export interface OpenLoopParts {
  /** A second. */
  readonly rate: number
  readonly random: Random
  /** Begins a request; resolves, and never rejects, when it is settled. */
  readonly send: (arrival: Arrival) => Promise<void>
  /** Told of what is given up: it is too late, or too many are under way. */
  readonly unsent: (arrival: Arrival) => void
}

/** Timers keep no less. */
const LEAST_TICK_MS = 1

export class OpenLoop {
  readonly #parts: OpenLoopParts
  #rate: number
  #nextMs = 0
  #inFlight = 0
  #timer: NodeJS.Timeout | undefined
  #idle: (() => void) | undefined

  constructor(parts: OpenLoopParts) {
    this.#parts = parts
    this.#rate = parts.rate
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** @param startMs by `sharedMs` */
  start(startMs: number): void {
    this.#nextMs = startMs + this.#gap()
    this.#tick()
  }

  /** From the next request on. */
  setRate(rate: number): void {
    this.#rate = rate
  }

  /** No request is sent any more; resolves when all are answered, or after `withinMs`. @returns how many are not */
  async stop(withinMs: number): Promise<number> {
    clearTimeout(this.#timer)
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
        setTimeout(resolve, withinMs).unref()
      })
    }
    return this.#inFlight
  }

  readonly #tick = (): void => {
    const nowMs = sharedMs()
    while (this.#nextMs <= nowMs) {
      const arrival = { dueMs: this.#nextMs, lagMs: nowMs - this.#nextMs }
      if (arrival.lagMs > UNSENT_AFTER_MS || this.#inFlight >= MOST_IN_FLIGHT) this.#parts.unsent(arrival)
      else void this.#send(arrival)
      this.#nextMs += this.#gap()
    }
    this.#timer = setTimeout(this.#tick, Math.max(LEAST_TICK_MS, this.#nextMs - nowMs))
  }

  async #send(arrival: Arrival): Promise<void> {
    this.#inFlight++
    await this.#parts.send(arrival)
    if (--this.#inFlight === 0) this.#idle?.()
  }

  #gap(): number {
    return (-Math.log(1 - this.#parts.random()) * 1_000) / this.#rate
  }
}
