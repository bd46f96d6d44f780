/**
 * The topology's record: as bytes on a node, and how one follows from another.
 *
 * All steps of a change are pure functions of the record before, so that whoever finds one can go on with it. A record that is not one of ours
 * counts as none: what lies on a node is not trusted.
 */
import type { CacheNode } from '../node/node.ts'
import type { Member, Phase, TopologyRecord, UnderWay } from './topology.ts'

/** Of the control record on each node. */
export const TOPOLOGY_NAME = 'topology'

export function memberOf({ id, zone, weight, label, url }: CacheNode): Member {
  return { id, zone, weight, label, url }
}

/** What holds where nothing was ever decided. */
export function firstRecord(members: readonly Member[]): TopologyRecord {
  return { epoch: 0, beginsMs: 0, members, change: undefined }
}

export function phaseOf({ change }: TopologyRecord): Phase {
  return change?.phase ?? 'settled'
}

/** All nodes that a record names, each once. */
export function everyMember({ members, change }: TopologyRecord): readonly Member[] {
  const others = change?.members.filter(({ id }) => !members.some((member) => member.id === id)) ?? []
  return [...members, ...others]
}

/** The ids that `some` has and `others` have not. */
export function idsBeyond(some: readonly Member[], others: readonly Member[]): readonly string[] {
  return some.filter(({ id }) => !others.some((other) => other.id === id)).map(({ id }) => id)
}

/** The ids of the nodes that are on their way in, and out. */
export function comingAndGoing(record: TopologyRecord): { readonly joining: readonly string[]; readonly leaving: readonly string[] } {
  const { members, change } = record
  const [before, next] = change?.phase === 'switched' ? [change.members, members] : [members, change?.members ?? members]
  return { joining: idsBeyond(next, before), leaving: idsBeyond(before, next) }
}

export interface Beginning extends Pick<UnderWay, 'id' | 'startedMs' | 'by'> {
  readonly next: readonly Member[]
}

/** From settled: to be begun. Also what turns a switched ring around. */
export function movingRecord(from: TopologyRecord, { next, id, startedMs, by }: Beginning, beginsMs: number): TopologyRecord {
  return { epoch: from.epoch + 1, beginsMs, members: from.members, change: { id, phase: 'moving', members: next, startedMs, by } }
}

/** From moving: the two rings change places. */
export function switchedRecord(from: TopologyRecord, beginsMs: number): TopologyRecord {
  const change = from.change!
  return {
    epoch: from.epoch + 1,
    beginsMs,
    members: change.members,
    change: { ...change, phase: 'switched', members: from.members },
  }
}

/** The ring that is read, and no other: from switched the change is made, from moving it is undone. */
export function settledRecord(from: TopologyRecord, beginsMs: number): TopologyRecord {
  return { epoch: from.epoch + 1, beginsMs, members: from.members, change: undefined }
}

/** @param claim the ballot that the node was claimed with last (see `claimRecords`): it is no part of what the record says */
export function encodeRecord(record: TopologyRecord | undefined, claim?: string): Uint8Array {
  return Buffer.from(JSON.stringify({ ...record, claim }))
}

/** @returns undefined for what is no record */
export function decodeRecord(bytes: Uint8Array | undefined): TopologyRecord | undefined {
  if (bytes === undefined) return undefined
  try {
    const { epoch, beginsMs, members, change, ballot } = JSON.parse(Buffer.from(bytes).toString()) as TopologyRecord
    if (!Number.isSafeInteger(epoch) || epoch < 1 || !Number.isFinite(beginsMs) || !areMembers(members)) return undefined
    const whole = { epoch, beginsMs, members: members.map(read), ...(typeof ballot === 'string' && { ballot }) }
    if (change === undefined) return { ...whole, change: undefined }
    const { id, phase, startedMs, by } = change
    if (typeof id !== 'string' || typeof by !== 'string' || !Number.isFinite(startedMs)) return undefined
    if ((phase !== 'moving' && phase !== 'switched') || !areMembers(change.members)) return undefined
    return { ...whole, change: { id, phase, members: change.members.map(read), startedMs, by } }
  } catch {
    return undefined
  }
}

/** The ballot that a node was claimed with last. Ballots are ordered as texts are; '' comes before all. */
export function claimOf(bytes: Uint8Array | undefined): string {
  try {
    const { claim = '' } = JSON.parse(Buffer.from(bytes ?? '{}').toString()) as { readonly claim?: unknown }
    return typeof claim === 'string' ? claim : ''
  } catch {
    return ''
  }
}

/** What one node holds. */
export interface HeldRecord {
  readonly node: string
  readonly bytes: Uint8Array | undefined
}

/** The members of whom more than half decide that this record holds: those that are read before it does. */
export function decidersOf({ members, change }: TopologyRecord): readonly Member[] {
  return change?.phase === 'switched' ? change.members : members
}

/**
 * The record that holds, of those seen: the latest that is later than `current` and that more than half of its deciders hold. Undefined: none does.
 * What fewer hold may be what is left of an operator that lost, or died on its way: nobody goes by it.
 */
export function decidedRecord(current: TopologyRecord, held: readonly HeldRecord[]): TopologyRecord | undefined {
  let latest: TopologyRecord | undefined
  for (const { record, nodes } of recordsOf(held)) {
    if (record.epoch <= (latest ?? current).epoch) continue
    if (isMajority(nodes, decidersOf(record))) latest = record
  }
  return latest
}

/**
 * The record after `from` that has to be gone on with, for it may have been decided: more than half of the members hold it, if those do that were
 * not heard. Of several it is that of the latest ballot, as in Paxos. Undefined: none was.
 */
export function possiblyDecided(from: TopologyRecord, held: readonly HeldRecord[]): TopologyRecord | undefined {
  const unheard = from.members.filter(({ id }) => !held.some(({ node }) => node === id)).map(({ id }) => id)
  const following = recordsOf(held).filter(({ record }) => record.epoch === from.epoch + 1)
  return following
    .filter(({ record }) => {
      // One that was decided may have been taken again since, in another try.
      const holders = following.filter((each) => isSameButForBallot(each.record, record)).flatMap(({ nodes }) => nodes)
      return isMajority([...holders, ...unheard], from.members)
    })
    .map(({ record }) => record)
    .toSorted((a, b) => ((a.ballot ?? '') < (b.ballot ?? '') ? 1 : -1))[0]
}

/**
 * Whether what follows `from` may have been decided, or even what follows that: more than half of the members hold something later, if those do that
 * were not heard.
 */
export function isPossiblyPast(from: TopologyRecord, held: readonly HeldRecord[]): boolean {
  const certain = held.filter(({ bytes }) => (decodeRecord(bytes)?.epoch ?? 0) <= from.epoch).map(({ node }) => node)
  const others = from.members.map(({ id }) => id).filter((id) => !certain.includes(id))
  return isMajority(others, from.members)
}

/** Whether two records are one step, whenever it begins. */
export function isSameStep(one: TopologyRecord, other: TopologyRecord): boolean {
  return isSameButForBallot({ ...one, beginsMs: 0 }, { ...other, beginsMs: 0 })
}

export function isSameRecord(one: TopologyRecord, other: TopologyRecord): boolean {
  return textOf(one) === textOf(other)
}

/** Whether it is the other record as a later try had it taken. */
export function isTakenLater(record: TopologyRecord, other: TopologyRecord): boolean {
  return (record.ballot ?? '') > (other.ballot ?? '') && isSameButForBallot(record, other)
}

function isSameButForBallot({ ballot: _, ...one }: TopologyRecord, { ballot: __, ...other }: TopologyRecord): boolean {
  return textOf(one) === textOf(other)
}

/** Whatever the order in which its parts were put together. */
function textOf({ epoch, beginsMs, members, change, ballot }: TopologyRecord): string {
  return JSON.stringify([epoch, beginsMs, members, change, ballot])
}

/** Each with the nodes that hold it. */
function recordsOf(held: readonly HeldRecord[]): readonly { readonly record: TopologyRecord; readonly nodes: readonly string[] }[] {
  const found = new Map<string, { readonly record: TopologyRecord; readonly nodes: string[] }>()
  for (const { node, bytes } of held) {
    const record = decodeRecord(bytes)
    if (record === undefined) continue
    const text = textOf(record)
    const known = found.get(text)
    if (known === undefined) found.set(text, { record, nodes: [node] })
    else known.nodes.push(node)
  }
  return [...found.values()]
}

/** Whether these nodes are more than half of the members. */
export function isMajority(nodes: readonly string[], members: readonly Member[]): boolean {
  return members.filter(({ id }) => nodes.includes(id)).length * 2 > members.length
}

/** Of both rings, where there are two. */
export function isMajorityOfAll(nodes: readonly string[], { members, change }: Pick<TopologyRecord, 'members' | 'change'>): boolean {
  return isMajority(nodes, members) && (change === undefined || isMajority(nodes, change.members))
}

function areMembers(members: unknown): members is readonly Member[] {
  return Array.isArray(members) && members.length > 0 && members.every(isMember)
}

function isMember(member: Partial<Member> | null): boolean {
  if (typeof member !== 'object' || member === null) return false
  const { id, zone, weight, label, url } = member
  const texts = [id, label].every((text) => typeof text === 'string' && text !== '')
  const maybe = [zone, url].every((text) => text === undefined || typeof text === 'string')
  return texts && maybe && typeof weight === 'number' && weight > 0 && Number.isFinite(weight)
}

function read({ id, zone, weight, label, url }: Member): Member {
  return { id, zone, weight, label, url }
}
