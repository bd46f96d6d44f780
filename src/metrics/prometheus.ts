/**
 * A tier's counts in Prometheus's text format (version 0.0.4), for an endpoint of the application's own.
 *
 * Labels are caches, nodes, shards and outcomes, which are few and fixed; never keys. Latencies are histograms, which can be added up over processes.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { QueueDepth, QueueName } from '../queues.ts'
import type { HistogramSnapshot } from './histogram.ts'
import type { CacheMetrics, OutcomeCounts, PackingReport } from './outcomes.ts'

/** What of a tier's metrics is told, typed by structure: `tier.metrics()` and `await tier.nodes()` fit. */
export interface PrometheusSource {
  readonly caches: Readonly<
    Record<
      string,
      CacheMetrics & {
        readonly store?:
          | { readonly queries: number; readonly keysLoaded: number; readonly keysAvoided: number; readonly shards: readonly ShardCounts[] }
          | undefined
      }
    >
  >
  readonly nodes?: readonly NodeGauges[] | undefined
  readonly consistency?: Readonly<Record<string, CheckCounts>> | undefined
  /** By name of the queue: `tier.metrics().queues`. */
  readonly queues?: Readonly<Partial<Record<QueueName, QueueDepth>>> | undefined
}

interface CheckCounts {
  readonly checkedCopies: number
  readonly checkedPrimaries: number
  readonly staleCopies: number
  readonly stalePrimaries: number
  readonly findings: number
  readonly unjudged: number
  readonly sweeps: number
}

interface ShardCounts {
  readonly id: string
  readonly queries: number
  readonly guard?:
    | {
        readonly state: 'up' | 'suspect' | 'down' | 'returning'
        readonly limit: number
        readonly underWay: number
        readonly waiting: number
        readonly failed: number
        readonly shed: number
      }
    | undefined
}

interface NodeGauges {
  readonly id: string
  readonly up: boolean
  readonly share: number
  readonly entries: number | undefined
  readonly usedBytes: number | undefined
  readonly maxBytes: number | undefined
  readonly evicted: number | undefined
}

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number]

/**
 * @returns the text of a scrape, ending with a line feed
 * @example reply.type('text/plain; version=0.0.4').send(prometheusText({ ...tier.metrics(), nodes: await tier.nodes() }))
 */
export function prometheusText(source: PrometheusSource): string {
  const caches = Object.entries(source.caches)
  const each = (samplesOf: (cache: PrometheusSource['caches'][string], name: string) => Sample[]) =>
    caches.flatMap(([name, cache]) => samplesOf(cache, name))
  const nodes = source.nodes ?? []
  const gauge = (of: (node: NodeGauges) => number | undefined): Sample[] =>
    nodes.flatMap((node) => {
      const value = of(node)
      return value === undefined ? [] : [[{ node: node.id }, value] as const]
    })
  return [
    family(
      'ringtail_reads_total',
      'counter',
      'Reads by outcome.',
      each((cache, name) => outcomeSamples(cache, { cache: name })),
    ),
    family(
      'ringtail_node_reads_total',
      'counter',
      'Reads by the node that answered; outcome error: tries that it failed and changes that it missed.',
      each((cache, name) => Object.entries(cache.byNode).flatMap(([node, counts]) => outcomeSamples(counts, { cache: name, node }))),
    ),
    family(
      'ringtail_near_hits_total',
      'counter',
      'Reads answered by the near cache.',
      each((cache, name) => [[{ cache: name }, cache.nearHits]]),
    ),
    family(
      'ringtail_writes_total',
      'counter',
      'Keys set or updated.',
      each((cache, name) => [[{ cache: name }, cache.writes]]),
    ),
    family(
      'ringtail_deletes_total',
      'counter',
      'Keys deleted.',
      each((cache, name) => [[{ cache: name }, cache.deletes]]),
    ),
    family(
      'ringtail_failed_writes_total',
      'counter',
      'Keys whose set, update or delete failed.',
      each((cache, name) => [[{ cache: name }, cache.failedWrites]]),
    ),
    family(
      'ringtail_bypassed_total',
      'counter',
      'Operations for which no owner could answer.',
      each((cache, name) => [[{ cache: name }, cache.bypassed]]),
    ),
    family(
      'ringtail_store_queries_total',
      'counter',
      'Calls to the store.',
      each((cache, name) => (cache.store ? [[{ cache: name }, cache.store.queries]] : [])),
    ),
    family(
      'ringtail_store_avoided_total',
      'counter',
      'Reads answered without the store.',
      each((cache, name) => (cache.store ? [[{ cache: name }, cache.store.keysAvoided]] : [])),
    ),
    family(
      'ringtail_shard_queries_total',
      'counter',
      'Statements by shard.',
      each((cache, name) => (cache.store?.shards ?? []).map((shard) => [{ cache: name, shard: shard.id }, shard.queries] as const)),
    ),
    ...shardFamilies(caches),
    ...packingFamilies(caches),
    ...latencyFamily(
      caches.flatMap(([name, cache]) =>
        Object.entries(cache.latencyMs).map(([kind, snapshot]) => [{ cache: name, kind }, snapshot] as const),
      ),
    ),
    family(
      'ringtail_node_up',
      'gauge',
      '1 when the node answered last.',
      gauge((node) => (node.up ? 1 : 0)),
    ),
    family(
      'ringtail_node_share',
      'gauge',
      'Part of all keys of which the node is the first owner.',
      gauge((node) => node.share),
    ),
    family(
      'ringtail_node_entries',
      'gauge',
      'Entries held.',
      gauge((node) => node.entries),
    ),
    family(
      'ringtail_node_used_bytes',
      'gauge',
      'Memory used.',
      gauge((node) => node.usedBytes),
    ),
    family(
      'ringtail_node_max_bytes',
      'gauge',
      'Memory limit; 0: none.',
      gauge((node) => node.maxBytes),
    ),
    family(
      'ringtail_node_evicted_total',
      'counter',
      'Entries evicted since the node started.',
      gauge((node) => node.evicted),
    ),
    ...queueFamilies(Object.entries(source.queues ?? {})),
    ...consistencyFamilies(Object.entries(source.consistency ?? {})),
  ].join('')
}

/** Of the guards before a store's shards, where there are any. */
function shardFamilies(caches: readonly (readonly [name: string, cache: PrometheusSource['caches'][string]])[]): string[] {
  const guarded = caches.flatMap(([cache, { store }]) =>
    (store?.shards ?? []).flatMap(({ id, guard }) => (guard === undefined ? [] : [{ labels: { cache, shard: id }, guard }])),
  )
  if (guarded.length === 0) return []
  const each = (of: (guard: (typeof guarded)[number]['guard']) => number): Sample[] =>
    guarded.map(({ labels, guard }) => [labels, of(guard)] as const)
  return [
    family(
      'ringtail_shard_up',
      'gauge',
      '0 while the shard is down or returning: not asked, but by a few that try.',
      each(({ state }) => (state === 'up' || state === 'suspect' ? 1 : 0)),
    ),
    family(
      'ringtail_shard_limit',
      'gauge',
      'Calls that may be under way at once.',
      each(({ limit }) => limit),
    ),
    family(
      'ringtail_shard_under_way',
      'gauge',
      'Calls under way.',
      each(({ underWay }) => underWay),
    ),
    family(
      'ringtail_shard_waiting',
      'gauge',
      'Calls waiting in line.',
      each(({ waiting }) => waiting),
    ),
    family(
      'ringtail_shard_failed_total',
      'counter',
      "Calls that failed for the shard's sake.",
      each(({ failed }) => failed),
    ),
    family(
      'ringtail_shard_shed_total',
      'counter',
      'Calls that were shed.',
      each(({ shed }) => shed),
    ),
  ]
}

/** Of caches whose values are packed by dictionaries. */
function packingFamilies(caches: readonly (readonly [name: string, cache: PrometheusSource['caches'][string]])[]): string[] {
  const packed = caches.flatMap(([cache, { packing }]) => (packing === undefined ? [] : [{ labels: { cache }, packing }]))
  const each = (of: (packing: PackingReport) => number): Sample[] => packed.map(({ labels, packing }) => [labels, of(packing)] as const)
  const bytesIn = each((packing) => packing.bytesIn)
  const bytesOut = each((packing) => packing.bytesOut)
  const took = each((packing) => packing.tookMs / 1000)
  const notFound = each((packing) => packing.notFound)
  return [
    family('ringtail_packed_bytes_in_total', 'counter', 'Bytes of values that were packed or left alone.', bytesIn),
    family('ringtail_packed_bytes_out_total', 'counter', 'Bytes that they became.', bytesOut),
    family('ringtail_packing_seconds_total', 'counter', 'Time that packing took.', took),
    family('ringtail_dictionaries_not_found_total', 'counter', 'Dictionaries that entries name and no node had.', notFound),
  ]
}

/** Of a kind that the tier has none of nothing is told. */
function queueFamilies(queues: readonly (readonly [queue: string, depth: QueueDepth])[]): string[] {
  const known = queues.filter(([, { bound }]) => bound > 0)
  if (known.length === 0) return []
  const each = (of: (queue: QueueDepth) => number): Sample[] => known.map(([queue, depth]) => [{ queue }, of(depth)] as const)
  return [
    family(
      'ringtail_queue_depth',
      'gauge',
      'What waits or is under way in the fullest queue of each kind.',
      each(({ depth }) => depth),
    ),
    family(
      'ringtail_queue_bound',
      'gauge',
      'What may be in it.',
      each(({ bound }) => bound),
    ),
  ]
}

function consistencyFamilies(checks: readonly (readonly [cache: string, counts: CheckCounts])[]): string[] {
  const byOwner = (all: (counts: CheckCounts) => number, primaries: (counts: CheckCounts) => number): Sample[] =>
    checks.flatMap(([cache, counts]) => [
      [{ cache, owner: 'primary' }, primaries(counts)],
      [{ cache, owner: 'replica' }, all(counts) - primaries(counts)],
    ])
  const each = (of: (counts: CheckCounts) => number): Sample[] => checks.map(([cache, counts]) => [{ cache }, of(counts)] as const)
  const checked = byOwner(
    ({ checkedCopies }) => checkedCopies,
    ({ checkedPrimaries }) => checkedPrimaries,
  )
  const stale = byOwner(
    ({ staleCopies }) => staleCopies,
    ({ stalePrimaries }) => stalePrimaries,
  )
  const findings = each((counts) => counts.findings)
  const unjudged = each((counts) => counts.unjudged)
  const sweeps = each((counts) => counts.sweeps)
  return [
    family('ringtail_consistency_copies_total', 'counter', 'Copies judged by the consistency check.', checked),
    family('ringtail_consistency_stale_total', 'counter', 'Of them, those served longer than the bound after something newer.', stale),
    family('ringtail_consistency_findings_total', 'counter', 'Distinct stale copies found.', findings),
    family('ringtail_consistency_unjudged_total', 'counter', 'Copies that could not be judged.', unjudged),
    family('ringtail_consistency_sweeps_total', 'counter', 'Whole sweeps over all keys.', sweeps),
  ]
}

function outcomeSamples(counts: Readonly<OutcomeCounts>, labels: Labels): Sample[] {
  return [
    [{ ...labels, outcome: 'hit' }, counts.hits],
    [{ ...labels, outcome: 'stale' }, counts.stale],
    [{ ...labels, outcome: 'negative' }, counts.negativeHits],
    [{ ...labels, outcome: 'miss' }, counts.misses],
    [{ ...labels, outcome: 'error' }, counts.errors],
  ]
}

function family(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return ''
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map(([labels, value]) => line(name, labels, value)).join('')}`
}

function latencyFamily(snapshots: readonly (readonly [Labels, HistogramSnapshot])[]): string[] {
  const name = 'ringtail_call_seconds'
  const lines = snapshots.flatMap(([labels, { buckets, count, sum }]) => [
    ...buckets.map((bucket) => line(`${name}_bucket`, { ...labels, le: String(bucket.upToMs / 1000) }, bucket.count)),
    line(`${name}_bucket`, { ...labels, le: '+Inf' }, count),
    line(`${name}_sum`, labels, sum / 1000),
    line(`${name}_count`, labels, count),
  ])
  return lines.length === 0 ? [] : [`# HELP ${name} Durations of whole calls.\n# TYPE ${name} histogram\n`, ...lines]
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(
    ([label, text]) => `${label}="${text.replace(/[\\"\n]/g, (each) => (each === '\n' ? '\\n' : `\\${each}`))}"`,
  )
  return `${name}{${pairs.join(',')}} ${value}\n`
}
