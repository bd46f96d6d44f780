/**
 * The final report: one object, the same for a reader (`summary.ts`) and for a program (`--json`).
 */
import type { NodeReport } from 'ringtail'
import type { BadLine } from '../data/bad-lines.ts'
import type { Workload } from '../data/workload.ts'
import type { ReadBack } from '../database/read-back.ts'
import type { Shard } from '../database/shards.ts'
import type { Improvement } from '../measure/probe.ts'
import type { ShopOptions } from '../options.ts'
import type { Troubles } from '../services/http.ts'
import type { StockCapture } from '../services/stock-capture.ts'
import { LatencyHistogram } from '../shoppers/latency-histogram.ts'
import type { Tally } from '../shoppers/messages.ts'

export interface Percentiles {
  /** ms; null: there was no such read. */
  readonly p50: number | null
  readonly p99: number | null
  readonly p999: number | null
}

export interface Report {
  /** How long the shoppers shopped. */
  readonly seconds: number
  /** Share: the part of all keys of which the node is the first owner. Bytes: of the node; maxBytes 0: no limit. */
  readonly nodes: readonly { id: string; engine: string; share: number; entries: number; usedBytes: number; maxBytes: number }[]
  /** Queries: statements that the services sent while the shoppers shopped. */
  readonly shards: readonly { id: string; rows: number; queries: number }[]
  /** Products in the shop, the generated ones among them; rejected: lines of the file that could not be used. */
  readonly catalogue: { products: number; rejected: number; generated: number }
  readonly requests: { total: number; failed: number; reads: number; writes: number; perSecond: number }
  /**
   * Of product pages. Rate: the part that came from the cache. RepeatRate: the same among those whose product an earlier read had been
   * answered for before they were sent. A page and its stock are cached apart: a hit is a hit in both.
   */
  readonly hits: { rate: number; repeatRate: number; stale: number; negative: number; reads: number; repeats: number }
  /** Of product pages, as shoppers see them, HTTP included. */
  readonly latencyMs: { hit: Percentiles; miss: Percentiles }
  /** Statements: those that the services sent, and those that the same reads would have cost without caches (a lower bound: `services/avoided.ts`). */
  readonly database: { queries: number; avoided: number }
  readonly improvement: readonly Improvement[]
  /** Requests that did not fail / requests. */
  readonly availability: number
  /** Accepted, refused: as told to shoppers. Stored, duplicated: as found in the database. Duplicated counts ids that are there twice. */
  readonly orders: {
    accepted: number
    refused: number
    acceptedRate: number
    stored: number
    duplicated: number
    sentAgain: number
    answeredOtherwise: number
    leftPending: number
  }
  /**
   * Changes of stock that the databases told of, whoever made them. Mode: by the log, or an outbox. Losses: how often what was cached was
   * emptied, for changes may have been missed. p50Ms, p99Ms: from a commit to when the cache's nodes had it; null: there was none.
   */
  readonly captures: readonly {
    shard: string
    mode: StockCapture['mode']
    changes: number
    losses: number
    p50Ms: number | null
    p99Ms: number | null
  }[]
  /** Lowest stock of any product; unbalanced: products whose stock is not what accepted orders left of it. */
  readonly stock: { lowest: number; unbalanced: number }
  readonly data: {
    catalogue: string
    reads: string
    events: string
    lines: Workload['origin']['lines']
    objectsRead: number
    readRounds: number
    orderRounds: number
  }
  readonly badLines: readonly { file: string; count: number; shown: readonly BadLine[] }[]
  readonly nodesAre: string
  readonly databaseIs: string
  readonly options: { replicas: number; rate: number | null; seed: number; shoppers: number }
  /** What went wrong, in words: the last few of each kind. */
  readonly troubles: readonly string[]
}

export interface ReportParts {
  readonly options: ShopOptions
  readonly shoppers: number
  readonly workload: Workload
  readonly seconds: number
  readonly tally: Tally
  readonly nodes: readonly NodeReport[]
  /** Statements. */
  readonly avoided: number
  readonly shards: readonly Shard[]
  readonly queries: readonly number[]
  readonly captures: readonly StockCapture[]
  readonly readBack: ReadBack
  readonly leftPending: number
  readonly improvement: readonly Improvement[]
  readonly troubles: Troubles
  readonly nodesAre: string
  readonly databaseIs: string
}

export function buildReport(parts: ReportParts): Report {
  const { tally, workload, readBack } = parts
  const { pages, repeats } = tally
  const cached = pages.hit + pages.stale + pages.negative
  const { accepted, refused, sentAgain, answeredOtherwise } = tally.orders
  return {
    seconds: round(parts.seconds, 2),
    nodes: parts.nodes.map(({ id, engine, share, entries, usedBytes, maxBytes }) => {
      return { id, engine, share: round(share, 4), entries: entries ?? 0, usedBytes: usedBytes ?? 0, maxBytes: maxBytes ?? 0 }
    }),
    shards: parts.shards.map(({ id }, index) => ({ id, rows: readBack.rows[index]!, queries: parts.queries[index]! })),
    catalogue: { products: workload.products.length, rejected: workload.origin.rejected, generated: workload.origin.productsGenerated },
    requests: { ...tally.requests, perSecond: round(tally.requests.total / parts.seconds, 1) },
    hits: {
      rate: rate(cached, cached + pages.miss),
      repeatRate: rate(repeats.hits, repeats.reads),
      stale: pages.stale,
      negative: pages.negative,
      reads: cached + pages.miss,
      repeats: repeats.reads,
    },
    latencyMs: { hit: percentiles(tally.latency.hit), miss: percentiles(tally.latency.miss) },
    database: { queries: parts.queries.reduce((sum, queries) => sum + queries, 0), avoided: parts.avoided },
    improvement: parts.improvement.map((each) => ({
      ...each,
      databaseMs: round(each.databaseMs, 3),
      cacheMs: round(each.cacheMs, 3),
      times: round(each.times, 2),
    })),
    availability: rate(tally.requests.total - tally.requests.failed, tally.requests.total),
    orders: {
      accepted,
      refused,
      acceptedRate: rate(accepted, accepted + refused),
      stored: readBack.orders.stored,
      duplicated: readBack.orders.duplicated,
      sentAgain,
      answeredOtherwise,
      leftPending: parts.leftPending,
    },
    captures: parts.captures.map(captured),
    stock: readBack.stock,
    data: {
      catalogue: workload.origin.catalogue,
      reads: workload.origin.reads,
      events: workload.origin.events,
      lines: workload.origin.lines,
      objectsRead: workload.origin.objectsRead,
      readRounds: tally.readRounds,
      orderRounds: tally.orders.rounds,
    },
    badLines: workload.bad.map(({ file, count, shown }) => ({ file, count, shown })),
    nodesAre: parts.nodesAre,
    databaseIs: parts.databaseIs,
    options: { replicas: parts.options.replicas, rate: parts.options.rate ?? null, seed: parts.options.seed, shoppers: parts.shoppers },
    troubles: [...parts.troubles.last, ...tally.failures],
  }
}

function captured({ shard, mode, capture }: StockCapture): Report['captures'][number] {
  const { changes, losses, latency } = capture.stats()
  const ms = (value: number) => (latency.count === 0 ? null : round(value, 3))
  return { shard, mode, changes, losses, p50Ms: ms(latency.p50), p99Ms: ms(latency.p99) }
}

function percentiles(counts: Float64Array): Percentiles {
  const histogram = new LatencyHistogram(counts)
  const at = (fraction: number) => {
    const ms = histogram.percentile(fraction)
    return ms === null ? null : round(ms, 3)
  }
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}

/** 0 of 0 is 0. */
function rate(part: number, whole: number): number {
  return whole === 0 ? 0 : round(part / whole, 5)
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
