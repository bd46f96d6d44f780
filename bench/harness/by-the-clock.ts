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

const TICK_MS = 1
/** A timer may come this much after its time, ms. */
const TIMER_MS = 1

/** @param call one; when one rejects, no more are sent, and that is what this rejects with */
export async function byTheClock(call: () => Promise<unknown>, ratePerSecond: number, ms: number): Promise<Latencies> {
  const took: number[] = []
  const late: number[] = []
  const under: Promise<void>[] = []
  const failures: unknown[] = []
  const startMs = performance.now()
  let tickDueMs = startMs
  let sent = 0
  for (let isOver = false; !isOver && failures.length === 0; ) {
    const nowMs = performance.now()
    isOver = nowMs >= startMs + ms
    const lateMs = Math.max(0, nowMs - tickDueMs - TIMER_MS)
    late.push(lateMs)
    const fromMs = nowMs - lateMs
    const answered = () => void took.push(performance.now() - fromMs)
    const due = Math.floor((Math.min(nowMs - startMs, ms) * ratePerSecond) / 1_000)
    for (; sent < due; sent++) under.push(call().then(answered, (error) => void failures.push(error)))
    // From the tick's beginning: what it takes to send is time in which others wait to be sent.
    tickDueMs = nowMs + TICK_MS
    await new Promise((resolve) => setTimeout(resolve, TICK_MS))
  }
  await Promise.all(under)
  if (failures.length > 0) throw failures[0]
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
