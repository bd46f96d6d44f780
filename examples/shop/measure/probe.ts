/**
 * Carries operations out both ways and keeps how long each took. See `improvement.ts` for where it runs and why.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Operation } from './operations.ts'

export interface Improvement {
  readonly operation: Operation['name']
  /** Medians. */
  readonly databaseMs: number
  readonly cacheMs: number
  /** databaseMs / cacheMs. */
  readonly times: number
  /** Pairs measured. */
  readonly samples: number
  /** Pairs of which one side or the other failed: they are in no median. */
  readonly failed: number
}

/** What a test hands in. */
export interface ProbeClock {
  /** ms. */
  readonly now: () => number
  /** Resolves early, and without an error, when the signal aborts. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<unknown>
}

const EVERY_MS = 100
/** The first few of each are for connections, prepared statements and compiled code. */
const WARM_UP_PAIRS = 3
/** The newest so many are kept: what a long run was like lately. */
const KEPT_SAMPLES = 10_000

const systemProbeClock: ProbeClock = {
  now: () => performance.now(),
  pause: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {}),
}

interface Samples {
  readonly straight: number[]
  readonly cached: number[]
  failed: number
}

export class Probe {
  readonly #operations: readonly Operation[]
  readonly #clock: ProbeClock
  readonly #samples = new Map<string, Samples>()
  readonly #stopping = new AbortController()

  constructor(operations: readonly Operation[], clock = systemProbeClock) {
    this.#operations = operations
    this.#clock = clock
    for (const { name } of operations) this.#samples.set(name, { straight: [], cached: [], failed: 0 })
  }

  /** Resolves after `stop`. What fails is counted and tried again later. */
  async run(): Promise<void> {
    for (const { prepare } of this.#operations) await prepare?.().catch(() => {})
    for (let turn = 0; !this.#stopping.signal.aborted; turn++) {
      const at = turn % this.#operations.length
      // Which way comes first changes from round to round, whatever the number of operations.
      await this.#measure(this.#operations[at]!, Math.floor(turn / this.#operations.length) % 2 === 0)
      await this.#clock.pause(EVERY_MS, this.#stopping.signal)
    }
  }

  stop(): void {
    this.#stopping.abort()
  }

  /** Only of operations that were measured. */
  results(): Improvement[] {
    return this.#operations.flatMap(({ name }) => {
      const { straight, cached, failed } = this.#samples.get(name)!
      const from = straight.length > 2 * WARM_UP_PAIRS ? WARM_UP_PAIRS : 0
      if (straight.length === 0) return []
      const [databaseMs, cacheMs] = [median(straight.slice(from)), median(cached.slice(from))]
      return { operation: name, databaseMs, cacheMs, times: databaseMs / cacheMs, samples: straight.length - from, failed }
    })
  }

  async #measure(operation: Operation, straightFirst: boolean): Promise<void> {
    const id = operation.pick()
    if (id === undefined) return
    const samples = this.#samples.get(operation.name)!
    try {
      await operation.before?.(id)
      const first = await this.#timed(() => (straightFirst ? operation.straight(id) : operation.cached(id)))
      const second = await this.#timed(() => (straightFirst ? operation.cached(id) : operation.straight(id)))
      samples.straight.push(straightFirst ? first : second)
      samples.cached.push(straightFirst ? second : first)
    } catch {
      samples.failed++
    }
    for (const each of [samples.straight, samples.cached]) if (each.length > KEPT_SAMPLES) each.shift()
  }

  async #timed(work: () => Promise<unknown>): Promise<number> {
    const startMs = this.#clock.now()
    await work()
    return this.#clock.now() - startMs
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
