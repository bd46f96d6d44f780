/**
 * One call after the other, each sent once the one before was answered: what a caller waits for where there is no other.
 */
import { LatencyCounts } from './latency-counts.ts'

export interface OneByOne {
  readonly counted: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Rejects with what a call rejects with. */
export async function oneByOne(call: () => Promise<unknown>, ms: number): Promise<OneByOne> {
  const latencies = new LatencyCounts()
  const endMs = performance.now() + ms
  do {
    const fromMs = performance.now()
    await call()
    latencies.add(performance.now() - fromMs)
  } while (performance.now() < endMs)
  return { counted: latencies.count, p50Ms: latencies.atMost(0.5), p99Ms: latencies.atMost(0.99) }
}
