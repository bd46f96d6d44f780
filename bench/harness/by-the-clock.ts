/**
 * Calls that come by the clock, whether or not those before were answered, as users do: an open loop.
 *
 * A tick a millisecond sends what is due. A call's time counts from its tick; where the tick itself came late, because this process was busy, from
 * when it was due. So a pause of the process is a pause that callers see, and what a timer is coarse is not taken for one.
 */

export interface Latencies {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly calls: number
  /** How late ticks came, of a hundred the latest but one, ms. */
  readonly lateMs: number
}

/** A timer is allowed this much, ms. */
const TIMER_MS = 1.5

/** @param call one; what it rejects with ends the measuring */
export async function byTheClock(call: () => Promise<unknown>, ratePerSecond: number, ms: number): Promise<Latencies> {
  const took: number[] = []
  const late: number[] = []
  const under: Promise<void>[] = []
  const startMs = performance.now()
  let tickDueMs = startMs
  let sent = 0
  for (;;) {
    const nowMs = performance.now()
    const lateMs = Math.max(0, nowMs - tickDueMs - TIMER_MS)
    late.push(lateMs)
    const fromMs = nowMs - lateMs
    for (const due = Math.floor(((Math.min(nowMs, startMs + ms) - startMs) * ratePerSecond) / 1_000); sent < due; sent++) {
      under.push(call().then(() => void took.push(performance.now() - fromMs)))
    }
    if (nowMs >= startMs + ms) break
    tickDueMs = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(under)
  return { ...latencies(took), lateMs: percentile(late, 0.99) }
}

/** One call after the other, each sent once the one before was answered. */
export async function oneByOne(call: () => Promise<unknown>, ms: number): Promise<Latencies> {
  const took: number[] = []
  const endMs = performance.now() + ms
  do {
    const fromMs = performance.now()
    await call()
    took.push(performance.now() - fromMs)
  } while (performance.now() < endMs)
  return { ...latencies(took), lateMs: 0 }
}

function latencies(took: readonly number[]): Omit<Latencies, 'lateMs'> {
  return { p50Ms: percentile(took, 0.5), p99Ms: percentile(took, 0.99), calls: took.length }
}

function percentile(figures: readonly number[], part: number): number {
  const sorted = [...figures].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}
