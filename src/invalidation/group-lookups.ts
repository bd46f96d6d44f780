/**
 * Asking the nodes for the groups that this process does not know.
 *
 * What is asked for in one turn leaves as one request a node. A group that nodes do not have is created, for a record may have been lost, and
 * what was deleted must not come back with it: as of now for a reader; as of just before its own beginning for the writer of a group's first
 * entry. The answer is kept for others to use under the law of near caches: only if every change of the record would have been heard from
 * before it was asked for until it is kept, and none was.
 */
import type { Cluster, WriteLevel } from '../cluster/cluster.ts'
import type { QueueTeller, TellQueue } from '../queues.ts'
import { versionMs } from '../version-clock.ts'
import { type Group, type GroupRecords, recordPut } from './group-records.ts'
import { hearsKey } from './hears-key.ts'
import type { Invalidations } from './invalidation.ts'
import type { KnownGroups } from './known-groups.ts'
import { acknowledging, type OwnersRecord, ownersRecords, sufficient } from './owners-records.ts'

export interface GroupLookupsParts {
  readonly cluster: Pick<Cluster, 'ownersOf' | 'otherOwnersOf' | 'replicas' | 'replicate'>
  readonly records: GroupRecords
  readonly known: KnownGroups
  readonly invalidations: Invalidations
  readonly writes: WriteLevel
  /** ms since the epoch, later than every delete that is known here. */
  readonly nowMs: () => number
  /** Told of every delete that is learnt, ms. */
  readonly heard: (ms: number) => void
}

/** Groups being asked for at most; what comes on top is not learnt. */
const MAX_UNDER_WAY = 16_384

/** Of writers the earliest, so that all their entries are current; of a reader and a writer the reader's. */
function earliestCreation(one: number, other: number): number {
  return one === Number.POSITIVE_INFINITY || other === Number.POSITIVE_INFINITY ? Number.POSITIVE_INFINITY : Math.min(one, other)
}

interface Ask {
  readonly group: Group
  readonly key: string
  /** The delete that a record which nodes lack is created with, ms; Infinity: as of now. */
  createdMs: number
  departed: boolean
  /** Whether nothing could have gone unheard since before it left. */
  covered: boolean
  readonly answer: PromiseWithResolvers<number | undefined>
}

export class GroupLookups implements QueueTeller {
  readonly #parts: GroupLookupsParts
  /** Those that a later caller may join, by key. */
  readonly #joinable = new Map<string, Ask>()
  #boarding: Ask[] = []
  #underWay = 0

  constructor(parts: GroupLookupsParts) {
    this.#parts = parts
  }

  /** @param createdMs the delete to create the record with, should there be none @returns the group's last delete, ms; undefined when it cannot be learnt */
  ask(group: Group, createdMs: number): Promise<number | undefined> {
    const key = this.#parts.records.keyOf(group)
    const held = this.#joinable.get(key)
    // One that is under way may have been answered already: good enough only while any change since then is heard.
    if (held !== undefined && (!held.departed || (held.covered && this.isCovered(key)))) {
      held.createdMs = earliestCreation(held.createdMs, createdMs)
      return held.answer.promise
    }
    if (this.#underWay >= MAX_UNDER_WAY) return Promise.resolve(undefined)
    this.#underWay++
    const ask: Ask = { group, key, createdMs, departed: false, covered: false, answer: Promise.withResolvers() }
    this.#joinable.set(key, ask)
    this.#boarding.push(ask)
    if (this.#boarding.length === 1) queueMicrotask(() => void this.#depart())
    return ask.answer.promise
  }

  tellQueues(tell: TellQueue): void {
    tell('groupsAsked', this.#underWay, MAX_UNDER_WAY)
  }

  /** What is being asked for under this key may be out of date. */
  changed(key: string): void {
    const ask = this.#joinable.get(key)
    if (ask === undefined) return
    ask.covered = false
    if (ask.departed) this.#joinable.delete(key)
  }

  lost(): void {
    for (const key of [...this.#joinable.keys()]) this.changed(key)
  }

  /** Whether a change of this record that is acknowledged would be heard. */
  isCovered(key: string): boolean {
    const { invalidations, records, cluster } = this.#parts
    return hearsKey(invalidations, cluster, records.prefix, key, this.#acknowledging() - 1)
  }

  /** The latest of a record's owners. @returns undefined when so few answered that none of them may have what was acknowledged */
  async latestAt(key: string): Promise<number | undefined> {
    const [record] = await ownersRecords(this.#parts.cluster, [key], this.#parts.nowMs)
    const needed = Math.min(this.#acknowledging(), this.#sufficient())
    return record!.answered < needed ? undefined : (record!.ms ?? 0)
  }

  async #depart(): Promise<void> {
    const { cluster, nowMs } = this.#parts
    const asks = this.#boarding
    this.#boarding = []
    for (const ask of asks) {
      ask.departed = true
      ask.covered = this.isCovered(ask.key)
    }
    const found = await ownersRecords(
      cluster,
      asks.map(({ key }) => key),
      nowMs,
    )
    const absent: Ask[] = []
    for (const [at, ask] of asks.entries()) {
      const record = found[at]!
      // Absent is only what so many owners lack that it cannot have been acknowledged: a few that time out must not empty a cache.
      if (record.ms === undefined && record.answered >= this.#sufficient()) absent.push(ask)
      else this.#settle(ask, record.ms, record)
    }
    if (absent.length > 0) await this.#create(absent)
  }

  async #create(asks: readonly Ask[]): Promise<void> {
    const { cluster, known, nowMs, records } = this.#parts
    for (const ask of asks) if (known.doubtedOf(ask.group) !== undefined) ask.createdMs = Number.POSITIVE_INFINITY
    const anyAsOfNow = asks.some(({ createdMs }) => createdMs === Number.POSITIVE_INFINITY)
    // No later than the latest delete that was dated: what began since would seem not to have, and later deletes could not know of it.
    const latestMs = Math.max(nowMs() - 1, anyAsOfNow ? ((await this.latestAt(records.raisedKey)) ?? 0) : 0)
    const created = asks.map(({ createdMs }) => Math.min(createdMs, latestMs))
    // Made as of now it deletes what there is; made for the first entry it deletes nothing.
    const puts = asks.map(({ key, createdMs }, at) =>
      recordPut(key, { ms: created[at]!, deleted: createdMs === Number.POSITIVE_INFINITY }, nowMs()),
    )
    // One owner will do: should it be lost with the record, that is created anew, as of later.
    const outcomes = await cluster.replicate(puts, 'one')
    const acknowledged: string[] = []
    for (const [at, ask] of asks.entries()) {
      const outcome = outcomes[at]!
      const later = outcome.state === 'refused' ? versionMs(outcome.version) : 0
      this.#settle(ask, outcome.state === 'unacknowledged' ? undefined : Math.max(created[at]!, later), undefined)
      if (outcome.state === 'applied') acknowledged.push(ask.key)
    }
    if (acknowledged.length > 0) this.#parts.invalidations.announce(acknowledged)
  }

  /** @param from undefined for what was created */
  #settle(ask: Ask, found: number | undefined, from: OwnersRecord | undefined): void {
    const { known, heard } = this.#parts
    this.#underWay--
    if (this.#joinable.get(ask.key) === ask) this.#joinable.delete(ask.key)
    if (found === undefined) {
      ask.answer.resolve(undefined)
      return
    }
    const ms = Math.max(found, known.doubtedOf(ask.group) ?? 0)
    heard(ms)
    const enough = from === undefined || from.answered >= this.#sufficient()
    if (enough && ask.covered && this.isCovered(ask.key)) known.keep(ask.group, ms)
    ask.answer.resolve(ms)
  }

  #acknowledging(): number {
    return acknowledging(this.#parts.writes, this.#parts.cluster.replicas)
  }

  #sufficient(): number {
    return sufficient(this.#parts.writes, this.#parts.cluster.replicas)
  }
}
