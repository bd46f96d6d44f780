/**
 * A store with a guard before each of its shards, and itself a store.
 *
 * When cache nodes are lost, or an empty cache starts under full load, every read becomes a read of the database, which was never made for
 * that. So each shard is asked by so many calls at once as it bears, for so long as it answers (`shard-guard.ts`); what it cannot answer in
 * time fails at once, with an error that says so, and where there is a stale value readers get that. A batch is split by shard, as
 * `store.shardOf` tells (a store without it is one shard), so that a shard which is slow or away takes nothing from the others' keys.
 *
 * A save that was shed is `failed`, with an `OverloadError`: nothing of it was done.
 */
import type { Clock, Random } from '../clock.ts'
import { asError, OverloadError, RingtailError, StoreError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { type Duration, durationMs, fraction, knownOptions, wholeNumber } from '../options.ts'
import type { QueueTeller } from '../queues.ts'
import type { Loaded, Removal, Row, SaveStatus, ShardGuardStats, ShardStats, Store, StoreCall, StoreReader } from '../store/store.ts'
import { GatheredLoads } from './gathered-loads.ts'
import { type CallKind, isShardFailure, ShardGuard, type ShardGuardLimits, type Verdict } from './shard-guard.ts'

export interface StoreGuardOptions {
  /** Calls under way at once, a shard, at most. Default: what the sharded store was given, else 16. */
  readonly concurrency?: number | undefined
  /** However slow the database is, so many are let through. Default 2. */
  readonly minConcurrency?: number | undefined
  /** Statements waiting in line, a shard, of reads and of writes each. Default: what the sharded store was given, else 1,024. */
  readonly queue?: number | undefined
  /** How long a read waits in line at most; a write waits as long as its caller does. Default: half of the load's deadline, 500 ms. */
  readonly wait?: Duration | undefined
  /** When a shard that fails is no longer asked. `false`: it always is. */
  readonly breaker?: StoreBreakerOptions | false | undefined
}

export interface StoreBreakerOptions {
  /** At this share of failed calls, above 0 and at most 1. Default 0.5. */
  readonly failureRate?: number | undefined
  /** Of so long a time. Default 5 s. */
  readonly window?: Duration | undefined
  /** Of so many calls at least. Default 10. */
  readonly minimumCalls?: number | undefined
}

/** The guard of one shard. */
export interface MadeGuard extends QueueTeller {
  close(): void
}

export interface StoreGuardParts {
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** Told of each shard's guard as it is made, to be closed. */
  readonly made?: ((guard: MadeGuard) => void) | undefined
}

const CONCURRENCY = 16
const MIN_CONCURRENCY = 2
const QUEUE = 1_024
/** Shards that are told apart; of a store that names more, the rest count as one. */
const MAX_SHARDS = 1_024

/** @returns the options, checked once; every value undefined that was not given @throws ConfigurationError */
export function checkedGuardOptions(options: StoreGuardOptions, what: string): StoreGuardOptions {
  knownOptions(options, what, ['concurrency', 'minConcurrency', 'queue', 'wait', 'breaker'])
  const { concurrency, minConcurrency, queue, wait, breaker } = options
  if (concurrency !== undefined) wholeNumber(concurrency, `${what}: concurrency`, 1)
  if (minConcurrency !== undefined) wholeNumber(minConcurrency, `${what}: minConcurrency`, 1, concurrency)
  if (queue !== undefined) wholeNumber(queue, `${what}: queue`, 0)
  if (wait !== undefined) durationMs(wait, `${what}: wait`)
  if (breaker !== undefined && breaker !== false) {
    knownOptions(breaker, `${what}: breaker`, ['failureRate', 'window', 'minimumCalls'])
    if (breaker.failureRate !== undefined) fraction(breaker.failureRate, `${what}: breaker: failureRate`, 0.01, 1)
    if (breaker.window !== undefined) wholeNumber(durationMs(breaker.window, `${what}: breaker: window`), `${what}: breaker: window`, 10)
    if (breaker.minimumCalls !== undefined) wholeNumber(breaker.minimumCalls, `${what}: breaker: minimumCalls`, 1)
  }
  return options
}

/** @param options as `checkedGuardOptions` lets them pass @returns a store if it is given one, else a reader */
export function guardStore<S extends StoreReader<unknown>>(store: S, options: StoreGuardOptions, parts: StoreGuardParts): S {
  const guards = new ShardGuards<unknown>(store, options, parts)
  const reader: StoreReader<unknown> = {
    name: store.name,
    limits: store.limits,
    load: (keys, call) => guards.load(keys, call),
    stats: () => guards.stats(),
    ...(store.shardOf === undefined ? {} : { shardOf: (key: string) => store.shardOf!(key) }),
    ...(store.prepare === undefined ? {} : { prepare: () => store.prepare!() }),
  }
  if (!isStore(store)) return reader as S
  const whole: Store<unknown> = {
    ...reader,
    versioned: store.versioned,
    remembersRemovals: store.remembersRemovals,
    save: (saves, call) => guards.change(saves, call, (part, inner) => store.save(part, inner)),
    remove: (removals, call) => {
      const kind = removals.every(({ again }) => again === true) ? 'rest' : 'write'
      return guards.change(removals, call, (part, inner) => store.remove(part, inner), kind)
    },
  }
  return whole as StoreReader<unknown> as S
}

function isStore(store: StoreReader<unknown>): store is Store<unknown> {
  return typeof (store as Partial<Store<unknown>>).save === 'function'
}

interface GuardedShard<V> {
  readonly guard: ShardGuard
  readonly loads: GatheredLoads<V>
}

class ShardGuards<V> {
  readonly #store: StoreReader<V>
  readonly #limits: ShardGuardLimits
  readonly #parts: StoreGuardParts
  readonly #shards = new Map<string, GuardedShard<V>>()

  constructor(store: StoreReader<V>, options: StoreGuardOptions, parts: StoreGuardParts) {
    this.#store = store
    this.#limits = limitsOf(store, options)
    this.#parts = parts
  }

  async load(keys: readonly string[], call: StoreCall | undefined): Promise<Loaded<V>> {
    if (this.#store.prepare !== undefined) await this.#store.prepare()
    const parts = this.#split(keys, (key) => key)
    const [only] = parts
    if (only === undefined) return this.#store.load(keys, call)
    if (parts.size === 1) return this.#shard(only[0]).loads.load(only[1], call)
    const rows = new Map<string, Row<V>>()
    const failed = new Map<string, RingtailError>()
    let answered = 0
    const loads = [...parts].map(async ([shard, part]) => {
      try {
        const loaded = await this.#shard(shard).loads.load(part, call)
        answered++
        for (const [key, row] of loaded.rows) rows.set(key, row)
        for (const [key, error] of loaded.failed ?? []) failed.set(key, error)
      } catch (thrown) {
        const error = this.#asError(thrown)
        for (const key of part) failed.set(key, error)
      }
    })
    await Promise.all(loads)
    if (answered === 0 && call?.signal?.aborted === true) throw call.signal.reason
    return { rows, failed }
  }

  async change<T extends Removal>(
    items: readonly T[],
    call: StoreCall | undefined,
    run: (part: readonly T[], call: StoreCall) => Promise<SaveStatus[]>,
    kind: CallKind = 'write',
  ): Promise<SaveStatus[]> {
    try {
      if (this.#store.prepare !== undefined) await this.#store.prepare()
    } catch (thrown) {
      const error = this.#asError(thrown)
      return items.map(() => ({ state: 'failed', error }))
    }
    const indexed = items.map((item, index) => ({ item, index }))
    const statuses: SaveStatus[] = new Array(items.length)
    const changes = [...this.#split(indexed, ({ item }) => item.key)].map(async ([shard, part]) => {
      let isBegun = false
      const begin = (inner: StoreCall): Promise<SaveStatus[]> => {
        isBegun = true
        return run(
          part.map(({ item }) => item),
          inner,
        )
      }
      try {
        const answers = await this.#shard(shard).guard.run(kind, begin, call, verdictOfChange)
        for (const [nth, { index }] of part.entries()) statuses[index] = answers[nth]!
      } catch (thrown) {
        const error = this.#asError(thrown)
        // What was begun and not told of may have happened.
        const status: SaveStatus = { state: isBegun ? 'unknown' : 'failed', error }
        for (const { index } of part) statuses[index] = status
      }
    })
    await Promise.all(changes)
    return statuses
  }

  stats(): readonly ShardStats[] {
    if (this.#store.shardOf === undefined) {
      const guard = this.#shard('').guard.stats()
      return this.#store.stats().map((each) => ({ ...each, guard }))
    }
    return this.#store.stats().map((each) => ({ ...each, guard: this.#statsOf(each.id) }))
  }

  /** A shard that is of several parts has the guard of the whole. */
  #statsOf(id: string): ShardGuardStats | undefined {
    const shard = this.#shards.get(id) ?? [...this.#shards].find(([name]) => id.startsWith(`${name}/`))?.[1]
    return shard?.guard.stats()
  }

  #split<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
    const parts = new Map<string, T[]>()
    for (const item of items) {
      const shard = this.#store.shardOf?.(keyOf(item)) ?? ''
      const part = parts.get(shard)
      if (part === undefined) parts.set(shard, [item])
      else part.push(item)
    }
    return parts
  }

  #shard(shard: string): GuardedShard<V> {
    const known = this.#shards.get(shard)
    if (known !== undefined) return known
    if (shard !== '' && this.#shards.size >= MAX_SHARDS) return this.#shard('')
    const guard = this.#newGuard(shard)
    const load = (keys: readonly string[], call: StoreCall): Promise<Loaded<V>> => this.#store.load(keys, call)
    const guarded = { guard, loads: new GatheredLoads({ guard, load, judge: verdictOfLoad, queue: this.#limits.queue }) }
    this.#shards.set(shard, guarded)
    this.#parts.made?.({
      close: () => guard.close(),
      tellQueues: (tell) => {
        guard.tellQueues(tell)
        guarded.loads.tellQueues(tell)
      },
    })
    return guarded
  }

  #newGuard(shard: string): ShardGuard {
    const { name } = this.#store
    const { emit, clock, random } = this.#parts
    return new ShardGuard({
      name: shard === '' ? name : `${name}: ${shard}`,
      limits: this.#limits,
      clock,
      random,
      changed: (state, reason) => {
        if (state === 'down' || state === 'suspect') emit(`shard:${state}`, { store: name, shard, reason })
        else emit(`shard:${state}`, { store: name, shard })
      },
    })
  }

  #asError(thrown: unknown): RingtailError {
    if (thrown instanceof RingtailError) return thrown
    return new StoreError(`${this.#store.name}: ${asError(thrown).message}`, { cause: thrown })
  }
}

function limitsOf(store: Pick<StoreReader<unknown>, 'limits'>, options: StoreGuardOptions): ShardGuardLimits {
  const { breaker = {} } = options
  const concurrency = Math.min(options.concurrency ?? store.limits?.concurrency ?? CONCURRENCY, store.limits?.concurrency ?? 65_536)
  return {
    concurrency,
    minConcurrency: Math.min(options.minConcurrency ?? MIN_CONCURRENCY, concurrency),
    queue: options.queue ?? store.limits?.queue ?? QUEUE,
    waitMs: options.wait === undefined ? undefined : durationMs(options.wait, 'stores: wait'),
    breaker:
      breaker === false
        ? { minimumCalls: Number.POSITIVE_INFINITY }
        : {
            failureRate: breaker.failureRate,
            windowMs: breaker.window === undefined ? undefined : durationMs(breaker.window, 'stores: breaker: window'),
            minimumCalls: breaker.minimumCalls,
          },
  }
}

/** A sharded store tells that a shard did not answer as the failure of each of its keys. */
function verdictOfLoad({ failed }: Loaded<unknown>, keys: readonly string[]): Verdict {
  if (failed === undefined || failed.size === 0 || failed.size < new Set(keys).size) return 'well'
  const [first] = failed.values()
  return verdictOfError(first!)
}

function verdictOfChange(statuses: readonly SaveStatus[]): Verdict {
  let verdict: Verdict = 'well'
  for (const status of statuses) {
    if (status.state === 'unknown') return 'failed'
    if (status.state !== 'failed' || status.forGood === true) continue
    verdict = verdictOfError(status.error)
    if (verdict === 'failed') return verdict
  }
  return verdict
}

function verdictOfError(error: RingtailError): Verdict {
  if (error instanceof OverloadError) return 'unsaid'
  return isShardFailure(error) ? 'failed' : 'well'
}
