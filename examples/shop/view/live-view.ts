/**
 * What the shop looks like while it runs: how many requests, how quick, from where, and what that spares the database.
 *
 * Rates and latencies are those of the last few seconds; totals are since the start.
 */
import { styleText } from 'node:util'
import type { NodeReport } from 'ringtail'
import { LatencyHistogram } from '../shoppers/latency-histogram.ts'
import type { Tally } from '../shoppers/messages.ts'
import { bar, clockTime, columns, count, megabytes, milliseconds, percent } from './format.ts'

/** The shop at one moment. */
export interface Moment {
  /** Since the shoppers started. */
  readonly elapsedMs: number
  readonly tally: Tally
  readonly nodes: readonly NodeReport[]
  readonly shards: readonly { readonly id: string; readonly queries: number }[]
  /** Statements that caches spared the database. */
  readonly avoided: number
  readonly troubles: number
}

export interface Fixed {
  readonly forMs: number | undefined
  readonly products: number
  readonly replicas: number
  readonly nodesAre: string
  readonly databaseIs: string
}

/** Rates are over this many moments. */
const WINDOW = 6
const HISTORY = 40

export class LiveView {
  readonly #fixed: Fixed
  readonly #moments: Moment[] = []
  readonly #rates: number[] = []
  readonly #colour: boolean

  constructor(fixed: Fixed, colour: boolean) {
    this.#fixed = fixed
    this.#colour = colour
  }

  /** @returns the lines to draw */
  next(moment: Moment): string[] {
    this.#moments.push(moment)
    if (this.#moments.length > WINDOW) this.#moments.shift()
    const recent = lately(this.#moments)
    this.#rates.push(recent.perSecond)
    if (this.#rates.length > HISTORY) this.#rates.shift()
    const { tally } = moment
    const { accepted, refused } = tally.orders
    return [
      this.#headline(moment),
      // Two lines: in one, the second half would be beyond the edge of a terminal of 80 columns.
      this.#dim(` ${this.#fixed.nodesAre}`),
      this.#dim(` ${this.#fixed.databaseIs}; ${count(this.#fixed.products)} products, ${this.#fixed.replicas} copies of each entry`),
      '',
      this.#row('requests', `${count(recent.perSecond).padStart(7)} /s   ${columns(this.#rates, HISTORY)}`),
      this.#row(
        '',
        `${count(tally.requests.total).padStart(7)} in all: ${count(tally.requests.reads)} reads, ${count(tally.requests.writes)} writes, ${this.#failed(tally.requests.failed)}`,
      ),
      this.#row('hit rate', `${percent(recent.hitRate).padStart(7)}      of what was read before: ${percent(recent.repeatRate, 2)}`),
      this.#row(
        'latency',
        `    hit p50 ${milliseconds(recent.hit.p50)}, p99 ${milliseconds(recent.hit.p99)}   miss p50 ${milliseconds(recent.miss.p50)}, p99 ${milliseconds(recent.miss.p99)}`,
      ),
      this.#row('orders', `${count(accepted).padStart(7)} accepted, ${count(refused)} refused for lack of stock`),
      this.#row(
        'database',
        `${count(recent.queries).padStart(7)} statements/s, ${count(recent.avoided)} avoided   ${bar(recent.avoided / Math.max(1, recent.avoided + recent.queries), 20)}`,
      ),
      '',
      this.#dim(
        ` ${'node'.padEnd(14)} ${'share of keys'.padEnd(16)} ${'memory'.padEnd(26)} ${'entries'.padStart(8)} ${'hits'.padStart(9)}`,
      ),
      ...moment.nodes.map((node) => this.#node(node, moment.nodes.length)),
      '',
      this.#dim(` ${'shard'.padEnd(14)} ${'queries/s'.padStart(9)} ${'in all'.padStart(12)}`),
      ...moment.shards.map(
        ({ id, queries }, index) => ` ${id.padEnd(14)} ${count(recent.perShard[index]!).padStart(9)} ${count(queries).padStart(12)}`,
      ),
      this.#dim(
        ` Ctrl-C stops everything and shows the report.${moment.troubles > 0 ? `  ${count(moment.troubles)} troubles so far.` : ''}`,
      ),
    ]
  }

  #headline({ elapsedMs }: Moment): string {
    const { forMs } = this.#fixed
    return `${this.#bold(' The shop on Ringtail')}   ${forMs === undefined ? clockTime(elapsedMs) : `${clockTime(elapsedMs)} of ${clockTime(forMs)}`}`
  }

  #row(name: string, text: string): string {
    return ` ${this.#bold(name.padEnd(9))} ${text}`
  }

  #node(node: NodeReport, nodes: number): string {
    const used = node.usedBytes ?? 0
    const max = node.maxBytes ?? 0
    const share = `${bar(node.share * nodes * 0.5, 8)} ${percent(node.share).padStart(6)}`
    const memory = max === 0 ? `${' '.repeat(8)} ${megabytes(used)}` : `${bar(used / max, 8)} ${megabytes(used)} of ${megabytes(max)}`
    const state = node.up ? '' : this.#bold('  down')
    return ` ${node.id.padEnd(14)} ${share}  ${memory.padEnd(26)} ${count(node.entries ?? 0).padStart(8)} ${count(node.hits).padStart(9)}${state}`
  }

  #failed(failed: number): string {
    return failed === 0
      ? 'none failed'
      : this.#colour
        ? styleText('red', `${count(failed)} failed`, { validateStream: false })
        : `${count(failed)} failed`
  }

  #bold(text: string): string {
    return this.#colour ? styleText('bold', text, { validateStream: false }) : text
  }

  #dim(text: string): string {
    return this.#colour ? styleText('dim', text, { validateStream: false }) : text
  }
}

/** Rates and latencies between the first and the last of some moments. */
export function lately(moments: readonly Moment[]) {
  const [first, last] = [moments[0]!, moments.at(-1)!]
  const seconds = (last.elapsedMs - first.elapsedMs) / 1_000
  const perSecond = (of: (moment: Moment) => number) => (seconds > 0 ? (of(last) - of(first)) / seconds : 0)
  const pages = (of: (pages: Tally['pages']) => number) => of(last.tally.pages) - of(first.tally.pages)
  const cached = pages(({ hit, stale, negative }) => hit + stale + negative)
  const repeats = last.tally.repeats.reads - first.tally.repeats.reads
  return {
    perSecond: perSecond(({ tally }) => tally.requests.total),
    hitRate: cached / Math.max(1, cached + pages(({ miss }) => miss)),
    repeatRate: (last.tally.repeats.hits - first.tally.repeats.hits) / Math.max(1, repeats),
    hit: percentilesOf(first.tally.latency.hit, last.tally.latency.hit),
    miss: percentilesOf(first.tally.latency.miss, last.tally.latency.miss),
    queries: perSecond(({ shards }) => shards.reduce((sum, { queries }) => sum + queries, 0)),
    perShard: last.shards.map((_, index) => perSecond(({ shards }) => shards[index]!.queries)),
    avoided: perSecond(({ avoided }) => avoided),
  }
}

function percentilesOf(first: Float64Array, last: Float64Array): { p50: number | null; p99: number | null } {
  const histogram = new LatencyHistogram(last).since(new LatencyHistogram(first))
  return { p50: histogram.percentile(0.5), p99: histogram.percentile(0.99) }
}
