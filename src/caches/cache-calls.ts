/**
 * What the calls of a cache take, checked: options, keys, values, functions.
 */
import { type CallBounds, callBounds } from '../bounded-call.ts'
import type { ReadLevel, WriteLevel } from '../cluster/cluster.ts'
import { ConfigurationError, UnsupportedError } from '../errors.ts'
import { type CallOptions, checkedTags, type Duration, durationMs, knownOptions, oneOf } from '../options.ts'
import { Session } from '../session.ts'
import type { LoadControls, PutTimes, StrategyCall } from '../strategy/strategy.ts'

/** Options of calls that read. */
export interface ReadOptions extends CallOptions {
  /** Whose writes are to be seen: `tier.session(token)`. */
  readonly session?: Session | undefined
  /** Instead of the cache's own `consistency.reads`. */
  readonly reads?: Exclude<ReadLevel, 'all'> | undefined
}

/** Options of calls that delete. */
export interface DeleteOptions extends CallOptions {
  /** Remembers what was deleted. */
  readonly session?: Session | undefined
}

/** Options of calls that put a value. */
export interface PutOptions extends CallOptions {
  /** Instead of the cache's own `ttl`. */
  readonly ttl?: Duration | undefined
  /** Instead of the cache's own `grace`. */
  readonly grace?: Duration | undefined
  /** The groups that the value belongs to, instead of what the cache's `tags` says. */
  readonly tags?: readonly string[] | undefined
  /** Remembers what was written. */
  readonly session?: Session | undefined
}

/** Options of `applyChanges`. */
export interface ApplyOptions {
  /** Instead of the cache's own `consistency.writes`. */
  readonly writes?: WriteLevel | undefined
}

/** Options of `touch`. */
export type TouchOptions = Pick<PutOptions, 'ttl' | 'grace' | 'signal' | 'deadline'>

/** What the loader of one key is given. */
export interface LoaderContext<V> {
  /** Aborted when the load has run into its deadline. */
  readonly signal: AbortSignal
  /** The old value, where there is one that may still be served. */
  readonly stale: V | undefined
  /** How long the value is fresh, and how long after that it may be served; instead of the cache's own. */
  setTtl(ttl: Duration, grace?: Duration): void
  /** The groups that the value belongs to, instead of what the cache's `tags` says. */
  setTags(tags: readonly string[]): void
  /** The value is for those who wait for it, and is not kept: `return context.skip(value)`. */
  skip<T = undefined>(value?: T): T
  /** The load failed: throws. A stale value is served where there is one, else the readers get a `LoadError`. */
  fail(reason: string): never
}

/** What the loader of many keys is given. */
export interface ManyLoaderContext<V> {
  /** Aborted when the load has run into its deadline. */
  readonly signal: AbortSignal
  /** What may be said of one of the keys. Its `fail` marks the key and does not throw. */
  readonly of: (key: string) => LoadControls<V>
}

/** A caller's options, checked, as bounds of the call and as what the strategy is told. */
export type Call = CallBounds & StrategyCall

/** Keys of one call that are worked on together; a longer call is worked through in parts, so that it cannot crowd out all others. */
const PART = 4_096

const OWN_NAMES = ['ttl', 'grace', 'tags', 'session', 'reads'] as const

export function* parts<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += PART) yield items.slice(from, from + PART)
}

export function checkedApply(options: ApplyOptions | undefined, what: string): ApplyOptions | undefined {
  if (options === undefined) return undefined
  knownOptions(options, `${what}: applyChanges`, ['writes'])
  const { writes } = options
  return { writes: writes === undefined ? undefined : oneOf<WriteLevel>(writes, `${what}: applyChanges: writes`, ['one', 'quorum', 'all']) }
}

/** @param takes those of Ringtail's own options that the call has, beside signal and deadline @throws ConfigurationError */
export function checkedCall(
  options: (ReadOptions & PutOptions) | undefined,
  what: string,
  takes: readonly (typeof OWN_NAMES)[number][],
): Call | undefined {
  const bounds = callBounds(options, what, takes)
  if (bounds === undefined || options === undefined) return undefined
  const { session, reads } = options
  if (session !== undefined && !(session instanceof Session))
    throw ConfigurationError.of(`${what}: session`, 'what tier.session() made', session)
  return {
    ...bounds,
    times: timesOf(options, what),
    tags: options.tags === undefined ? undefined : checkedTags(options.tags, `${what}: tags`),
    session,
    read: reads === undefined ? undefined : oneOf<ReadLevel>(reads, `${what}: reads`, ['primary', 'nearest', 'quorum']),
  }
}

/** @returns the keys, each once @throws ConfigurationError */
export function distinctKeys(keys: Iterable<string>, what: string): string[] {
  if (typeof keys !== 'object' || keys === null || !(Symbol.iterator in keys)) {
    throw ConfigurationError.of(`${what}: keys`, 'an array, Set or other iterable of keys', keys)
  }
  return [...new Set(keys)]
}

export function checkedValue<V>(value: V, key: string, what: string): V {
  if (value !== undefined) return value
  throw ConfigurationError.of(`${what}: the value of '${key}'`, 'a value (undefined is a miss; null is a value)', value)
}

export function checkedFunction<F>(given: F, what: string): F {
  if (typeof given === 'function') return given
  throw ConfigurationError.of(what, 'a function', given)
}

export function loaderContextOf<V>(signal: AbortSignal, controls: LoadControls<V>): LoaderContext<V> {
  return {
    signal,
    stale: controls.stale,
    setTtl: (ttl, grace) => controls.setTtl(ttl, grace),
    setTags: (tags) => controls.setTags(tags),
    skip: (value) => controls.skip(value as never),
    fail: (reason) => {
      throw controls.fail(reason)
    },
  }
}

function timesOf(options: PutOptions, what: string): PutTimes | undefined {
  if (options.ttl === undefined && options.grace === undefined) return undefined
  const ttlMs = options.ttl === undefined ? undefined : durationMs(options.ttl, `${what}: ttl`)
  if (ttlMs === 0) throw ConfigurationError.of(`${what}: ttl`, 'a duration of at least 1 ms', options.ttl)
  return { ttlMs, graceMs: options.grace === undefined ? undefined : durationMs(options.grace, `${what}: grace`) }
}

/** What plain values have no place for is refused rather than left undone. @param what for messages: `cache 'product'` */
export function refuseEnveloped({ tags, session, times }: Call, what: string): void {
  if (tags !== undefined) throw new UnsupportedError(`${what}: plain values have no tags`)
  if (session !== undefined) throw new UnsupportedError(`${what}: plain values have no versions, so a session cannot see to them`)
  if (times?.graceMs !== undefined && times.graceMs > 0) throw new UnsupportedError(`${what}: plain values have no grace`)
}
