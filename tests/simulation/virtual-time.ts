/**
 * Time for many processes at once, moved by what is to happen next.
 *
 * One queue holds everything that will happen: timers of clients, messages on their way, statements of the store. The next event is taken,
 * time jumps to it, it runs, and all promises that it settles run before the next one is taken; so a run is a sequence, the same one for the
 * same seed, and an hour costs no more than what happens in it. Each process sees time through a `ProcessClock` of its own, whose wall is
 * off, drifts and may be set; a paused process handles nothing until it goes on, then everything in its order.
 */
import type { Clock, Timer } from '../../src/clock.ts'
import { systemClock } from '../../src/clock.ts'
import type { Trace } from './trace.ts'

/** Wall time at the start of every run, ms since the epoch: 2025-01-01T00:00:00Z. */
export const EPOCH_MS = 1_735_689_600_000

/** Events between two turns of the real event loop. */
const TURN_EVERY = 256

interface Scheduled extends Timer {
  atMs: number
  readonly order: number
  readonly owner: string
  readonly label: string
  task: (() => void) | undefined
}

export class VirtualTime {
  nowMs = 0
  /** Events that ran. */
  steps = 0
  readonly trace: Trace
  readonly #queue: Scheduled[] = []
  readonly #pausedUntilMs = new Map<string, number>()
  readonly #ended = new Set<string>()
  #order = 0

  constructor(trace: Trace) {
    this.trace = trace
  }

  /** @param owner whose event it is, for pauses and the trace @param label what it is, in the trace's hash */
  schedule(delayMs: number, owner: string, label: string, task: () => void): Timer {
    const scheduled: Scheduled = {
      atMs: this.nowMs + Math.max(0, delayMs),
      order: this.#order++,
      owner,
      label,
      task,
      cancel: () => {
        scheduled.task = undefined
      },
    }
    this.#push(scheduled)
    return scheduled
  }

  /** Nothing of the owner's happens for so long. */
  pause(owner: string, forMs: number): void {
    this.#pausedUntilMs.set(owner, Math.max(this.#pausedUntilMs.get(owner) ?? 0, this.nowMs + forMs))
  }

  /** Nothing of the owner's happens any more: it was killed. */
  end(owner: string): void {
    this.#ended.add(owner)
  }

  /** Runs what falls due in the next `ms`, and lets time stand at their end. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.nowMs + ms
    await settled(0)
    for (let next = this.#queue[0]; next !== undefined && next.atMs <= targetMs; next = this.#queue[0]) {
      this.#pop()
      if (next.task === undefined || this.#ended.has(next.owner)) continue
      this.nowMs = next.atMs
      const pausedUntilMs = this.#pausedUntilMs.get(next.owner) ?? 0
      if (pausedUntilMs > this.nowMs) {
        next.atMs = pausedUntilMs
        this.#push(next)
        continue
      }
      this.steps++
      this.trace.mark(this.nowMs, next.owner, next.label)
      const { task } = next
      next.task = undefined
      task()
      await settled(this.steps)
    }
    this.nowMs = targetMs
  }

  #push(scheduled: Scheduled): void {
    const queue = this.#queue
    let at = queue.length
    queue.push(scheduled)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(scheduled, queue[parent]!)) break
      queue[at] = queue[parent]!
      at = parent
    }
    queue[at] = scheduled
  }

  #pop(): void {
    const queue = this.#queue
    const last = queue.pop()!
    if (queue.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= queue.length) break
      if (child + 1 < queue.length && isBefore(queue[child + 1]!, queue[child]!)) child++
      if (!isBefore(queue[child]!, last)) break
      queue[at] = queue[child]!
      at = child
    }
    queue[at] = last
  }
}

export class ProcessClock implements Clock {
  readonly #time: VirtualTime
  readonly #owner: string
  readonly #rate: number
  #offsetMs: number
  #pending = 0

  /** @param drift by how much the process's seconds are too short: 0.001 gains a millisecond a second */
  constructor(time: VirtualTime, owner: string, skewMs: number, drift: number) {
    this.#time = time
    this.#owner = owner
    this.#offsetMs = skewMs
    this.#rate = 1 + drift
  }

  now(): number {
    return Math.floor(EPOCH_MS + this.#offsetMs + this.monotonic())
  }

  monotonic(): number {
    return this.#time.nowMs * this.#rate
  }

  after(delayMs: number, task: () => void): Timer {
    this.#pending++
    let open = true
    const close = (): boolean => {
      if (!open) return false
      open = false
      this.#pending--
      return true
    }
    const timer = this.#time.schedule(delayMs / this.#rate, this.#owner, 'timer', () => {
      if (close()) task()
    })
    return {
      cancel: () => {
        if (close()) timer.cancel()
      },
    }
  }

  soon(task: () => void): void {
    this.#time.schedule(0, this.#owner, 'soon', task)
  }

  /** Moves wall time alone. */
  jumpWall(ms: number): void {
    this.#offsetMs += ms
  }

  /** By how much the wall is ahead of the simulation's, ms. */
  get aheadMs(): number {
    return this.#offsetMs + this.#time.nowMs * (this.#rate - 1)
  }

  /** Timers neither run nor cancelled. */
  get pendingTimers(): number {
    return this.#pending
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/**
 * Resolves when every promise that can settle has: Node takes the next tick only when no microtask is left. That costs a tenth of a turn of
 * the event loop, which is taken for once in so many events, so that whatever else the process does goes on.
 */
function settled(steps: number): Promise<void> {
  return new Promise((resolve) => {
    if (steps % TURN_EVERY === 0) systemClock.soon(resolve)
    else process.nextTick(resolve)
  })
}
