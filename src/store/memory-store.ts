/**
 * A store in the process's own memory: for tests, examples and caches over data that is small and loaded once.
 *
 * It behaves as a database: values are copied in and out, so that a caller's later change to its object is no change to the row; rows carry
 * versions. It holds exactly the rows that it was given. Of removed rows it remembers the highest version that a removal had: a row made later is
 * above it, so that a removed key that comes back is never below its removal. And for a time it remembers each removal, so that a save that was
 * ordered before it stays out.
 */
import { type Clock, systemClock } from '../clock.ts'
import type { Version } from '../entry.ts'
import { ConfigurationError, EncodeError, inspectBriefly } from '../errors.ts'
import { type Duration, knownOptions } from '../options.ts'
import { versionAt } from '../version-clock.ts'
import { forgotten, givenUp, keptMsOf, refusal, refusedForGood, Statuses } from './batch.ts'
import { booleanOr, textOr } from './checked-options.ts'
import type { Loaded, Removal, Row, Save, SaveStatus, ShardStats, Store, StoreCall } from './store.ts'

export interface MemoryStoreOptions<V> {
  /** For messages and metrics. Default: `memory`. */
  readonly name?: string | undefined
  /** The rows to begin with, each at version 1. */
  readonly rows?: Iterable<readonly [string, V]> | undefined
  /** Default: true. */
  readonly versioned?: boolean | undefined
  /** For how long removals are remembered at least. At least a minute. Default: `7d`. */
  readonly removalsFor?: Duration | undefined
  /** Handed in by tests. */
  readonly clock?: Pick<Clock, 'now'> | undefined
}

/** So many removals are remembered however old they are. */
const ALWAYS_REMEMBERED = 1_000

export function memoryStore<V>(options: MemoryStoreOptions<V> = {}): MemoryStore<V> {
  return new MemoryStore(options)
}

export class MemoryStore<V> implements Store<V> {
  readonly name: string
  readonly versioned: boolean
  readonly remembersRemovals: boolean
  readonly #rows = new Map<string, Row<V>>()
  #highestRemoved: Version = 0n
  /** Removals by key, the latest made last. */
  readonly #removals = new Map<string, Version>()
  /** The highest version of a removal that is not remembered any more. */
  #forgotten: Version = 0n
  readonly #keptMs: number
  readonly #clock: Pick<Clock, 'now'>
  #queries = 0
  #rowsLoaded = 0
  #rowsSaved = 0

  constructor(options: MemoryStoreOptions<V>) {
    knownOptions(options, 'memoryStore', ['name', 'rows', 'versioned', 'removalsFor', 'clock'])
    this.name = textOr('memory', options.name, 'memoryStore: name')
    this.versioned = booleanOr(true, options.versioned, 'memoryStore: versioned')
    this.remembersRemovals = this.versioned
    this.#keptMs = keptMsOf(options.removalsFor, 'memoryStore: removalsFor')
    this.#clock = options.clock ?? systemClock
    for (const [key, value] of checkedRows(options.rows)) {
      this.#rows.set(key, { value: copied(key, value), version: this.versioned ? 1n : 0n })
    }
  }

  /** Rows held. */
  get size(): number {
    return this.#rows.size
  }

  async load(keys: readonly string[], call?: StoreCall): Promise<Loaded<V>> {
    call?.signal?.throwIfAborted()
    const rows = new Map<string, Row<V>>()
    if (keys.length === 0) return { rows }
    this.#queries++
    for (const key of keys) {
      const row = this.#rows.get(key)
      if (row !== undefined) rows.set(key, { value: structuredClone(row.value), version: row.version })
    }
    this.#rowsLoaded += rows.size
    return { rows }
  }

  async save(saves: readonly Save<V>[], call?: StoreCall): Promise<SaveStatus[]> {
    return this.#each(saves, call, (save) => this.#saveOne(save))
  }

  async remove(removals: readonly Removal[], call?: StoreCall): Promise<SaveStatus[]> {
    return this.#each(removals, call, (removal) => this.#removeOne(removal))
  }

  stats(): readonly ShardStats[] {
    return [{ id: this.name, queries: this.#queries, rowsLoaded: this.#rowsLoaded, rowsSaved: this.#rowsSaved }]
  }

  #each<T extends Removal>(items: readonly T[], call: StoreCall | undefined, one: (item: T) => SaveStatus): SaveStatus[] {
    const statuses = new Statuses(items)
    if (items.length > 0) this.#queries++
    for (const [index, item] of items.entries()) {
      if (!statuses.isOpen(index)) continue
      const error = refusal(this, item)
      statuses.set(item.key, givenUp(call) ?? (error === undefined ? one(item) : refusedForGood(error)))
    }
    return statuses.all()
  }

  #saveOne({ key, value, floor, expected, ifOlder }: Save<V>): SaveStatus {
    const current = this.#rows.get(key)?.version
    if (ifOlder === true && current !== undefined && current >= floor) {
      return { state: current === floor ? 'saved' : 'conflict', version: current }
    }
    if (ifOlder === true && current === undefined) {
      const removed = this.#removals.get(key)
      if (removed !== undefined && removed > floor) return { state: 'conflict', version: removed }
      if (floor < this.#forgotten) return refusedForGood(forgotten(this.name, key, this.#keptMs))
    }
    if (expected !== undefined && expected !== (current ?? 0n)) return { state: 'conflict', version: current ?? 0n }
    let copy: V
    try {
      copy = structuredClone(value)
    } catch (cause) {
      return refusedForGood(new EncodeError(`${this.name}: the value of key ${inspectBriefly(key)} cannot be copied`, { cause }))
    }
    const least = ifOlder === true ? floor : greatest((current ?? this.#highestRemoved) + 1n, floor)
    const version = this.versioned ? least : 0n
    this.#rows.set(key, { value: copy, version })
    this.#rowsSaved++
    return { state: 'saved', version }
  }

  #removeOne({ key, floor, ifOlder }: Removal): SaveStatus {
    if (ifOlder === true) return this.#removeOlder(key, floor)
    if (!this.versioned) {
      if (this.#rows.delete(key)) this.#rowsSaved++
      return { state: 'saved', version: 0n }
    }
    const current = this.#rows.get(key)?.version
    const version = greatest((current ?? this.#highestRemoved - 1n) + 1n, floor)
    if (this.#rows.delete(key)) this.#rowsSaved++
    this.#remember(key, version)
    return { state: 'saved', version }
  }

  /** @see `Removal.ifOlder` */
  #removeOlder(key: string, floor: Version): SaveStatus {
    const current = this.#rows.get(key)?.version
    if (current !== undefined && current > floor) return { state: 'conflict', version: current }
    this.#remember(key, floor)
    if (!this.#rows.delete(key)) return { state: 'saved', version: floor, absent: true }
    this.#rowsSaved++
    return { state: 'saved', version: floor }
  }

  #remember(key: string, version: Version): void {
    this.#highestRemoved = greatest(this.#highestRemoved, version)
    const marked = greatest(this.#removals.get(key) ?? 0n, version)
    this.#removals.delete(key)
    this.#removals.set(key, marked)
    const old = versionAt(this.#clock.now() - this.#keptMs)
    for (const [oldest, removed] of this.#removals) {
      if (this.#removals.size <= ALWAYS_REMEMBERED || removed >= old) return
      this.#removals.delete(oldest)
      this.#forgotten = greatest(this.#forgotten, removed)
    }
  }
}

function* checkedRows<V>(rows: Iterable<readonly [string, V]> = []): Generator<readonly [string, V]> {
  const needed = 'an iterable of [key, value], such as a Map or an array of pairs'
  if (typeof (rows as Partial<Iterable<unknown>> | null)?.[Symbol.iterator] !== 'function')
    throw ConfigurationError.of('memoryStore: rows', needed, rows)
  for (const row of rows) {
    if (!Array.isArray(row) || row.length !== 2 || typeof row[0] !== 'string') throw ConfigurationError.of('memoryStore: rows', needed, row)
    yield row
  }
}

function copied<V>(key: string, value: V): V {
  try {
    return structuredClone(value)
  } catch (cause) {
    throw new ConfigurationError(`memoryStore: rows: the value of key ${inspectBriefly(key)} cannot be copied`, { cause })
  }
}

function greatest(a: Version, b: Version): Version {
  return a > b ? a : b
}
