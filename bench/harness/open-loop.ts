/**
 * An open loop: so many arrivals a second by the clock, whether or not those before were answered, as users arrive.
 *
 * Arrivals are due at equal distances. In every turn of the event loop those that have become due are let in, one by one, and no more than had when
 * the turn began; so whoever uses the loop for long has them come together, as requests do that a busy process reads from its sockets. Latency runs
 * from when an arrival was due, not from when it was let in: what waited because the process was busy has waited. How late arrivals were let in is
 * told beside it. Where that is much, it was the process, not the server, that was too slow.
 *
 * The loop is kept turning, which takes all of a core; or it rests between turns, where others need the core. For how long a timer is meant to rest is
 * then not taken for a wait, as nobody waits for it but these arrivals: latency runs from the turn, or from when that was due if it came late.
 */
import { LatencyCounts } from './latency-counts.ts'

export interface ArrivalPlan {
  /** Arrivals a second. */
  readonly rate: number
  /** What comes in the beginning is not counted, ms. */
  readonly warmUpMs: number
  /** After that, ms. */
  readonly ms: number
  /** Between two turns, ms. Default 0: the loop is kept turning. */
  readonly restMs?: number
  /** It is ended early when more than so many wait for an answer. Default: the arrivals of a tenth of a second, and at least 1,000. */
  readonly mostWaiting?: number
}

export interface Arriving<T> {
  /** @param nth from 0 */
  readonly call: (nth: number) => Promise<T>
  /** Whether that is the answer to the call. Default: every answer is. */
  readonly isRight?: (answer: T, nth: number) => boolean
}

export interface Arrivals {
  readonly rate: number
  readonly counted: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  /** How late 99 % of the arrivals were let in at most. */
  readonly lagP99Ms: number
  /** Of all: rejected, not answered, or answered with something else than was asked for. */
  readonly failed: number
  /** What the first of them was rejected with. */
  readonly failure?: string | undefined
  /** Whether it was ended early. */
  readonly overrun: boolean
}

const WAITING_SECONDS = 0.1
const WAITING_AT_LEAST = 1_000
/** What is not answered so long after the last arrival has failed, ms. */
const ANSWERED_WITHIN_MS = 5_000
/** A timer may come this much after its time, ms. */
const TIMER_MS = 1
/** A turn of the loop lasts no less, ms: turning it as fast as it goes makes more garbage than any library does, 400 bytes every 2 µs. */
const LEAST_TURN_MS = 0.01

/** What tells a loop the time, and lets it have its next turn. */
export interface Turning {
  /** ms. */
  readonly now: () => number
  /**
   * @param fromMs when the turn before began
   * @param restMs between the two turns
   */
  readonly next: (turn: () => void, fromMs: number, restMs: number) => void
}

const now = (): number => performance.now()
const EVENT_LOOP: Turning = {
  now,
  next(turn, fromMs, restMs) {
    if (restMs > 0) return void setTimeout(turn, restMs)
    while (now() - fromMs < LEAST_TURN_MS);
    setImmediate(turn)
  },
}

/** @param turning default: the event loop, and the process's own clock */
export function openLoop<T>({ call, isRight }: Arriving<T>, plan: ArrivalPlan, turning = EVENT_LOOP): Promise<Arrivals> {
  const { rate, warmUpMs, ms, restMs = 0 } = plan
  const gapMs = 1_000 / rate
  const total = Math.ceil((warmUpMs + ms) / gapMs)
  const mostWaiting = plan.mostWaiting ?? Math.max(WAITING_AT_LEAST, rate * WAITING_SECONDS)
  const latencies = new LatencyCounts()
  const lags = new LatencyCounts()
  let next = 0
  let answered = 0
  let failed = 0
  let failure: string | undefined
  let overrun = false
  const startMs = turning.now()
  const passedMs = (): number => turning.now() - startMs

  const letIn = async (nth: number, fromMs: number, isCounted: boolean): Promise<void> => {
    try {
      const answer = await call(nth)
      if (isRight !== undefined && !isRight(answer, nth)) failed++
    } catch (thrown) {
      failed++
      failure ??= String(thrown)
    }
    answered++
    if (isCounted) latencies.add(passedMs() - fromMs)
  }
  /** @param sinceMs latencies run from no earlier */
  const letAllIn = (sinceMs: number): void => {
    const due = Math.min(total, Math.floor(passedMs() / gapMs) + 1)
    while (next < due) {
      const dueMs = next * gapMs
      const fromMs = Math.max(dueMs, sinceMs)
      const isCounted = dueMs >= warmUpMs
      if (isCounted) lags.add(passedMs() - fromMs)
      void letIn(next++, fromMs, isCounted)
    }
    overrun ||= next - answered > mostWaiting
  }
  return new Promise((resolve) => {
    let turnDueMs = 0
    let lastMs = 0
    const turn = (): void => {
      const nowMs = passedMs()
      if (next < total && !overrun) {
        letAllIn(restMs === 0 ? 0 : Math.min(nowMs, turnDueMs + TIMER_MS))
        lastMs = passedMs()
      }
      const isGoing = next < total && !overrun
      if (isGoing || (answered < next && passedMs() - lastMs < ANSWERED_WITHIN_MS)) {
        // From the turn's beginning: what it takes to let arrivals in is time in which others wait for that.
        turnDueMs = nowMs + restMs
        turning.next(turn, startMs + nowMs, restMs)
        return
      }
      failed += next - answered
      const [p50Ms, p99Ms, p999Ms] = [0.5, 0.99, 0.999].map((share) => latencies.atMost(share)) as [number, number, number]
      resolve({ rate, counted: latencies.count, p50Ms, p99Ms, p999Ms, lagP99Ms: lags.atMost(0.99), failed, failure, overrun })
    }
    turning.next(turn, startMs, 0)
  })
}
