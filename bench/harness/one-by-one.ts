/**
 * One call after the other, each sent once the one before was answered: what a caller waits for where there is no other.
 */
import { LatencyCounts } from './latency-counts.ts'

export interface OneByOne {
  readonly counted: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/**
 * At least one call is made. Rejects with what a call rejects with.
 *
 * @param now ms. Default: the process's own clock.
 */
export async function oneByOne(call: () => Promise<unknown>, ms: number, now = () => performance.now()): Promise<OneByOne> {
  const latencies = new LatencyCounts()
  const endMs = now() + ms
  do {
    const fromMs = now()
    await call()
    latencies.add(now() - fromMs)
  } while (now() < endMs)
  return { counted: latencies.count, p50Ms: latencies.atMost(0.5), p99Ms: latencies.atMost(0.99) }
}
