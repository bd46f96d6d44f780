/**
 * A clock that stands still until a test moves it.
 *
 * Deadlines, TTLs and backoffs are promises about time; a test that sleeps to see them is slow and passes by luck. Everything below
 * `create-tier.ts` takes a `Clock`, so a test hands in this one and says `await clock.advance(50)`: timers that fall due run in the order
 * of their times, each with the clock standing at exactly its own time, and what they set off (promises, `soon` tasks) settles before the
 * next one runs. Timers set meanwhile run too if they fall due within the same advance.
 */
import { type Clock, systemClock, type Timer } from '../clock.ts'

interface Pending extends Timer {
  readonly atMs: number
  readonly task: () => void
}

export class FakeClock implements Clock {
  #wallMs: number
  #elapsedMs = 0
  readonly #timers = new Set<Pending>()
  #soon: (() => void)[] = []

  /** @param startMs wall time at the start, ms since the epoch. Default: 2025-01-01T00:00:00Z. */
  constructor(startMs: number = 1_735_689_600_000) {
    this.#wallMs = startMs
  }

  now(): number {
    return Math.floor(this.#wallMs + this.#elapsedMs)
  }

  monotonic(): number {
    return this.#elapsedMs
  }

  after(delayMs: number, task: () => void): Timer {
    const pending: Pending = { atMs: this.#elapsedMs + Math.max(0, delayMs), task, cancel: () => this.#timers.delete(pending) }
    this.#timers.add(pending)
    return pending
  }

  /** Runs on a later turn of the real event loop, whether or not time is advanced: it asks for no time to pass. */
  soon(task: () => void): void {
    this.#soon.push(task)
    if (this.#soon.length === 1) systemClock.soon(() => this.#runSoon())
  }

  /** Timers set and neither run nor cancelled: 0 shows that what was closed left none behind. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Lets promises and `soon` tasks settle, then moves time on by `ms`, running what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#elapsedMs + ms
    await this.settle()
    for (let next = this.#nextDue(targetMs); next !== undefined; next = this.#nextDue(targetMs)) {
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs)
      this.#timers.delete(next)
      next.task()
      await this.settle()
    }
    this.#elapsedMs = targetMs
  }

  /** Lets promises and `soon` tasks settle; no time passes. */
  async settle(): Promise<void> {
    do await new Promise<void>((resolve) => systemClock.soon(resolve))
    while (this.#soon.length > 0)
  }

  /** Moves wall time alone, back or forth, as an operator or NTP may: durations are not to notice. */
  jumpWall(ms: number): void {
    this.#wallMs += ms
  }

  /** Moves time on without running anything, as an event loop that was held up finds it: timers overdue run at the next advance. */
  stall(ms: number): void {
    this.#elapsedMs += ms
  }

  #runSoon(): void {
    const tasks = this.#soon
    this.#soon = []
    for (const task of tasks) task()
  }

  /** The earliest timer due by then; of equal times the one set first, which a Set's order gives. */
  #nextDue(targetMs: number): Pending | undefined {
    let next: Pending | undefined
    for (const timer of this.#timers) if (timer.atMs <= targetMs && (next === undefined || timer.atMs < next.atMs)) next = timer
    return next
  }
}
