/**
 * One cache's values over a cluster of bytes.
 *
 * Everything below speaks of bytes under keys; everything above of values that are fresh, stale or missing. Here a key gets its name on
 * the nodes, a value its envelope, its times and its version, and bytes that are not an entry of this cache become a miss and an event; an
 * entry whose group was deleted since it began is a miss too. Nothing here knows of stores, loaders or strategies, and nothing here fails a
 * read: a cluster that cannot answer is the state `unreachable`, which is for the strategy to deal with.
 */
import type { Change, Cluster, ClusterCall, Fetched, Lease, PutChange, Replicated, WriteLevel } from '../cluster/cluster.ts'
import { kindOf, versionOf } from '../codec/envelope.ts'
import { eachPrepared } from '../each-prepared.ts'
import type { Membership, Stamp, Version, VersionClock } from '../entry.ts'
import { type RingtailError, UnacknowledgedError, UnsupportedError } from '../errors.ts'
import type { Session } from '../session.ts'
import { EntryJudge, type EntryJudgeParts } from './entry-judge.ts'
import { EntryMaker, type EntryMakerParts, type Put, type PutTimes } from './entry-maker.ts'
import type { Found, FoundState } from './found.ts'
import { PendingEntries } from './pending-entries.ts'

export type { Found, FoundState, Lease, Put, PutTimes, Replicated }

/** Tries of a write whose version is drawn here, before an owner's entry from ahead of all clocks is an error. */
const TRIES = 3

/** A tombstone to be left. */
export interface Removal {
  readonly key: string
  readonly version: Version
  /** Its place among what is of the same version, ms since the epoch: see `Stamp`. Default: now. */
  readonly begunMs?: number | undefined
}

type Refusal = Extract<Replicated, { readonly state: 'refused' }>

/** A put in its bytes, on its way out. */
export interface Prepared {
  readonly key: string
  readonly change: Change
  /** What decides whether it will be current; undefined of a tombstone, and where there are no groups. */
  readonly member: Membership | undefined
}

export interface KeyspaceCall extends ClusterCall {
  /** Of a write. Default: the cache's own. */
  readonly writes?: WriteLevel | undefined
  /** Remembers what is written. */
  readonly session?: Session | undefined
}

/** What became of asking for the right to load a key; see `LeaseAnswer`. */
export type Leasing<V> =
  | { readonly state: 'granted'; readonly lease: Lease; readonly held: Stamp }
  | { readonly state: 'held'; readonly forMs: number }
  | { readonly state: 'changed'; readonly found: Found<V> }
  | { readonly state: 'failed'; readonly error: RingtailError }

export interface KeyspaceParts<V> extends EntryMakerParts<V>, EntryJudgeParts<V> {
  readonly cluster: Cluster
  readonly writes: WriteLevel
  readonly versions: VersionClock
}

export class Keyspace<V> {
  readonly #parts: KeyspaceParts<V>
  readonly #maker: EntryMaker<V>
  readonly #judge: EntryJudge<V>
  /** Entries that the store does not have yet. */
  readonly pending: PendingEntries<V>

  constructor(parts: KeyspaceParts<V>) {
    this.#parts = parts
    this.#maker = new EntryMaker(parts)
    this.#judge = new EntryJudge(parts)
    this.pending = new PendingEntries({ ...parts, nowMs: () => this.nowMs() }, this.#maker)
  }

  /** Whether entries carry what leases, touches and versions need: not where values are plain. */
  get enveloped(): boolean {
    return this.#parts.codec.enveloped
  }

  /** A version newer than all that this process has issued or seen of others. */
  nextVersion(): Version {
    return this.#parts.versions.next()
  }

  /** The `begun` of what begins now, ms since the epoch. */
  nowMs(): number {
    const { currency, clock } = this.#parts
    return currency === undefined ? clock.now() : currency.nowMs()
  }

  /** Goes on from a version that was seen under a key. */
  observe(version: Version): void {
    this.#parts.versions.observe(version)
  }

  /** The key as it lies on the nodes. @throws ConfigurationError for a key that cannot be one */
  wireKey(key: string): string {
    return this.#parts.keys.encode(key)
  }

  /**
   * The hot path, hence no promise: one of the two is called exactly once, possibly before `find` returns; neither may throw.
   * @param fail hears of a misconfigured validation, and of nothing else
   * @throws ConfigurationError for a key that cannot be one
   */
  find(key: string, settle: (found: Found<V>) => void, fail: (error: unknown) => void, call?: ClusterCall): void {
    const judged = (fetched: Fetched): void => {
      let found: Found<V> | undefined
      try {
        found = this.#judge.judge(key, fetched)
      } catch (thrown) {
        fail(thrown)
        return
      }
      if (found === undefined) this.#judge.learn([key], [fetched]).then(([only]) => settle(only!), fail)
      else settle(found)
    }
    this.#parts.cluster.fetch(this.#parts.keys.encode(key), judged, call)
  }

  /** `find` as a promise, for what is not hot. */
  findOne(key: string, call?: ClusterCall): Promise<Found<V>> {
    return new Promise((resolve, reject) => this.find(key, resolve, reject, call))
  }

  /** In the order of `keys`. */
  async findMany(keys: readonly string[], call?: ClusterCall): Promise<Found<V>[]> {
    const wires = keys.map((key) => this.#parts.keys.encode(key))
    return this.#judge.judgeMany(keys, await this.#parts.cluster.fetchMany(wires, call))
  }

  /** The bytes of a put: made before a store is written, so that what is cached is what was given, and what cannot be is known in time. @throws EncodeError @throws ConfigurationError */
  prepare(put: Put<V>): Prepared {
    const tags = this.#maker.tagsOf(put)
    const change = this.#maker.put(put, tags)
    const { currency } = this.#parts
    if (currency === undefined) return { key: put.key, change, member: undefined }
    if (tags.length > 0) currency.checkTags(tags)
    return { key: put.key, change, member: { begun: put.begunMs, tags } }
  }

  /** Gives a prepared put the version that the store has said. */
  stamp(prepared: Prepared, version: Version): void {
    if (prepared.change.op === 'put' || prepared.change.op === 'set') this.#parts.codec.stamp(prepared.change.bytes, version)
  }

  /** Puts what was prepared on all its owners, each kept there only if it is the newest. In order. */
  async putPrepared(prepared: readonly Prepared[], call?: KeyspaceCall): Promise<Replicated[]> {
    await this.#allGroupsOf(prepared)
    const changes = prepared.map(({ change }) => change)
    return this.#parts.cluster.replicate(changes, call?.writes ?? this.#parts.writes, call)
  }

  /** In the order of `puts`; what cannot be encoded is `unacknowledged` alone, with the error that says why. */
  putMany(puts: readonly Put<V>[], call?: KeyspaceCall): Promise<Replicated[]> {
    return eachPrepared(
      puts,
      (put) => this.prepare(put),
      (prepared) => this.putPrepared(prepared, call),
      unacknowledged,
    )
  }

  /**
   * Puts one entry, again under a version drawn here where its own turns out to be too old. The hot path of writes, hence no promise: `settle`
   * is called exactly once, possibly before `write` returns; it must not throw. @throws EncodeError @throws ConfigurationError
   */
  write(put: Put<V>, settle: (outcome: Replicated) => void, call?: KeyspaceCall): void {
    const { cluster, writes } = this.#parts
    const prepared = this.prepare(put)
    const judged = (outcome: Replicated): void => {
      if (outcome.state === 'applied') {
        this.#recordOne(prepared, outcome, call)
        settle(outcome)
      } else void this.#writeAgain(prepared, outcome, settle, call)
    }
    const waiting = this.#groupsOf(prepared)
    if (waiting === undefined) cluster.put(prepared.change, writes, judged, call, put.begunMs)
    else void waiting.then(() => cluster.put(prepared.change, writes, judged, call))
  }

  /** As `write`, many. In the order of `puts`. */
  writeMany(puts: readonly Put<V>[], call?: KeyspaceCall): Promise<Replicated[]> {
    return eachPrepared(
      puts,
      (put) => this.prepare(put),
      (prepared) => this.#putNewest(prepared, call),
      unacknowledged,
    )
  }

  /**
   * Leaves tombstones under versions drawn here, over whatever another process has put there by now: clocks differ, and what it put may have
   * been there before. In the order of `keys`.
   */
  eraseMany(keys: readonly string[], call?: KeyspaceCall): Promise<Replicated[]> {
    return eachPrepared(
      keys,
      (key) => this.#tombstone(key, this.nextVersion()),
      (prepared) => this.#putNewest(prepared, call, this.#isOthers),
      unacknowledged,
    )
  }

  /** Puts one entry if the key's version at its primary is exactly `expected` (0n: no live value). @throws EncodeError */
  async compareAndSet(put: Put<V>, expected: Version, call?: KeyspaceCall): Promise<Replicated> {
    if (!this.enveloped) throw this.#unsupported('versions to compare, so there is no update')
    return this.comparePrepared(this.prepare(put), expected, call)
  }

  /** `compareAndSet` of what was prepared. */
  async comparePrepared(prepared: Prepared, expected: Version, call?: KeyspaceCall): Promise<Replicated> {
    await this.#groupsOf(prepared)
    const change = { ...(prepared.change as PutChange), expected }
    const outcome = await this.#parts.cluster.compareAndSet(change, this.#parts.writes, call)
    if (outcome.state === 'applied') call?.session?.wrote(change.key, versionOf(change.bytes))
    return outcome
  }

  /** Leaves a tombstone of the given version under each key: what is older is gone and stays so. */
  removeMany(removals: readonly Removal[], call?: KeyspaceCall): Promise<Replicated[]> {
    return eachPrepared(
      removals,
      ({ key, version, begunMs }) => this.#tombstone(key, version, begunMs),
      (prepared) => this.putPrepared(prepared, call),
      unacknowledged,
    )
  }

  /** Whether a put that was refused may be the later one all the same, by clocks that differ. @param own its version */
  isDoubtful(refusal: Refusal, own: Version): boolean {
    return refusal.byPrimary === true && this.#isDoubtful(refusal, own)
  }

  /** Asks for the right to load keys. In the order of `asks`; never rejects but for a misconfigured validation. */
  async leaseMany(
    asks: readonly { readonly key: string; readonly seen: Stamp; readonly force: boolean }[],
    leaseMs: number,
    call?: ClusterCall,
  ): Promise<Leasing<V>[]> {
    const requests = asks.map(({ key, seen, force }) => ({ key: this.#parts.keys.encode(key), seen, leaseMs, force }))
    const answers = await this.#parts.cluster.lease(requests, call)
    const changed = answers.flatMap((answer, at) => (answer.state === 'changed' ? [{ key: asks[at]!.key, fetched: answer.fetched }] : []))
    const changedKeys = changed.map(({ key }) => key)
    const found = await this.#judge.judgeMany(
      changedKeys,
      Array.from(changed, ({ fetched }) => fetched),
    )
    let next = 0
    return answers.map((answer) => (answer.state === 'changed' ? { state: 'changed', found: found[next++]! } : answer))
  }

  /**
   * Puts what was loaded under leases: `refused` when the lease was lost, the key holds something newer, or a group of the entry was deleted
   * since it began. In order.
   */
  fillMany(fills: readonly { readonly put: Put<V>; readonly lease: Lease }[], call?: ClusterCall): Promise<Replicated[]> {
    return eachPrepared(
      fills,
      ({ put, lease }) => ({ ...this.prepare(put), lease }),
      async (prepared) => {
        await this.#allGroupsOf(prepared)
        // Its lease says that nothing came after it; a load that took long is not a change that comes late.
        const issuedMs = this.#parts.clock.now()
        const changes = prepared.map(({ change, lease }) => ({ change: { ...(change as PutChange), issuedMs }, lease }))
        const outcomes = await this.#parts.cluster.fill(changes, this.#parts.writes, call)
        return outcomes.map((outcome, at) => (outcome.state === 'applied' && !this.#isKnownCurrent(prepared[at]!) ? OVERTAKEN : outcome))
      },
      unacknowledged,
    )
  }

  /** Gives leases back without a fill. */
  release(leases: readonly { readonly key: string; readonly lease: Lease }[]): void {
    this.#parts.cluster.release(leases.map(({ key, lease }) => ({ key: this.#parts.keys.encode(key), lease })))
  }

  /** Makes values fresh for a TTL from now, on all owners, if they are still of the version given. `refused`: they are not. In order. */
  async touchMany(
    touches: readonly { readonly key: string; readonly version: Version }[],
    times: PutTimes | undefined,
    call?: ClusterCall,
  ): Promise<Replicated[]> {
    if (!this.enveloped) throw this.#unsupported('times of their own, so there is no touch')
    const changes = touches.map(({ key, version }) => this.#maker.touch(key, version, times))
    return this.#parts.cluster.replicate(changes, this.#parts.writes, call)
  }

  async #putNewest(prepared: readonly Prepared[], call: KeyspaceCall | undefined, yields = this.#isDoubtful): Promise<Replicated[]> {
    const outcomes = await this.#retried(prepared, await this.putPrepared(prepared, call), call, yields)
    for (const [at, outcome] of outcomes.entries()) this.#recordOne(prepared[at]!, outcome, call)
    return outcomes
  }

  async #writeAgain(
    prepared: Prepared,
    first: Replicated,
    settle: (outcome: Replicated) => void,
    call: KeyspaceCall | undefined,
  ): Promise<void> {
    const [outcome] = await this.#retried([prepared], [first], call)
    this.#recordOne(prepared, outcome!, call)
    settle(outcome!)
  }

  /**
   * A primary that refuses for an entry from ahead of this process's clock, or from about the same time, has shown that clocks differ, not
   * that the write is old: it goes on from there and the write is made once more. It is still under way, so that coming last is right if
   * nobody has seen it. Where so few owners refused it that it may be seen on the others, it is made again only for what clocks may have
   * taken for later, within a time in which no reader is told of it (`cluster/unsettled.ts`), and in the place of just what refused it; for
   * what came after it was seen must stay. A delete may come twice: what it forgets can be loaded. One that is refused again and again was
   * overtaken meanwhile.
   */
  async #retried(
    prepared: readonly Prepared[],
    first: readonly Replicated[],
    call: KeyspaceCall | undefined,
    yields = this.#isDoubtful,
  ): Promise<Replicated[]> {
    const outcomes = [...first]
    for (let attempt = 2; attempt <= TRIES; attempt++) {
      const behind = outcomes.flatMap((outcome, at) => {
        if (outcome.state !== 'refused' || outcome.byPrimary !== true) return []
        const { change } = prepared[at]!
        if (!yields(outcome, change.op === 'put' ? versionOf(change.bytes) : 0n)) return []
        this.observe(outcome.version)
        return [at]
      })
      if (behind.length === 0) return outcomes
      for (const at of behind) this.stamp(prepared[at]!, this.nextVersion())
      const again = await Promise.all(behind.map((at) => this.#onceMore(prepared[at]!, outcomes[at]!, call)))
      for (const [nth, at] of behind.entries()) outcomes[at] = again[nth]!
    }
    return outcomes.map((outcome) => {
      if (outcome.state !== 'refused' || outcome.byPrimary !== true || !this.#parts.versions.isAhead(outcome.version)) return outcome
      const error = new UnacknowledgedError(`an owner holds version ${outcome.version}, which is from the future by this process's clock`)
      return unacknowledged(error)
    })
  }

  async #onceMore(prepared: Prepared, before: Replicated, call: KeyspaceCall | undefined): Promise<Replicated> {
    const { change } = prepared
    const erases = change.op === 'put' && kindOf(change.bytes) === 'tombstone'
    if (before.state !== 'refused' || before.unseen === true || erases) return (await this.putPrepared([prepared], call))[0]!
    return this.#parts.cluster.compareAndSet({ ...(change as PutChange), expected: before.version }, this.#parts.writes, call)
  }

  /** What a put does not give way to, and what a delete does not: see `#retried`. */
  readonly #isDoubtful = ({ version, unseen }: Refusal, own: Version): boolean => {
    const { versions } = this.#parts
    if (versions.isAhead(version)) return true
    if (versions.isOwn(version)) return false
    return unseen === true ? versions.isDoubtful(version, own) : versions.isSimultaneous(version, own)
  }
  readonly #isOthers = ({ version }: Refusal): boolean => {
    const { versions } = this.#parts
    return versions.isAhead(version) || !versions.isOwn(version)
  }

  #recordOne({ change }: Prepared, { state }: Replicated, call: KeyspaceCall | undefined): void {
    if (call?.session === undefined || change.op !== 'put' || state === 'unacknowledged') return
    call.session.wrote(change.key, versionOf(change.bytes))
  }

  #tombstone(key: string, version: Version, begunMs = this.nowMs()): Prepared {
    return { key, change: this.#maker.tombstone(key, version, begunMs), member: undefined }
  }

  /** False as well where nothing is known: a group may have been deleted since the load began, without a word of it here. */
  #isKnownCurrent({ key, member }: Prepared): boolean {
    if (member === undefined) return true
    return this.#parts.currency!.isCurrent({ begun: member.begun % 2 ** 32, tags: member.tags }, key) === true
  }

  /** @returns undefined when there is nothing to wait for */
  #groupsOf({ key, member }: Prepared): Promise<unknown> | undefined {
    const { currency } = this.#parts
    if (currency === undefined || member === undefined) return undefined
    // One that will not be current is put all the same: what it takes the place of may belong to other groups.
    const ready = currency.prepare(member.tags, key, member.begun)
    return typeof ready === 'boolean' ? undefined : ready
  }

  async #allGroupsOf(prepared: readonly Prepared[]): Promise<void> {
    const waiting = prepared.map((each) => this.#groupsOf(each)).filter((each) => each !== undefined)
    if (waiting.length > 0) await Promise.all(waiting)
  }

  #unsupported(what: string): UnsupportedError {
    return new UnsupportedError(`cache '${this.#parts.cache}': plain values have no ${what}`)
  }
}

const OVERTAKEN: Replicated = Object.freeze({ state: 'refused', version: 0n })
const unacknowledged = (error: RingtailError): Replicated => ({ state: 'unacknowledged', error })
