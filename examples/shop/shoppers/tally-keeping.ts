/** Keeps the tally of one run of shoppers. */
import { LatencyHistogram } from './latency-histogram.ts'
import { OUTCOMES, type PageOutcome, type Tally } from './messages.ts'

const KEPT_FAILURES = 10

export class TallyKeeping {
  readonly #hit = new LatencyHistogram()
  readonly #miss = new LatencyHistogram()
  readonly #seen: Uint8Array
  readonly tally: Tally

  constructor(products: number) {
    this.#seen = new Uint8Array(products)
    this.tally = emptyTally(this.#hit, this.#miss)
  }

  sent(kind: 'read' | 'write'): void {
    this.tally.requests.total++
    this.tally.requests[kind === 'read' ? 'reads' : 'writes']++
  }

  failed(what: string): void {
    this.tally.requests.failed++
    this.tally.failures.push(what)
    if (this.tally.failures.length > KEPT_FAILURES) this.tally.failures.shift()
  }

  /** Whether a read of the product was answered before: to be asked when the next one is sent. */
  wasRead(product: number): boolean {
    return this.#seen[product] === 1
  }

  pageAnswered(product: number, wasRead: boolean, said: unknown, ms: number): void {
    const outcome: PageOutcome = OUTCOMES.find((each) => each === said) ?? 'miss'
    const fromCache = outcome !== 'miss'
    this.tally.pages[outcome]++
    ;(fromCache ? this.#hit : this.#miss).record(ms)
    if (wasRead) {
      this.tally.repeats.reads++
      if (fromCache) this.tally.repeats.hits++
    }
    this.#seen[product] = 1
  }
}

export function emptyTally(hit = new LatencyHistogram(), miss = new LatencyHistogram()): Tally {
  return {
    requests: { total: 0, failed: 0, reads: 0, writes: 0 },
    pages: { hit: 0, stale: 0, negative: 0, miss: 0 },
    repeats: { reads: 0, hits: 0 },
    latency: { hit: hit.counts, miss: miss.counts },
    orders: { accepted: 0, refused: 0, sentAgain: 0, answeredOtherwise: 0, rounds: 0 },
    readRounds: 0,
    failures: [],
  }
}
