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

export function encodeRecord(record: TopologyRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record))
}

/** @returns undefined for what is no record */
export function decodeRecord(bytes: Uint8Array | undefined): TopologyRecord | undefined {
  if (bytes === undefined) return undefined
  try {
    const { epoch, beginsMs, members, change } = JSON.parse(Buffer.from(bytes).toString()) as TopologyRecord
    if (!Number.isSafeInteger(epoch) || epoch < 1 || !Number.isFinite(beginsMs) || !areMembers(members)) return undefined
    if (change === undefined) return { epoch, beginsMs, members: members.map(read), change: undefined }
    const { id, phase, startedMs, by } = change
    if (typeof id !== 'string' || typeof by !== 'string' || !Number.isFinite(startedMs)) return undefined
    if ((phase !== 'moving' && phase !== 'switched') || !areMembers(change.members)) return undefined
    return { epoch, beginsMs, members: members.map(read), change: { id, phase, members: change.members.map(read), startedMs, by } }
  } catch {
    return undefined
  }
}

/** What one node holds. */
export interface HeldRecord {
  readonly node: string
  readonly bytes: Uint8Array | undefined
}

/**
 * The record that holds, of those seen: the latest that is later than `current` and that more than half of the members hold whose ring is read
 * by it, or by `current`. Undefined: none does. What fewer hold may be what is left of an operator that lost, or died on its way: nobody
 * goes by it, so that it can be written over.
 */
export function decidedRecord(current: TopologyRecord, held: readonly HeldRecord[]): TopologyRecord | undefined {
  const holders = new Map<string, { readonly record: TopologyRecord; readonly nodes: string[] }>()
  for (const { node, bytes } of held) {
    const record = decodeRecord(bytes)
    if (record === undefined || record.epoch <= current.epoch) continue
    const text = Buffer.from(bytes!).toString('latin1')
    const known = holders.get(text)
    if (known === undefined) holders.set(text, { record, nodes: [node] })
    else known.nodes.push(node)
  }
  let latest: TopologyRecord | undefined
  for (const { record, nodes } of holders.values()) {
    const isDecided = isMajority(nodes, current.members) || isMajority(nodes, record.members)
    if (isDecided && record.epoch > (latest?.epoch ?? 0)) latest = record
  }
  return latest
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
