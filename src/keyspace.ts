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
import { eachPrepared } from './each-prepared.ts'
import type { EntryKind, Version, VersionClock } from './entry.ts'
import { type RingtailError, UnacknowledgedError, UnsupportedError } from './errors.ts'
import type { Emit } from './events.ts'

export type { Replicated }

/** Tries of a write whose version is drawn here, before an owner's entry from ahead of all clocks is an error. */
const TRIES = 3

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
  /** Whatever entry lies there, a tombstone too: what a fill has to be put over. */
  readonly seen: Seen
  readonly failure: RingtailError | undefined
}

/** The place of an entry in its key's order; `NOTHING_SEEN` where there was none. */
export interface Seen {
  readonly version: Version
  readonly freshUntilMs: number
}

export const NOTHING_SEEN: Seen = Object.freeze({ version: 0n, freshUntilMs: 0 })

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
  /** What the look-up before a load saw: a fill of the very version that it saw is fresh for longer than that was. */
  readonly over?: Seen | undefined
}

/** A put whose version is drawn here. */
export type Write<V> = Omit<Put<V>, 'version'>

/** A put in its bytes, on its way out. */
export interface Prepared {
  readonly key: string
  readonly change: Change
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
  readonly versions: VersionClock
}

export class Keyspace<V> {
  readonly #parts: KeyspaceParts<V>

  constructor(parts: KeyspaceParts<V>) {
    this.#parts = parts
  }

  /** A version newer than all that this process has issued or seen of others. */
  nextVersion(): Version {
    return this.#parts.versions.next()
  }

  /** Goes on from a version that was seen under a key. */
  observe(version: Version): void {
    this.#parts.versions.observe(version)
  }

  /** @throws ConfigurationError for a key that cannot be one */
  checkKey(key: string): void {
    this.#parts.keys.encode(key)
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

  /** The bytes of a put: made before a store is written, so that what is cached is what was given, and what cannot be is known in time. @throws EncodeError @throws ConfigurationError */
  prepare(put: Put<V>): Prepared {
    return { key: put.key, change: this.#changeOf(put) }
  }

  /** Gives a prepared put the version that the store has said. */
  stamp(prepared: Prepared, version: Version): void {
    if (prepared.change.op !== 'drop') this.#parts.codec.stamp(prepared.change.bytes, version)
  }

  /** Puts what was prepared on all its owners, each kept there only if it is the newest. In order. */
  putPrepared(prepared: readonly Prepared[], call?: ClusterCall): Promise<Replicated[]> {
    return this.#parts.cluster.replicate(
      prepared.map(({ change }) => change),
      this.#parts.writes,
      call,
    )
  }

  /** In the order of `puts`; what cannot be encoded is `unacknowledged` alone, with the error that says why. */
  putMany(puts: readonly Put<V>[], call?: ClusterCall): Promise<Replicated[]> {
    return eachPrepared(
      puts,
      (put) => this.prepare(put),
      (prepared) => this.putPrepared(prepared, call),
      unacknowledged,
    )
  }

  /** Puts entries under versions drawn here. In the order of `writes`. */
  writeMany(writes: readonly Write<V>[], call?: ClusterCall): Promise<Replicated[]> {
    return eachPrepared(
      writes,
      (write) => this.prepare({ ...write, version: this.nextVersion() }),
      (prepared) => this.#putNewest(prepared, call),
      unacknowledged,
    )
  }

  /** Leaves tombstones under versions drawn here. In the order of `keys`. */
  eraseMany(keys: readonly string[], call?: ClusterCall): Promise<Replicated[]> {
    return eachPrepared(
      keys,
      (key) => ({ key, change: this.#tombstone(key, this.nextVersion()) }),
      (prepared) => this.#putNewest(prepared, call),
      unacknowledged,
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
    return eachPrepared(
      removals,
      ({ key, version }) => ({ key, change: this.#tombstone(key, version) }),
      (prepared) => this.putPrepared(prepared, call),
      unacknowledged,
    )
  }

  /**
   * An owner that refuses for an entry from ahead of this process's clock has shown that the clock lags, not that the write is old: it goes
   * on from there and the write is made once more. One that refuses for an entry from before now was overtaken while it was under way.
   */
  async #putNewest(prepared: readonly Prepared[], call: ClusterCall | undefined): Promise<Replicated[]> {
    const outcomes = await this.putPrepared(prepared, call)
    for (let attempt = 2; attempt <= TRIES; attempt++) {
      const behind = outcomes.flatMap((outcome, at) => {
        if (outcome.state !== 'refused' || !this.#parts.versions.isAhead(outcome.version)) return []
        this.observe(outcome.version)
        return [at]
      })
      if (behind.length === 0) return outcomes
      for (const at of behind) this.stamp(prepared[at]!, this.nextVersion())
      const again = await this.putPrepared(
        behind.map((at) => prepared[at]!),
        call,
      )
      for (const [nth, at] of behind.entries()) outcomes[at] = again[nth]!
    }
    return outcomes.map((outcome) => {
      if (outcome.state !== 'refused' || !this.#parts.versions.isAhead(outcome.version)) return outcome
      const error = new UnacknowledgedError(`an owner holds version ${outcome.version}, which is from the future by this process's clock`)
      return unacknowledged(error)
    })
  }

  #tombstone(key: string, version: Version): Change {
    const { codec, keys, clock } = this.#parts
    if (!codec.enveloped) return { op: 'drop', key: keys.encode(key) }
    const header = { version, freshUntilMs: 0, graceMs: 0, begun: clock.now() }
    return { op: 'put', key: keys.encode(key), bytes: codec.encode('tombstone', undefined, header), ttlMs: TOMBSTONE_MS }
  }

  #changeOf(put: Put<V>): Change {
    const { clock, codec, random, jitter } = this.#parts
    const key = this.#parts.keys.encode(put.key)
    const negative = put.kind === 'negative'
    const fullTtlMs = negative ? this.#parts.negativeTtlMs : (put.times?.ttlMs ?? this.#parts.ttlMs)
    const ttlMs = Math.max(1, Math.round(fullTtlMs * (1 - jitter * random())))
    const graceMs = negative || !codec.enveloped ? 0 : (put.times?.graceMs ?? this.#parts.graceMs)
    const freshUntilMs = clock.now() + ttlMs
    const seenUntilMs = put.over?.version === put.version ? put.over.freshUntilMs : 0
    const header = {
      version: put.version,
      freshUntilMs: Math.max(freshUntilMs, seenUntilMs + 1),
      graceMs,
      loadCostMs: put.loadCostMs,
      begun: put.begunMs,
    }
    const bytes = codec.encode(put.kind, put.value, header)
    // What takes a tombstone's place keeps watch in its stead.
    const inItsPlace = negative && put.version > 0n && put.over?.version === put.version
    const keptMs = inItsPlace ? Math.max(ttlMs, TOMBSTONE_MS) : ttlMs + graceMs
    return { op: codec.enveloped ? 'put' : 'set', key, bytes, ttlMs: keptMs }
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
    if (kind === 'tombstone' || kind === 'vacant') return new Absent('missing', node?.id, undefined, decoded)
    const nowMs = this.#parts.clock.now()
    if (nowMs < decoded.freshUntilMs) return new Live('fresh', decoded, node!.id)
    if (nowMs < decoded.freshUntilMs + decoded.graceMs) return new Live('stale', decoded, node!.id)
    return new Absent('missing', node?.id, undefined, decoded)
  }
}

const unacknowledged = (error: RingtailError): Replicated => ({ state: 'unacknowledged', error })

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

  get seen(): Seen {
    return this.#decoded
  }
}

class Absent implements Found<never> {
  readonly state: 'missing' | 'unreachable'
  readonly negative = false
  readonly value = undefined
  readonly node: string | undefined
  readonly version = 0n
  readonly failure: RingtailError | undefined
  readonly seen: Seen

  constructor(state: 'missing' | 'unreachable', node: string | undefined, failure: RingtailError | undefined, seen: Seen = NOTHING_SEEN) {
    this.state = state
    this.node = node
    this.failure = failure
    this.seen = seen
  }
}
