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
import type { Duration } from '../options.ts'
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

export interface RingPlanOptions {
  /** For how long reads and loads are counted before the plan is made, at most an hour; 0: not at all. Default '5s'. */
  readonly measureFor?: Duration | undefined
  /** Of the change that is planned: see `RingChangeOptions.rate`. Default 20,000. */
  readonly rate?: number | undefined
}

/** What a change would come to; nothing is changed. */
export interface RingPlan {
  /** Keys on all nodes, replicas counted once; by what the nodes say of themselves. */
  readonly keys: number
  /** Keys that get another first owner: without copying, so many loads of the database. At `nearest` fewer, for the first owner is not always asked. */
  readonly loadsWithoutCopying: number
  /**
   * Of these, keys that are not copied, for their values are plain: so many loads after the switch, as they are next read. By the first 1,000 keys
   * that each node names.
   */
  readonly keysNotCopied: number
  /**
   * Entries that nodes have to evict for what they gain: what is read least goes, and is loaded when it is read again. By the mean size of an entry,
   * and of those nodes that say how much room they have, which those yet to be connected do not. More than it comes to in the end where a node also
   * gives entries away, which it has until the change is over.
   */
  readonly entriesWithoutRoom: number
  /** Copies to be made, and about how many bytes. */
  readonly copies: number
  readonly bytes: number
  /** Between which nodes, the largest first. */
  readonly moves: readonly { readonly from: string | undefined; readonly to: string; readonly copies: number }[]
  /**
   * How long each step is expected to take, and all of them, ms. From the entries that the nodes say they have, at the `rate` of the change, or as long as
   * their round trips take where that is longer. Shorter where many of them have expired and not been removed yet, longer where nodes are busy, or fail and
   * are tried again.
   */
  readonly expectedMs: Readonly<Record<ChangeProgress['step'] | 'total', number>>
  readonly database: {
    /** By what this process counts of its own caches. Undefined: it has read nothing from the nodes while it was measured. */
    readonly ofThisProcess: DatabaseOutlook | undefined
    /**
     * By what the nodes count, whoever asks them: also known to a process that serves nothing. Coarser: nodes tell lookups, not loads. Undefined: they
     * were asked for no key while it was measured, or do not say so.
     */
    readonly ofAllProcesses: DatabaseOutlook | undefined
  }
}

/** Keys loaded a second. */
export interface ExpectedLoads {
  readonly loadsPerSecond: number
  /** Relative to what is loaded now: 1 is as much. Undefined where nothing is loaded now. */
  readonly timesNow: number | undefined
}

/**
 * What the database is asked for now, and what a change would make of that: extrapolated from `hitsSeen` and `loadsSeen`, each with a standard
 * error of its square root, as if reads went on as they were while measured, and fell on keys that move as often as on others. Where a few keys have
 * most of the reads, it depends on whether those move. Writes are not in it: a change makes none.
 *
 * Of this process: loads are those of its stores, and where a cache has none, its misses. Of all processes: hits are lookups of keys that were there,
 * those of writes among them, so that they are too many rather than too few; loads are the misses of the nodes, shared out among the lookups
 * that one load takes (`NodeStats.misses`). Looks at other owners and first writes of a key are counted as well, refreshes of values that are stale are not.
 */
export interface DatabaseOutlook {
  /** For how long it was counted, ms. */
  readonly measuredMs: number
  readonly hitsSeen: number
  readonly loadsSeen: number
  /** As measured. 0 after few reads means few: with 95 % certainty less than three within the time that was measured. */
  readonly now: ExpectedLoads
  /** Until the switch: as now, for those who have their entries are read, and nothing reads a node that joins before it has them. */
  readonly copying: ExpectedLoads
  /** Right after the switch, going down as keys are loaded: as now, and the hits on keys that are not copied (plain values). */
  readonly switched: ExpectedLoads
  /**
   * Right after the switch, if all goes as badly as a change may go without being rolled back: 1 % of the copies failed, each of a key that is read; what nodes had no
   * room for was read like the rest; and all that is loaded anyhow of keys that move is loaded twice, by processes that heard of the switch at different moments.
   */
  readonly atMost: ExpectedLoads
  /** Right after the switch if nothing were copied: as now, and all hits on keys with another first owner. At `nearest` fewer. */
  readonly withoutCopying: ExpectedLoads
}

/** Counted since some moment of this process, of what it read from the nodes. */
export interface CountedReads {
  readonly hits: number
  /** Of these, of caches with plain values. */
  readonly plainHits: number
  /** Keys asked of stores, and misses of caches that have none. */
  readonly loads: number
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
