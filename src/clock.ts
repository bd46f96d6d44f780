/**
 * Time and chance, handed in from outside.
 *
 * Every room below `create-tier.ts` is given a `Clock` and a `Random` and reads no other: so a test moves time by hand, and a failing
 * random run is replayed from its seed. A check in the test command fails on `Date.now`, `setTimeout` or `Math.random` anywhere else.
 */

export interface Timer {
  /** Stops the timer; harmless when it has already run. */
  cancel(): void
}

export interface Clock {
  /** Wall time in whole milliseconds since the epoch. May jump. */
  now(): number
  /** Milliseconds, with fractions, since an arbitrary start. Never goes back: for durations and deadlines. */
  monotonic(): number
  /** Runs `task` once, after at least `delayMs`. A pending timer does not keep the process alive unless `keepAlive`. */
  after(delayMs: number, task: () => void, options?: { readonly keepAlive?: boolean }): Timer
  /** Runs `task` soon, once the input that has already arrived was handled: `setImmediate`. */
  soon(task: () => void): void
}

/** A number in [0, 1). */
export type Random = () => number

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, task, options) {
    const handle = setTimeout(task, delayMs)
    if (options?.keepAlive !== true) handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
  soon(task) {
    setImmediate(task)
  },
}

export const systemRandom: Random = () => Math.random()
