/**
 * Whether this process is fit to follow: whether it reaches the nodes that it would tell.
 *
 * A follower that reaches none tells nobody of anything, and keeps others from it for as long as it has the place. So one that has looked cut
 * off for a moment hands over, if another that is fit stands by; else it stays, for who ends loses time and wins nothing. One that is cut off
 * and waits leaves a free place to others, and takes it when for some seconds nobody has: then nobody is fit, or nobody else is there.
 *
 * That a place goes back and forth is bounded: who was cut off is fit only after a second of being well, and a process hands over once in ten
 * seconds at most.
 */
import type { Clock, Timer } from '../clock.ts'

const LOOK_MS = 100
/** For so long it looks cut off before it hands over: connections may be lost, and there again, all at once. */
const CUT_OFF_MS = 200
const STEADY_MS = 1_000
const AGAIN_AFTER_MS = 10_000
/** Longer than one that is fit needs for a place, also when it has to connect to the database first. */
const LAST_RESORT_MS = 5_000

export interface FitnessParts {
  readonly clock: Pick<Clock, 'monotonic' | 'after'>
  /** Whether most nodes look dead to this process. */
  readonly isCutOff: () => boolean
}

/** What one stretch of following says and is told. */
export interface Follower {
  /** Whether another that is fit waits for the place. What it fails with is the follower's own affair. */
  readonly isAwaited: () => Promise<boolean>
  /** Called once: the stretch is to end at once, without waiting for any node. */
  readonly handOver: () => void
}

export class Fitness {
  readonly #parts: FitnessParts
  #timer: Timer | undefined
  #follower: Follower | undefined
  #isAsking = false
  /** Since when it looks cut off, monotonic ms. */
  #cutOffSinceMs: number | undefined
  /** When it last did. */
  #cutOffMs = Number.NEGATIVE_INFINITY
  #handedOverMs = Number.NEGATIVE_INFINITY

  constructor(parts: FitnessParts) {
    this.#parts = parts
    this.#look()
  }

  get isFit(): boolean {
    return this.#cutOffSinceMs === undefined && this.#parts.clock.monotonic() - this.#cutOffMs >= STEADY_MS
  }

  /** Of one that waits, and sees the place free. @param freeSinceMs monotonic */
  mayTake(freeSinceMs: number): boolean {
    return this.isFit || this.#parts.clock.monotonic() - freeSinceMs >= LAST_RESORT_MS
  }

  /** A stretch of following begins; one at a time. @returns how to say that it has ended */
  follow(follower: Follower): () => void {
    this.#follower = follower
    return () => {
      if (this.#follower === follower) this.#follower = undefined
    }
  }

  /** Leaves no timer. */
  stop(): void {
    this.#timer?.cancel()
    this.#follower = undefined
  }

  #look(): void {
    const { clock, isCutOff } = this.#parts
    this.#timer = clock.after(LOOK_MS, () => this.#look())
    const nowMs = clock.monotonic()
    if (isCutOff()) {
      this.#cutOffSinceMs ??= nowMs
      this.#cutOffMs = nowMs
    } else this.#cutOffSinceMs = undefined
    void this.#consider()
  }

  async #consider(): Promise<void> {
    const follower = this.#follower
    if (follower === undefined || this.#isAsking || !this.#isDue) return
    this.#isAsking = true
    const isAwaited = await follower.isAwaited().catch(() => false)
    this.#isAsking = false
    // Its network may be back meanwhile, or the stretch at its end.
    if (!isAwaited || this.#follower !== follower || !this.#isDue) return
    this.#follower = undefined
    this.#handedOverMs = this.#parts.clock.monotonic()
    follower.handOver()
  }

  get #isDue(): boolean {
    const nowMs = this.#parts.clock.monotonic()
    const isCutOff = this.#cutOffSinceMs !== undefined && nowMs - this.#cutOffSinceMs >= CUT_OFF_MS
    return isCutOff && nowMs - this.#handedOverMs >= AGAIN_AFTER_MS
  }
}
