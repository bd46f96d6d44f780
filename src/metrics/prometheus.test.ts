import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Outcomes } from './outcomes.ts'
import { prometheusText } from './prometheus.ts'

function text(): string {
  const outcomes = new Outcomes()
  outcomes.record('hit', 'n1', 0.5)
  outcomes.record('miss', 'n"2\\', 3)
  outcomes.recordWrite('write', true, 1)
  const store = { queries: 7, keysLoaded: 9, keysAvoided: 1, shards: [{ id: 's0', queries: 4 }] }
  const node = { id: 'n1', up: true, share: 0.25, entries: 10, usedBytes: 100, maxBytes: 0, evicted: undefined }
  return prometheusText({ caches: { product: { ...outcomes.snapshot(), store } }, nodes: [node] })
}

test('every sample line is name, labels, number; every family is described once, before its samples', () => {
  const described = new Set<string>()
  for (const line of text().trimEnd().split('\n')) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line)
    if (type !== null) {
      assert.ok(!described.has(type[1]!), line)
      described.add(type[1]!)
    } else if (!line.startsWith('# HELP ')) {
      const sample = /^(\w+?)(_sum|_count|_bucket)?\{(\w+="([^"\\\n]|\\.)*",?)+\} -?\d+(\.\d+)?(e-?\d+)?$/.exec(line)
      assert.ok(sample !== null, line)
      assert.ok(described.has(sample[1]!) || described.has(`${sample[1]}${sample[2]}`), line)
    }
  }
  assert.ok(described.size >= 12)
})

test('counts, shards and nodes are told; what a node could not say is left out', () => {
  const scrape = text()
  assert.match(scrape, /^ringtail_reads_total\{cache="product",outcome="hit"\} 1$/m)
  assert.match(scrape, /^ringtail_store_avoided_total\{cache="product"\} 1$/m)
  assert.match(scrape, /^ringtail_shard_queries_total\{cache="product",shard="s0"\} 4$/m)
  assert.match(scrape, /^ringtail_node_up\{node="n1"\} 1$/m)
  assert.doesNotMatch(scrape, /ringtail_node_evicted_total/)
})

test('how much a cache packs is told of those that do', () => {
  assert.doesNotMatch(text(), /ringtail_packed/)
  const outcomes = new Outcomes()
  outcomes.packing = () => ({ dictionary: 5, level: 3, bytesIn: 900, bytesOut: 300, tookMs: 1_500, known: 1, trained: 1, notFound: 2 })
  const scrape = prometheusText({ caches: { product: outcomes.snapshot() } })
  assert.match(scrape, /^ringtail_packed_bytes_in_total\{cache="product"\} 900$/m)
  assert.match(scrape, /^ringtail_packed_bytes_out_total\{cache="product"\} 300$/m)
  assert.match(scrape, /^ringtail_packing_seconds_total\{cache="product"\} 1.5$/m)
  assert.match(scrape, /^ringtail_dictionaries_not_found_total\{cache="product"\} 2$/m)
})

test('queues are told by kind, with their bounds, but for kinds that there are none of', () => {
  const queues = { loads: { depth: 3, bound: 65_536 }, busWaiting: { depth: 0, bound: 0 } }
  const scrape = prometheusText({ caches: {}, queues })
  assert.match(scrape, /^ringtail_queue_depth\{queue="loads"\} 3$/m)
  assert.match(scrape, /^ringtail_queue_bound\{queue="loads"\} 65536$/m)
  assert.doesNotMatch(scrape, /busWaiting/)
})

test('quotes and backslashes in a label are escaped', () => {
  assert.match(text(), /node="n\\"2\\\\"/)
})

test('latencies are cumulative buckets that end with all', () => {
  const counts = [...text().matchAll(/^ringtail_call_seconds_bucket\{cache="product",kind="hit",le="([^"]+)"\} (\d+)$/gm)]
  assert.equal(counts.at(-1)![1], '+Inf')
  assert.equal(counts.at(-1)![2], '1')
  assert.equal(counts.find((each) => each[1] === '0.0001')![2], '0')
  assert.deepEqual(
    counts.map((each) => Number(each[2])),
    counts.map((each) => Number(each[2])).toSorted((a, b) => a - b),
  )
})
