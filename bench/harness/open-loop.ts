/**
 * An open loop: so many arrivals a second by the clock, whether or not those before were answered, as users arrive.
 *
 * Arrivals are due at equal distances. In every turn of the event loop, which is kept turning, those that have become due are let in, one by one,
 * and no more than had when the turn began; so whoever uses the loop for long has them come together, as requests do that a busy process
 * reads from its sockets. Latency runs from when an arrival was due, not from when it was let in: what waited because the process was busy has
 * waited. How late arrivals were let in is told beside it. Where that is much, it was the process, not the server, that was too slow.
 */
import type { Contestant } from './contestant.ts'
import { LatencyCounts } from './latency-counts.ts'
import { type Catalogue, productOfTurn } from './products.ts'

export interface ArrivalPlan {
  /** Arrivals a second. */
  readonly rate: number
  /** What comes in the beginning is not counted, ms. */
  readonly warmUpMs: number
  /** After that, ms. */
  readonly ms: number
}

export interface Arrivals {
  readonly rate: number
  readonly counted: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  /** How late 99 % of the arrivals were let in at most. */
  readonly lagP99Ms: number
  /** Of all: rejected, or answered with something else than the product asked for. */
  readonly failed: number
  /** Whether it was ended early, for what waited came to a tenth of a second's arrivals and more. */
  readonly overrun: boolean
}

const WAITING_SECONDS = 0.1
const WAITING_AT_LEAST = 1_000
/** What is not answered so long after the last arrival has failed, ms. */
const ANSWERED_WITHIN_MS = 5_000

export function openLoop(contestant: Contestant, { keys }: Catalogue, { rate, warmUpMs, ms }: ArrivalPlan): Promise<Arrivals> {
  const gapMs = 1_000 / rate
  const total = Math.ceil((warmUpMs + ms) / gapMs)
  const mostWaiting = Math.max(WAITING_AT_LEAST, rate * WAITING_SECONDS)
  const latencies = new LatencyCounts()
  const lags = new LatencyCounts()
  let next = 0
  let answered = 0
  let failed = 0
  let overrun = false
  const startMs = performance.now()

  const ask = async (turn: number, dueMs: number): Promise<void> => {
    const id = productOfTurn(turn, keys.length)
    try {
      const product = await contestant.get(keys[id]!)
      if (product?.id !== id) failed++
    } catch {
      failed++
    }
    answered++
    if (dueMs >= warmUpMs) latencies.add(performance.now() - startMs - dueMs)
  }
  const letIn = (): void => {
    const due = Math.min(total, Math.floor((performance.now() - startMs) / gapMs) + 1)
    while (next < due) {
      const dueMs = next * gapMs
      if (dueMs >= warmUpMs) lags.add(performance.now() - startMs - dueMs)
      void ask(next++, dueMs)
    }
    overrun ||= next - answered > mostWaiting
  }
  return new Promise((resolve) => {
    let lastMs = 0
    const turn = (): void => {
      if (next < total && !overrun) {
        letIn()
        lastMs = performance.now()
      }
      const isGoing = next < total && !overrun
      if (isGoing || (answered < next && performance.now() - lastMs < ANSWERED_WITHIN_MS)) setImmediate(turn)
      else {
        failed += next - answered
        const [p50Ms, p99Ms, p999Ms] = [0.5, 0.99, 0.999].map((share) => latencies.atMost(share)) as [number, number, number]
        resolve({ rate, counted: latencies.count, p50Ms, p99Ms, p999Ms, lagP99Ms: lags.atMost(0.99), failed, overrun })
      }
    }
    setImmediate(turn)
  })
}
