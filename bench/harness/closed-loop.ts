/**
 * A closed loop: so many callers, each of which asks again as soon as it was answered.
 *
 * It measures throughput, and says nothing of latency under a given load: a slow answer here delays the next question. The end is a flag
 * set by one timer, not a look at the clock a turn, for at several hundred thousand turns a second the measuring would be measured.
 */

/** What one run came to. */
export interface Measure {
  /** Turns a second. */
  readonly rate: number
  /** Processor time of this process a turn, µs. The server's is not in it. */
  readonly cpuUs: number
  /** The processor time that this process got, in cores. Much below 1 where it should be the bottleneck: the machine was busy elsewhere. */
  readonly cores: number
}

/** What the callers of one run share. */
export interface Turns {
  taken: number
  over: boolean
}

/** One caller: takes turns until they are over. A loop of its own in each workload, so that nothing lies between it and the library. */
export type Caller = (turns: Turns) => Promise<void>

/** Runs for at least `ms`. Rejects with the first caller's failure, once all have ended. */
export async function closedLoop(caller: Caller, inFlight: number, ms: number): Promise<Measure> {
  const turns: Turns = { taken: 0, over: false }
  const startMs = performance.now()
  const startCpu = process.cpuUsage()
  const timer = setTimeout(() => {
    turns.over = true
  }, ms)
  const guarded = async (): Promise<void> => {
    try {
      await caller(turns)
    } finally {
      turns.over = true
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: inFlight }, guarded))
  const seconds = (performance.now() - startMs) / 1_000
  const { user, system } = process.cpuUsage(startCpu)
  clearTimeout(timer)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  const cpuUs = user + system
  return { rate: turns.taken / seconds, cpuUs: cpuUs / turns.taken, cores: cpuUs / 1e6 / seconds }
}
