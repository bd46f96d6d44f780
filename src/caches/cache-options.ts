/**
 * What a cache is given, checked once and in milliseconds from there on.
 */
import type { ReadLevel, WriteLevel } from '../cluster/cluster.ts'
import type { CodecOptions } from '../codec/codec-options.ts'
import { ConfigurationError } from '../errors.ts'
import { type Duration, durationMs, fraction, knownOptions, oneOf, wholeNumber } from '../options.ts'
import type { Placement } from '../ring/ring.ts'
import type { StrategyChoice } from '../strategy/strategy.ts'

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
  /** The groups that a value belongs to, for `deleteByTag`: `(product) => ['category:' + product.category]`. */
  readonly tags?: ((value: V, key: string) => readonly string[]) | undefined
  /** A separator, such as `/`: a key belongs to the namespace that its text before the first one names. Default: there are no namespaces. */
  readonly namespaces?: string | undefined
  /**
   * When a fresh value is loaded ahead of time, behind one of its readers: `xfetch`, with a chance that grows with what a load costs; a
   * number from 0 to 1: once that fraction of the TTL is over; false: never. Default `xfetch`.
   */
  readonly earlyRefresh?: 'xfetch' | number | false | undefined
  /** Whether a value that is read stays fresh for a TTL from then, as sessions do: touched when half of its TTL is over. Default false. */
  readonly sliding?: boolean | undefined
  /** Copies in this process of what it reads most. Default: none. */
  readonly near?: NearOptions | undefined
  readonly consistency?: ConsistencyOptions | undefined
  readonly deadlines?: DeadlineOptions | undefined
}

export interface ConsistencyOptions {
  /** How many owners must have taken a write before it is acknowledged. Default `quorum`. */
  readonly writes?: WriteLevel | undefined
  /** Whom a read asks. Default `primary`. */
  readonly reads?: Exclude<ReadLevel, 'all'> | undefined
}

export interface NearOptions {
  /** What the copies may take, in bytes: keys, values as they lie on the nodes, and 352 bytes an entry. */
  readonly maxBytes: number
  /** How long a copy is kept at most, whatever is heard of changes: the bound of what goes unheard. Default 10 s, or `ttl` if that is shorter. */
  readonly ttl?: Duration | undefined
  /** Every reader gets a copy of its own, rather than the one frozen value. Default false. */
  readonly copy?: boolean | undefined
}

export interface DeadlineOptions {
  /** What the nodes may take to answer a call, in all. Default 250 ms. */
  readonly call?: Duration | undefined
  /** What one node may take before the next owner is asked. Default 50 ms. */
  readonly try?: Duration | undefined
  /** What one call to the store or a loader may take. Default 1 s. */
  readonly load?: Duration | undefined
  /** For how long a stale value is held back while a fresh one is loaded. Default 0: it is served at once. */
  readonly soft?: Duration | undefined
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
  readonly reads: ReadLevel
  readonly tagsOf: ((value: V, key: string) => readonly string[]) | undefined
  readonly namespaces: string | undefined
  readonly early: 'xfetch' | number | false
  readonly sliding: boolean
  readonly near: CheckedNearOptions | undefined
  readonly callDeadlineMs: number
  readonly tryTimeoutMs: number
  readonly loadDeadlineMs: number
  readonly softDeadlineMs: number
}

export interface CheckedNearOptions {
  readonly maxBytes: number
  readonly ttlMs: number
  readonly copy: boolean
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
  'tags',
  'namespaces',
  'earlyRefresh',
  'sliding',
  'near',
  'consistency',
  'deadlines',
]
const NEGATIVE_TTL_MS = 10_000
const NEAR_TTL_MS = 10_000
const MIN_NEAR_BYTES = 16_384

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
  knownOptions(consistency, `${what}: consistency`, ['writes', 'reads'])
  const deadlines = options.deadlines ?? {}
  knownOptions(deadlines, `${what}: deadlines`, ['call', 'try', 'load', 'soft'])
  if (plain) refuseEnveloped(options, what)
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
    tagsOf: checkedTagsOf(options.tags, what),
    namespaces: checkedSeparator(options.namespaces, what),
    early: checkedEarly(options.earlyRefresh ?? 'xfetch', what),
    sliding: checkedBoolean(options.sliding ?? false, `${what}: sliding`),
    near: options.near === undefined ? undefined : checkedNear(options.near, ttlMs, what),
    reads: oneOf<ReadLevel>(consistency.reads ?? 'primary', `${what}: consistency.reads`, ['primary', 'nearest', 'quorum']),
    writes: oneOf(consistency.writes ?? 'quorum', `${what}: consistency.writes`, ['one', 'quorum', 'all']),
    callDeadlineMs: positiveMs(deadlines.call ?? 250, `${what}: deadlines.call`),
    tryTimeoutMs: positiveMs(deadlines.try ?? 50, `${what}: deadlines.try`),
    loadDeadlineMs: positiveMs(deadlines.load ?? 1_000, `${what}: deadlines.load`),
    softDeadlineMs: durationMs(deadlines.soft ?? 0, `${what}: deadlines.soft`),
  })
}

function positiveMs(value: Duration, what: string): number {
  const ms = durationMs(value, what)
  if (ms < 1) throw ConfigurationError.of(what, 'a duration of at least 1 ms', value)
  return ms
}

/** What plain values have no place for. */
function refuseEnveloped(
  options: Pick<CacheOptions<never>, 'namespaces' | 'sliding' | 'near' | 'earlyRefresh' | 'negativeTtl'> & { readonly tags?: unknown },
  what: string,
): void {
  for (const name of ['tags', 'namespaces', 'sliding', 'near', 'earlyRefresh', 'negativeTtl'] as const) {
    if (options[name] !== undefined && options[name] !== false && options[name] !== 0)
      throw ConfigurationError.of(`${what}: ${name}`, "to be left out with keys: 'plain'", options[name])
  }
}

function checkedNear(near: NearOptions, cacheTtlMs: number, what: string): CheckedNearOptions {
  knownOptions(near, `${what}: near`, ['maxBytes', 'ttl', 'copy'])
  return {
    maxBytes: wholeNumber(near.maxBytes, `${what}: near.maxBytes`, MIN_NEAR_BYTES),
    ttlMs: near.ttl === undefined ? Math.min(NEAR_TTL_MS, cacheTtlMs) : positiveMs(near.ttl, `${what}: near.ttl`),
    copy: checkedBoolean(near.copy ?? false, `${what}: near.copy`),
  }
}

/** How long before the end of its freshness a value's reader may be the one who touches it, or loads it anew, where that is not left to chance, ms. */
export function readAheadMs({ early, sliding, ttlMs }: Pick<CheckedCacheOptions<unknown>, 'early' | 'sliding' | 'ttlMs'>): number {
  return Math.max(sliding ? ttlMs / 2 : 0, typeof early === 'number' ? (1 - early) * ttlMs : 0)
}

function checkedEarly(early: 'xfetch' | number | false, what: string): 'xfetch' | number | false {
  if (early === 'xfetch' || early === false) return early
  if (typeof early === 'number' && early >= 0 && early <= 1) return early
  throw ConfigurationError.of(`${what}: earlyRefresh`, "'xfetch', a number from 0 to 1, or false", early)
}

function checkedTagsOf<F>(tags: F, what: string): F {
  if (tags === undefined || typeof tags === 'function') return tags
  throw ConfigurationError.of(`${what}: tags`, 'a function that returns the tags of a value', tags)
}

function checkedSeparator(separator: string | undefined, what: string): string | undefined {
  if (separator === undefined || (typeof separator === 'string' && separator.length === 1)) return separator
  throw ConfigurationError.of(`${what}: namespaces`, 'a separator of one character, such as /', separator)
}

function checkedBoolean(value: boolean, what: string): boolean {
  if (typeof value === 'boolean') return value
  throw ConfigurationError.of(what, 'true or false', value)
}
