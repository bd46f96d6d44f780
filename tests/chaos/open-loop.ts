/**
 * An open loop: requests come when the clock says, however slowly those before them are answered.
 *
 * A closed loop waits for the slow answer and so never sees what others would have suffered meanwhile. Here gaps are drawn as of a Poisson
 * process, latency counts from when a request was due, and what could not be sent in time is told as well: nothing is left out because the
 * system was busy failing.
 */
import type { Random, Timer } from '../../src/clock.ts'
import { sharedMs } from '../../src/testing/index.ts'
import { MOST_IN_FLIGHT, UNSENT_AFTER_MS } from './chaos-plan.ts'

export interface Arrival {
  readonly dueMs: number
  readonly lagMs: number
}

/** Whose time it goes by, ms: the machine's, or that of a simulation. */
export interface LoopClock {
  nowMs(): number
  after(ms: number, task: () => void): Timer
}

/** `sharedMs`, and the process's timers. */
export const MACHINE_CLOCK: LoopClock = {
  nowMs: sharedMs,
  after: (ms, task) => {
    const timer = setTimeout(task, ms)
    return { cancel: () => clearTimeout(timer) }
  },
}

export interface OpenLoopParts {
  readonly clock: LoopClock
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
  #timer: Timer | undefined
  #idle: (() => void) | undefined

  constructor(parts: OpenLoopParts) {
    this.#parts = parts
    this.#rate = parts.rate
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** @param startMs by its clock */
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
    this.#timer?.cancel()
    if (this.#inFlight > 0) {
      const idle = Promise.withResolvers<void>()
      this.#idle = idle.resolve
      const late = this.#parts.clock.after(withinMs, idle.resolve)
      await idle.promise
      late.cancel()
    }
    return this.#inFlight
  }

  readonly #tick = (): void => {
    const { clock } = this.#parts
    const nowMs = clock.nowMs()
    while (this.#nextMs <= nowMs) {
      const arrival = { dueMs: this.#nextMs, lagMs: nowMs - this.#nextMs }
      if (arrival.lagMs > UNSENT_AFTER_MS || this.#inFlight >= MOST_IN_FLIGHT) this.#parts.unsent(arrival)
      else void this.#send(arrival)
      this.#nextMs += this.#gap()
    }
    this.#timer = clock.after(Math.max(LEAST_TICK_MS, this.#nextMs - nowMs), this.#tick)
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
