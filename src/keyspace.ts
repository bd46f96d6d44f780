/**
 * One cache's values over a cluster of bytes.
 *
 * Everything below speaks of bytes under keys; everything above of values that are fresh, stale or missing. Here a key gets its name on
 * the nodes, a value its envelope, its times and its version, and bytes that are not an entry of this cache become a miss and an event.
 * Nothing here knows of stores, loaders or strategies, and nothing here fails a read: a cluster that cannot answer is the state
 * `unreachable`, which is for the strategy to deal with.
 */
import type { Clock, Random } from './clock.ts'
import type { Change, Cluster, ClusterCall, Fetched, PutChange, Replicated, WriteLevel } from './cluster/cluster.ts'
import type { Codec, Decoded } from './codec/codec.ts'
import type { KeyCodec } from './codec/key.ts'
import type { EntryKind, Version } from './entry.ts'
import { type RingtailError, UnsupportedError } from './errors.ts'
import type { Emit } from './events.ts'

export type { Replicated }

/** How long a tombstone is kept: an older change that arrives within this time is refused. 5 minutes. */
const TOMBSTONE_MS = 300_000

/** `missing`: the nodes have no live entry. `unreachable`: no owner answered, so nothing is known. */
export type FoundState = 'fresh' | 'stale' | 'missing' | 'unreachable'

/** What a look-up found. */
export interface Found<V> {
  readonly state: FoundState
  /** The entry says that the store has no such row: `value` is undefined, and that is an answer. */
  readonly negative: boolean
  readonly value: V | undefined
  /** The id of the node that answered. */
  readonly node: string | undefined
  /** 0n when there is no live value. */
  readonly version: Version
  readonly failure: RingtailError | undefined
}

/** One entry to be put. */
export interface Put<V> {
  readonly key: string
  /** Undefined: a negative entry. */
  readonly value: V | undefined
  readonly kind: Extract<EntryKind, 'value' | 'negative'>
  readonly version: Version
  readonly times?: PutTimes | undefined
  /** When the load or write began, ms since the epoch. */
  readonly begunMs: number
  /** What loading it took, ms; 0 for a write. */
  readonly loadCostMs: number
}

/** Overrides of the cache's own times, ms. */
export interface PutTimes {
  readonly ttlMs?: number | undefined
  readonly graceMs?: number | undefined
}

export interface KeyspaceParts<V> {
  readonly cache: string
  readonly cluster: Cluster
  readonly codec: Codec<V>
  readonly keys: KeyCodec
  readonly ttlMs: number
  readonly graceMs: number
  readonly negativeTtlMs: number
  /** The fraction of a TTL by which it is shortened at most, at random. */
  readonly jitter: number
  readonly writes: WriteLevel
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  readonly nextVersion: () => Version
}

export class Keyspace<V> {
  readonly #parts: KeyspaceParts<V>

  constructor(parts: KeyspaceParts<V>) {
    this.#parts = parts
  }

  /** A version newer than all that this process has issued. */
  nextVersion(): Version {
    return this.#parts.nextVersion()
  }

  /**
   * The hot path, hence no promise: one of the two is called exactly once, possibly before `find` returns; neither may throw.
   * @param fail hears of a misconfigured validation, and of nothing else
   * @throws ConfigurationError for a key that cannot be one
   */
  find(key: string, settle: (found: Found<V>) => void, fail: (error: unknown) => void, call?: ClusterCall): void {
    const judged = (fetched: Fetched): void => {
      let found: Found<V>
      try {
        found = this.#judge(fetched)
      } catch (thrown) {
        fail(thrown)
        return
      }
      settle(found)
    }
    this.#parts.cluster.fetch(this.#parts.keys.encode(key), judged, call)
  }

  /** `find` as a promise, for what is not hot. */
  findOne(key: string, call?: ClusterCall): Promise<Found<V>> {
    return new Promise((resolve, reject) => this.find(key, resolve, reject, call))
  }

  /** In the order of `keys`. */
  async findMany(keys: readonly string[], call?: ClusterCall): Promise<Found<V>[]> {
    const wireKeys = keys.map((key) => this.#parts.keys.encode(key))
    return (await this.#parts.cluster.fetchMany(wireKeys, call)).map(this.#judge)
  }

  /** Puts entries on all their owners, each kept there only if it is the newest. In the order of `puts`. @throws EncodeError */
  putMany(puts: readonly Put<V>[], call?: ClusterCall): Promise<Replicated[]> {
    return this.#parts.cluster.replicate(
      puts.map((put) => this.#changeOf(put)),
      this.#parts.writes,
      call,
    )
  }

  /** Puts one entry if the key's version at its primary is exactly `expected` (0n: no live value). @throws EncodeError */
  async compareAndSet(put: Put<V>, expected: Version, call?: ClusterCall): Promise<Replicated> {
    if (!this.#parts.codec.enveloped) {
      throw new UnsupportedError(`cache '${this.#parts.cache}': plain values have no versions to compare, so there is no update`)
    }
    const change = { ...(this.#changeOf(put) as PutChange), expected }
    return this.#parts.cluster.compareAndSet(change, this.#parts.writes, call)
  }

  /** Leaves a tombstone of the given version under each key: what is older is gone and stays so. */
  removeMany(removals: readonly { readonly key: string; readonly version: Version }[], call?: ClusterCall): Promise<Replicated[]> {
    if (!this.#parts.codec.enveloped)
      return this.dropMany(
        removals.map(({ key }) => key),
        call,
      )
    const nowMs = this.#parts.clock.now()
    const changes = removals.map(({ key, version }): Change => {
      const header = { version, freshUntilMs: 0, graceMs: 0, loadCostMs: 0, begun: nowMs >>> 0, tags: [] }
      return {
        op: 'put',
        key: this.#parts.keys.encode(key),
        bytes: this.#parts.codec.encode('tombstone', undefined, header),
        ttlMs: TOMBSTONE_MS,
      }
    })
    return this.#parts.cluster.replicate(changes, this.#parts.writes, call)
  }

  /** Removes whatever lies under the keys, leaving nothing: for stores that cannot order. */
  dropMany(keys: readonly string[], call?: ClusterCall): Promise<Replicated[]> {
    const changes = keys.map((key): Change => ({ op: 'drop', key: this.#parts.keys.encode(key) }))
    return this.#parts.cluster.replicate(changes, this.#parts.writes, call)
  }

  #changeOf(put: Put<V>): Change {
    const { clock, codec, random, jitter } = this.#parts
    const key = this.#parts.keys.encode(put.key)
    const negative = put.kind === 'negative'
    const fullTtlMs = negative ? this.#parts.negativeTtlMs : (put.times?.ttlMs ?? this.#parts.ttlMs)
    const ttlMs = Math.max(1, Math.round(fullTtlMs * (1 - jitter * random())))
    const graceMs = negative || !codec.enveloped ? 0 : (put.times?.graceMs ?? this.#parts.graceMs)
    const nowMs = clock.now()
    const header = {
      version: put.version,
      freshUntilMs: nowMs + ttlMs,
      graceMs,
      loadCostMs: put.loadCostMs,
      begun: put.begunMs >>> 0,
      tags: [],
    }
    const bytes = codec.encode(put.kind, put.value, header)
    return { op: this.#parts.codec.enveloped ? 'put' : 'set', key, bytes, ttlMs: ttlMs + graceMs }
  }

  readonly #judge = (fetched: Fetched): Found<V> => {
    const { bytes, node } = fetched
    if (bytes === undefined) return new Absent(node === undefined ? 'unreachable' : 'missing', node?.id, fetched.failure)
    const decoded = this.#parts.codec.decode(bytes)
    if (decoded.rejected !== undefined) {
      // Another schema, serializer or release is what a rolling deploy looks like; the rest should not be there.
      if (decoded.rejected !== 'schema' && decoded.rejected !== 'format') {
        this.#parts.emit('entry:rejected', { cache: this.#parts.cache, node: node?.id, reason: `${decoded.rejected}: ${decoded.detail}` })
      }
      return new Absent('missing', node?.id, undefined)
    }
    const { kind } = decoded
    if (kind === 'tombstone' || kind === 'vacant') return new Absent('missing', node?.id, undefined)
    const nowMs = this.#parts.clock.now()
    if (nowMs < decoded.freshUntilMs) return new Live('fresh', decoded, node!.id)
    if (nowMs < decoded.freshUntilMs + decoded.graceMs) return new Live('stale', decoded, node!.id)
    return new Absent('missing', node?.id, undefined)
  }
}

class Live<V> implements Found<V> {
  readonly state: 'fresh' | 'stale'
  readonly value: V | undefined
  readonly node: string
  readonly failure = undefined
  readonly #decoded: Decoded<V>

  constructor(state: 'fresh' | 'stale', decoded: Decoded<V>, node: string) {
    this.state = state
    this.value = decoded.value
    this.node = node
    this.#decoded = decoded
  }

  get negative(): boolean {
    return this.#decoded.kind === 'negative'
  }

  get version(): Version {
    return this.#decoded.kind === 'negative' ? 0n : this.#decoded.version
  }
}

class Absent implements Found<never> {
  readonly state: 'missing' | 'unreachable'
  readonly negative = false
  readonly value = undefined
  readonly node: string | undefined
  readonly version = 0n
  readonly failure: RingtailError | undefined

  constructor(state: 'missing' | 'unreachable', node: string | undefined, failure: RingtailError | undefined) {
    this.state = state
    this.node = node
    this.failure = failure
  }
}
