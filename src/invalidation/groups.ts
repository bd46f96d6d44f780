/**
 * Groups: all entries with a tag, of a namespace or of a whole cache, deleted at once and never searched for.
 *
 * A group's record says when it was last deleted; an entry is current if what made it began later. So a delete is the write of one small
 * record, however many entries it is about, and they are gone for whoever knows of it. A process knows the records it needs and is told when
 * they change, so a hit costs a comparison of numbers and no round trip. Where nothing would be heard of a change, the nodes are asked before
 * each judgement. What cannot be judged is a miss.
 *
 * Two things make it right between processes whose clocks differ. A delete is dated ahead of now by more than clocks differ, so that nothing
 * that began before it looks younger; who has heard of it begins what it begins later than that. And whoever deletes first asks for the
 * latest date that anybody has given (`rt:!raised:<cache>`) and gives a later one: otherwise an entry begun by one who had just heard of
 * another delete would look younger than this one.
 */
import type { Clock } from '../clock.ts'
import type { Cluster, Replicated, WriteLevel } from '../cluster/cluster.ts'
import type { Currency, Membership } from '../entry.ts'
import { ConfigurationError, UnacknowledgedError } from '../errors.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import { GroupLookups } from './group-lookups.ts'
import { type Group, GroupRecords, recordPut } from './group-records.ts'
import type { Invalidations } from './invalidation.ts'
import { KnownGroups } from './known-groups.ts'

export type { Group }

/** How far ahead a delete is dated, ms: more than the clocks of two processes of the fleet may differ. */
export const SKEW_MS = 1_000
/** A delete from farther ahead than this, ms, is no clock's, and moves none. */
const FARTHEST_AHEAD_MS = 3_600_000

export interface GroupsParts {
  readonly cache: string
  readonly cluster: Pick<Cluster, 'ownersOf' | 'otherOwnersOf' | 'replicas' | 'replicate'>
  readonly invalidations: Invalidations
  /** The cache's level of writes; deletes are acknowledged at the same. */
  readonly writes: WriteLevel
  /** What ends a namespace in a key: `tenant:item` with `':'` is in namespace `tenant`. Default: the cache has no namespaces. */
  readonly separator?: string | undefined
  /** The fleet's time. */
  readonly clock: Pick<Clock, 'now'>
  /** Tags and namespaces, each, that a process knows at most. Default 65,536. */
  readonly maxKnown?: number | undefined
}

const APPLIED: Replicated = Object.freeze({ state: 'applied' })

export class Groups implements Currency, QueueTeller {
  readonly #parts: GroupsParts
  readonly #separator: string | undefined
  readonly #records: GroupRecords
  readonly #known: KnownGroups
  readonly #lookups: GroupLookups
  readonly #unfollow: () => void
  /** The latest delete that is known of any group, ms. */
  #latestMs = 0
  /** A time not later than now, from which the low 32 bits of another are completed. */
  #baseMs: number

  constructor(parts: GroupsParts) {
    this.#parts = parts
    this.#separator = parts.separator
    this.#records = new GroupRecords(parts.cache)
    this.#known = new KnownGroups(parts.maxKnown)
    this.#baseMs = parts.clock.now()
    const { cluster, invalidations, writes } = parts
    this.#lookups = new GroupLookups({
      cluster,
      invalidations,
      writes,
      records: this.#records,
      known: this.#known,
      nowMs: () => this.nowMs(),
      heard: (ms) => this.#heard(ms),
    })
    this.#unfollow = invalidations.follow(this.#records.prefix, {
      changed: (keys) => this.#changed(keys),
      lost: () => {
        this.#known.doubtAll()
        this.#lookups.lost()
      },
    })
  }

  tellQueues(tell: TellQueue): void {
    this.#lookups.tellQueues(tell)
  }

  /** How many groups this process knows. */
  get known(): number {
    return this.#known.size
  }

  nowMs(): number {
    return Math.max(this.#parts.clock.now(), this.#latestMs + 1)
  }

  isCurrent(entry: Membership, key: string): boolean | undefined {
    const plain = this.#separator === undefined && entry.tags.length === 0
    const latest = plain ? this.#known.all : this.#known.latestOf(entry.tags, this.#namespaceOf(key))
    if (latest === undefined) return undefined
    // With a base that has grown old a time can only seem earlier than it was: then it is looked at once more.
    return this.#fullMs(entry.begun) > latest || this.#isYounger(entry.begun, latest)
  }

  async learn(entries: readonly { readonly entry: Membership; readonly key: string }[]): Promise<boolean[]> {
    const asked = entries.map(({ entry, key }) => this.#learnLatest(entry.tags, key, Number.POSITIVE_INFINITY))
    const latest = await Promise.all(asked)
    return latest.map((ms, at) => ms !== undefined && this.#isYounger(entries[at]!.entry.begun, ms))
  }

  /** @throws ConfigurationError for a tag that cannot be one */
  prepare(tags: readonly string[], key: string, begunMs: number): boolean | Promise<boolean> {
    const latest = this.#known.latestOf(tags, this.#namespaceOf(key))
    if (latest !== undefined) return begunMs > latest
    for (const tag of tags) this.#records.checkTag(tag)
    // Well before, for others in the fleet may write first entries of the same group in the same moment.
    return this.#learnLatest(tags, key, begunMs - 1 - SKEW_MS).then((ms) => ms !== undefined && begunMs > ms)
  }

  /** @throws ConfigurationError for a tag that cannot be one: text of 1 to 256 bytes, well-formed */
  checkTags(tags: readonly string[]): void {
    for (const tag of tags) this.#records.checkTag(tag)
  }

  /**
   * Deletes groups: no entry that began before this call is current afterwards, for whoever has heard of it, which is everybody within the
   * bound of the invalidations, and at once in this process. Never rejects; `unacknowledged`: the deletes may have happened.
   * @throws ConfigurationError for a tag that cannot be one, or a namespace where the cache has none
   */
  raise(groups: readonly Group[]): Promise<Replicated> {
    for (const group of groups) {
      if (group.kind === 'tag') this.#records.checkTag(group.name)
      if (group.kind === 'ns' && this.#separator === undefined) {
        throw new ConfigurationError(`cache '${this.#parts.cache}': needs a separator to have namespaces, but got: none`)
      }
    }
    const keys = groups.map((group) => this.#records.keyOf(group))
    return groups.length === 0 ? Promise.resolve(APPLIED) : this.#raise(groups, keys)
  }

  /**
   * What the keys of a namespace begin with.
   * @throws ConfigurationError for a name that cannot be one, or where the cache has no namespaces
   */
  prefixOf(name: string): string {
    const { cache, separator } = this.#parts
    if (separator === undefined) {
      throw new ConfigurationError(`cache '${cache}': namespace: needs a cache with 'namespaces', such as '/', but got: '${name}' and none`)
    }
    if (typeof name !== 'string' || name === '' || name.includes(separator)) {
      throw ConfigurationError.of(`cache '${cache}': namespace`, `text without '${separator}' that is not empty`, name)
    }
    return name + separator
  }

  /** Nothing is followed afterwards, and nothing known. */
  close(): void {
    this.#unfollow()
    this.#known.doubtAll()
    this.#lookups.lost()
  }

  async #raise(groups: readonly Group[], keys: readonly string[]): Promise<Replicated> {
    const { cluster, writes, clock, invalidations } = this.#parts
    const { raisedKey } = this.#records
    const lastMs = await this.#lookups.latestAt(raisedKey)
    if (lastMs === undefined) {
      return { state: 'unacknowledged', error: new UnacknowledgedError('too few owners say when a group of the cache was last deleted') }
    }
    const nowMs = clock.now()
    const followed = lastMs - nowMs > FARTHEST_AHEAD_MS ? 0 : lastMs + 1
    const atMs = Math.max(nowMs + SKEW_MS, this.nowMs(), followed)
    const deleted = { ms: atMs, deleted: true }
    // Whoever can have heard of the groups' deletes begins later than this date, so the date has to lie there first.
    const [dated] = await cluster.replicate([recordPut(raisedKey, deleted, nowMs)], writes)
    if (dated!.state === 'unacknowledged') return dated!
    const outcomes = await cluster.replicate(
      keys.map((key) => recordPut(key, deleted, nowMs)),
      writes,
    )
    this.#heard(atMs)
    for (const [at, group] of groups.entries()) {
      // Not held as the latest: one that is later still may have been heard of meanwhile.
      this.#known.doubt(group, atMs)
      this.#known.forget(group)
      this.#lookups.changed(keys[at]!)
    }
    invalidations.announce(keys)
    return outcomes.find(({ state }) => state === 'unacknowledged') ?? APPLIED
  }

  #changed(keys: readonly string[]): void {
    for (const key of keys) {
      const group = this.#records.groupOf(key)
      if (group === undefined) this.#known.doubtAll()
      else this.#known.forget(group)
      this.#lookups.changed(key)
    }
  }

  #heard(ms: number): void {
    if (ms > this.#latestMs && ms - this.#parts.clock.now() <= FARTHEST_AHEAD_MS) this.#latestMs = ms
  }

  /** The latest delete of an entry's groups; undefined when one of them cannot be learnt. */
  async #learnLatest(tags: readonly string[], key: string, createdMs: number): Promise<number | undefined> {
    const namespace = this.#namespaceOf(key)
    const groups: Group[] = [{ kind: 'all' }]
    if (namespace !== undefined) groups.push({ kind: 'ns', name: namespace })
    for (const name of tags) groups.push({ kind: 'tag', name })
    try {
      // What an entry says it is tagged with was read from a node, and may be anything.
      this.checkTags(tags)
      const found = await Promise.all(groups.map((group) => this.#known.get(group) ?? this.#lookups.ask(group, createdMs)))
      return found.reduce<number | undefined>(
        (latest, ms) => (latest === undefined || ms === undefined ? undefined : Math.max(latest, ms)),
        0,
      )
    } catch {
      return undefined
    }
  }

  #namespaceOf(key: string): string | undefined {
    if (this.#separator === undefined) return undefined
    const end = key.indexOf(this.#separator)
    return end < 0 ? undefined : key.slice(0, end)
  }

  /** The time whose low 32 bits these are, ms since the epoch: the one nearest to the base. */
  #fullMs(begun: number): number {
    return this.#baseMs + ((begun - this.#baseMs) | 0)
  }

  #isYounger(begun: number, ms: number): boolean {
    this.#baseMs = this.#parts.clock.now()
    return this.#fullMs(begun) > ms
  }
}
