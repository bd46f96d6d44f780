import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeReport } from 'ringtail'
import { Troubles } from '../services/http.ts'
import { LatencyHistogram } from '../shoppers/latency-histogram.ts'
import { emptyTally } from '../shoppers/tally-keeping.ts'
import { summarize } from '../view/summary.ts'
import { buildReport, type ReportParts } from './report.ts'

function parts(): ReportParts {
  const hit = new LatencyHistogram()
  for (let read = 0; read < 100; read++) hit.record(1 + read / 100)
  const tally = emptyTally(hit)
  tally.requests = { total: 1_000, failed: 2, reads: 900, writes: 100 }
  tally.pages = { hit: 690, stale: 9, negative: 1, miss: 100 }
  tally.repeats = { reads: 500, hits: 499 }
  tally.orders = { ...tally.orders, accepted: 30, refused: 10 }
  tally.failures = ['GET /products/x: 500']
  return {
    options: {
      catalogue: undefined,
      reads: undefined,
      events: undefined,
      nodes: [],
      databases: [],
      replicas: 3,
      rate: undefined,
      seed: 1,
      forMs: 1_000,
      json: true,
    },
    shoppers: 16,
    workload: {
      products: { length: 7 },
      bad: [{ file: 'f', count: 2, shown: [] }],
      origin: {
        catalogue: 'c',
        reads: 'r',
        events: 'e',
        productsOfFile: 5,
        productsGenerated: 2,
        rejected: 2,
        objectsRead: 7,
        lines: { sales: 1, cancellations: 0, adjustments: 0 },
      },
    } as unknown as ReportParts['workload'],
    seconds: 2,
    tally,
    nodes: [{ id: 'n', engine: 'redis', share: 1, entries: 3, usedBytes: 10, maxBytes: undefined }] as unknown as NodeReport[],
    avoided: 14,
    shards: [{ id: 's' }] as unknown as ReportParts['shards'],
    queries: [50],
    captures: [
      {
        shard: 's',
        mode: 'replication',
        capture: { stats: () => ({ changes: 4, losses: 0, latency: { count: 3, p50: 2, p99: 8.12345 } }) },
      } as unknown as ReportParts['captures'][number],
    ],
    readBack: { rows: [99], orders: { stored: 30, duplicated: 0, refused: 10, pending: 0 }, stock: { lowest: 0, unbalanced: 0 } },
    leftPending: 0,
    improvement: [{ operation: 'product read', databaseMs: 2, cacheMs: 0.5, times: 4, samples: 10, failed: 0 }],
    troubles: new Troubles(),
    nodesAre: 'one node',
    databaseIs: 'one shard',
  }
}

test('the report has what it promises, under these names', () => {
  const report = buildReport(parts())
  assert.equal(report.seconds, 2)
  assert.deepEqual(report.nodes, [{ id: 'n', engine: 'redis', share: 1, entries: 3, usedBytes: 10, maxBytes: 0 }])
  assert.deepEqual(report.shards, [{ id: 's', rows: 99, queries: 50 }])
  assert.deepEqual(report.catalogue, { products: 7, rejected: 2, generated: 2 })
  assert.deepEqual(report.requests, { total: 1_000, failed: 2, reads: 900, writes: 100, perSecond: 500 })
  assert.deepEqual(report.hits, { rate: 0.875, repeatRate: 0.998, stale: 9, negative: 1, reads: 800, repeats: 500 })
  assert.deepEqual(report.latencyMs.miss, { p50: null, p99: null, p999: null })
  assert.ok(Math.abs(report.latencyMs.hit.p50! - 1.5) < 0.07 && report.latencyMs.hit.p99! > report.latencyMs.hit.p50!)
  assert.deepEqual(report.database, { queries: 50, avoided: 14 })
  assert.deepEqual(report.improvement, [{ operation: 'product read', databaseMs: 2, cacheMs: 0.5, times: 4, samples: 10, failed: 0 }])
  assert.equal(report.availability, 0.998)
  assert.deepEqual([report.orders.accepted, report.orders.stored, report.orders.acceptedRate], [30, 30, 0.75])
  assert.deepEqual(report.captures, [{ shard: 's', mode: 'replication', changes: 4, losses: 0, p50Ms: 2, p99Ms: 8.123 }])
  assert.deepEqual(report.troubles, ['GET /products/x: 500'])
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report)
})

test('the report in words tells the same, and shouts when the books do not balance', () => {
  const text = summarize(buildReport(parts()))
  assert.match(text, /1,000 requests \(500\/s\)/)
  assert.match(text, /87\.50 % of 800 product pages/)
  assert.match(text, /product read +2\.00 ms → +0\.50 ms +4\.0 times/)
  assert.match(text, /4 changes of it came by the log of 1 shard, p99 8\.12 ms after/)
  assert.match(text, /for every product it is what accepted orders left of it/)
  assert.ok(text.split('\n').every((line) => line.length <= 120))
  const wrong = { ...parts(), readBack: { ...parts().readBack, stock: { lowest: 0, unbalanced: 3 } } }
  assert.match(summarize(buildReport(wrong)), /for 3 products it is NOT/)
})
