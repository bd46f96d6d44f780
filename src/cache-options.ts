/**
 * What a cache is given, checked once and in milliseconds from there on.
 */
import type { WriteLevel } from './cluster/cluster.ts'
import type { CodecOptions } from './codec/codec-options.ts'
import { ConfigurationError } from './errors.ts'
import { type Duration, durationMs, fraction, knownOptions, oneOf, wholeNumber } from './options.ts'
import type { Placement } from './ring/ring.ts'
import type { StrategyChoice } from './strategy/strategy.ts'

export interface CacheOptions<V> {
  /** `cacheAside()`, `readThrough(reader)`, `writeThrough(store)` or `writeAround(store)`. */
  readonly strategy: StrategyChoice<V>
  /** How long a value is fresh. */
  readonly ttl: Duration
  /** How long after that it may still be served while a fresh one is fetched, or when the store does not answer. Default 0. */
  readonly grace?: Duration | undefined
  /** By which fraction of itself a TTL is shortened at most, at random, so that what was cached together does not expire together. Default 0.1. */
  readonly jitter?: number | undefined
  /** How long it is remembered that the store has no such row; 0: not at all. Default 10 s, or `ttl` if that is shorter. */
  readonly negativeTtl?: Duration | undefined
  /** How values become bytes. */
  readonly codec?: CodecOptions<V> | undefined
  /** `plain`: keys and values lie on the nodes as they are, as other clients wrote them; no versions, no grace. Default `namespaced`. */
  readonly keys?: 'namespaced' | 'plain' | undefined
  /** On how many nodes each key lives. Default: the tier's. */
  readonly replicas?: number | undefined
  /** Ids of the nodes this cache lives on. Default: all. */
  readonly nodes?: readonly string[] | undefined
  /** Another placement than the tier's. */
  readonly ring?: Placement | undefined
  readonly consistency?: ConsistencyOptions | undefined
  readonly deadlines?: DeadlineOptions | undefined
}

export interface ConsistencyOptions {
  /** How many owners must have taken a write before it is acknowledged. Default `quorum`. */
  readonly writes?: WriteLevel | undefined
}

export interface DeadlineOptions {
  /** What the nodes may take to answer a call, in all. Default 250 ms. */
  readonly call?: Duration | undefined
  /** What one node may take before the next owner is asked. Default 50 ms. */
  readonly try?: Duration | undefined
  /** What one call to the store or a loader may take. Default 1 s. */
  readonly load?: Duration | undefined
}

export interface CheckedCacheOptions<V> {
  readonly strategy: StrategyChoice<V>
  readonly ttlMs: number
  readonly graceMs: number
  readonly jitter: number
  readonly negativeTtlMs: number
  readonly codec: CodecOptions<V>
  readonly plain: boolean
  readonly replicas: number | undefined
  readonly nodes: readonly string[] | undefined
  readonly ring: Placement | undefined
  readonly writes: WriteLevel
  readonly callDeadlineMs: number
  readonly tryTimeoutMs: number
  readonly loadDeadlineMs: number
}

const NAMES = [
  'strategy',
  'ttl',
  'grace',
  'jitter',
  'negativeTtl',
  'codec',
  'keys',
  'replicas',
  'nodes',
  'ring',
  'consistency',
  'deadlines',
]
const NEGATIVE_TTL_MS = 10_000

/** @param what for messages: `cache 'product'` */
export function checkedCacheOptions<V>(options: CacheOptions<V>, what: string): CheckedCacheOptions<V> {
  knownOptions(options, what, NAMES)
  if (typeof options.strategy?.build !== 'function') {
    throw ConfigurationError.of(
      `${what}: strategy`,
      'cacheAside(), readThrough(reader), writeThrough(store) or writeAround(store)',
      options.strategy,
    )
  }
  const ttlMs = positiveMs(options.ttl, `${what}: ttl`)
  const plain = oneOf(options.keys ?? 'namespaced', `${what}: keys`, ['namespaced', 'plain']) === 'plain'
  const graceMs = durationMs(options.grace ?? 0, `${what}: grace`)
  if (plain && graceMs > 0)
    throw ConfigurationError.of(`${what}: grace`, "0 with keys: 'plain' (plain values have no place for it)", options.grace)
  const consistency = options.consistency ?? {}
  knownOptions(consistency, `${what}: consistency`, ['writes'])
  const deadlines = options.deadlines ?? {}
  knownOptions(deadlines, `${what}: deadlines`, ['call', 'try', 'load'])
  return Object.freeze({
    strategy: options.strategy,
    ttlMs,
    graceMs,
    jitter: fraction(options.jitter ?? 0.1, `${what}: jitter`, 0, 1),
    // Plain values cannot say that there is no row.
    negativeTtlMs: plain ? 0 : durationMs(options.negativeTtl ?? Math.min(NEGATIVE_TTL_MS, ttlMs), `${what}: negativeTtl`),
    codec: options.codec ?? {},
    plain,
    replicas: options.replicas === undefined ? undefined : wholeNumber(options.replicas, `${what}: replicas`, 1),
    nodes: options.nodes,
    ring: options.ring,
    writes: oneOf(consistency.writes ?? 'quorum', `${what}: consistency.writes`, ['one', 'quorum', 'all']),
    callDeadlineMs: positiveMs(deadlines.call ?? 250, `${what}: deadlines.call`),
    tryTimeoutMs: positiveMs(deadlines.try ?? 50, `${what}: deadlines.try`),
    loadDeadlineMs: positiveMs(deadlines.load ?? 1_000, `${what}: deadlines.load`),
  })
}

function positiveMs(value: Duration, what: string): number {
  const ms = durationMs(value, what)
  if (ms < 1) throw ConfigurationError.of(what, 'a duration of at least 1 ms', value)
  return ms
}
