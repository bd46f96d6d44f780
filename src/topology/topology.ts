/**
 * The contract of topology: which nodes the fleet has, decided by all and changed under load.
 *
 * What a process thinks of a node's health is its own opinion; which nodes own keys has to be the same for everybody. So it is a record on the
 * nodes themselves, with a number, the epoch, that only grows. A change copies first and switches then:
 *
 *     settled    one ring                       everybody reads and writes O
 *     moving     O is read, N is written too    what O has is copied to those of N that lack it
 *     switched   N is read, O is written too    whoever still reads O finds what is written
 *     settled    one ring                       everybody reads and writes N; what is left elsewhere is removed
 *
 * The promise: two processes in neighbouring phases read what either of them was told is written. `moving` beside the first `settled`: both
 * read O and have their writes acknowledged by O. `switched` beside `moving`: each writes to the owners by both rings, hears both before it
 * answers, and has them acknowledged by those that it reads. `switched` beside the last `settled`: both read N. And nobody is further
 * apart: a phase is decided two seconds before it begins, and begins everywhere at one time of the fleet's clock.
 */
import type { RingKnowledge } from '../cluster/ring-knowledge.ts'
import type { CacheNode, NodeIdentity } from '../node/node.ts'
import type { Ring } from '../ring/ring.ts'

/** A node as the fleet knows it. */
export interface Member extends NodeIdentity {
  /** Where it is reached, without credentials; undefined for a node in a process. */
  readonly url: string | undefined
}

export type Phase = 'settled' | 'moving' | 'switched'

/** What lies on the nodes under `rt:!topology`. */
export interface TopologyRecord {
  /** 0: nothing was ever decided, and the ring is that of the tier's options. */
  readonly epoch: number
  /** From when it holds, by the fleet's clock; ms since the epoch. */
  readonly beginsMs: number
  /** Whose ring is read. */
  readonly members: readonly Member[]
  /** Undefined: settled. */
  readonly change: UnderWay | undefined
  /** Of the try in which nodes took it: those that took it in one try are counted together. */
  readonly ballot?: string
}

export interface UnderWay {
  readonly id: string
  readonly phase: Exclude<Phase, 'settled'>
  /** Of the ring that is written to besides: while moving where keys go, once switched where they came from. */
  readonly members: readonly Member[]
  readonly startedMs: number
  /** Who changes it: host and process, or what it was told. */
  readonly by: string
}

/** Nodes that come, nodes that go, nodes that get another weight; together one change. A node is replaced by adding one and removing the other. */
export interface RingChange {
  /** They are the tier's from now on, which closes them where the change fails: to be tried again with new ones. */
  readonly add?: readonly CacheNode[] | undefined
  /** Ids. Their entries are copied from their other owners where they do not answer any more. */
  readonly remove?: readonly string[] | undefined
  /** By id: > 0, where 1 is the share of an ordinary member. */
  readonly weights?: Readonly<Record<string, number>> | undefined
}

export interface RingChangeOptions {
  /** Told after each step, some times a second at most. That it threw, or what it returned rejected, is told as `listener:failed`, and the change goes on. */
  readonly onProgress?: ((progress: ChangeProgress) => void) | undefined
  /** Gives the change up: it is rolled back, as long as the new ring is not settled. */
  readonly signal?: AbortSignal | undefined
  /** Entries looked at a second, at most. Default 20,000. */
  readonly rate?: number | undefined
  /** Who does it, for others to see: a text that is not empty. Default: host and process. */
  readonly by?: string | undefined
}

export interface ChangeProgress {
  /** `cleaning` before and after: entries on nodes that do not own them are removed. */
  readonly step: 'cleaning' | 'moving' | 'copying' | 'switching' | 'checking' | 'settling'
  /** Entries looked at in this step. */
  readonly looked: number
  /** Copies made since the beginning. */
  readonly copied: number
}

/** What copying came to. */
export interface CopyCounts {
  /** Copies that a new owner took. */
  readonly copied: number
  /** Copies that it no longer needed, or that were not worth one: nearly dead, or being loaded. */
  readonly skipped: number
  /** Copies that could not be made, one in a hundred at most. Their keys are loaded when they are next read there. */
  readonly failed: number
  readonly bytes: number
}

export interface RingChangeReport extends CopyCounts {
  readonly epoch: number
  /** Entries removed from nodes that do not own them. */
  readonly removed: number
  /** By step, ms. */
  readonly tookMs: Readonly<Partial<Record<ChangeProgress['step'], number>>>
}

/** What a change would come to; nothing is changed. */
export interface RingPlan {
  /** Keys on all nodes, replicas counted once; by what the nodes say of themselves. */
  readonly keys: number
  /** Keys that get another first owner: without copying, so many loads of the database. */
  readonly loadsWithoutCopying: number
  /** Copies to be made, and about how many bytes. */
  readonly copies: number
  readonly bytes: number
  /** Between which nodes, the largest first. */
  readonly moves: readonly { readonly from: string | undefined; readonly to: string; readonly copies: number }[]
}

export interface TopologyReport {
  readonly epoch: number
  readonly phase: Phase
  readonly members: readonly (Member & { readonly state: 'member' | 'joining' | 'leaving' })[]
  /** Under way, by whomever. `progress`: of a change made in this process. */
  readonly change:
    | { readonly id: string; readonly by: string; readonly startedMs: number; readonly progress: ChangeProgress | undefined }
    | undefined
}

/** Connects to a node that another process has added. */
export type ConnectNode = (member: Member) => CacheNode

/** What the topology has of the tier: its nodes as they come and go, and its rings. */
export interface TopologyNodes {
  /** All that are connected, in the ring or not, each with its guard before it. */
  readonly all: readonly CacheNode[]
  /** Of all rings: until when they are the fleet's. */
  readonly knowledge: RingKnowledge
  /**
   * Connects those that are not yet, without waiting for them.
   * @param given of these, the nodes themselves
   */
  admit(members: readonly Member[], given?: readonly CacheNode[]): void
  /** The rings of this record from now on: over all its members where they are fewer than a key is to have owners. @param holdsUntilMs see `LiveRing.turn` */
  turn(record: TopologyRecord, holdsUntilMs: number): void
  /** Lets go of all nodes but these. */
  retireAllBut(members: readonly Member[]): void
  /**
   * Reads from the nodes which caches have rings of their own, and sees to it that those of this process are told there. Never rejects.
   * @param isNeeded also where this process has none
   */
  lookAtCaches(isNeeded: boolean): Promise<void>
  /** @throws ConfigurationError where a cache has a ring that only processes can build that have the cache, and this one does not */
  needCaches(): void
  /** Where all keys would lie. @throws ConfigurationError for fewer members than a cache needs */
  placing(members: readonly Member[]): KeyPlacing
  /** The tier's own ring, to be measured. @throws ConfigurationError as `Placement.build` */
  measured(members: readonly Member[]): Ring<Member>
}

/** Who owns keys on the nodes, whichever cache they are of. */
export interface KeyPlacing {
  /** What all keys that are placed begin with. */
  readonly prefix: string
  /** All that can own one. */
  readonly members: readonly CacheNode[]
  /** So few owners has a key of some cache. */
  readonly fewestOwners: number
  /**
   * By the key's cache, be it of this process or told of on the nodes; by the tier's own ring where it is neither. Undefined for what is not
   * placed: records of nodes, plain keys where there is no cache of them, and keys of a cache whose ring cannot be built here.
   */
  ownersOf(wire: string): readonly CacheNode[] | undefined
}
