/**
 * Everything that a tier tells about itself and its entries: one typed map, names in the past tense, no values in payloads.
 *
 * Hits and misses are not events: they are counted (`metrics/`). What is rare is also published on `node:diagnostics_channel` under
 * `ringtail:<name>`, so that tools can listen without holding the tier. The last three, the changes made by anybody in the fleet, are
 * not: they are heard of only while somebody listens to them (`invalidation/change-feed.ts`).
 */

/** A setting of a server: as it is, as it should be, and what for. */
export interface SettingAdvice {
  readonly setting: string
  readonly found: string
  readonly recommended: string
  readonly reason: string
}

export interface TierEvents {
  /** A node answers again after it had not, or is as quick as the others again. */
  'node:up': { readonly node: string }
  /** A node is slow, or did not answer its last ping; or it looks dead, but most nodes do, so that this process may be cut off. It is asked as ever. */
  'node:suspect': { readonly node: string; readonly reason: string }
  /** A node's connections were lost, or it stopped answering, or most calls of it failed. */
  'node:down': { readonly node: string; readonly reason: string }
  /** This process is behind with what it was asked for, or has 131,072 calls under way: calls are refused at once until it has caught up. */
  'tier:overloaded': { readonly lateMs: number }
  /** No call had to be refused for a second. */
  'tier:relieved': { readonly lateMs: number }
  /** A node answers and may have missed changes: reads ask others first until it has caught up. */
  'node:returning': { readonly node: string }
  /** A node's server was started anew: it has lost what it held, or its last changes. */
  'node:restarted': { readonly node: string }
  /** A node was given what it had missed: entries copied to it, and older ones dropped. */
  'node:caught-up': { readonly node: string; readonly copied: number; readonly dropped: number }
  /** A node came back without what it held, or what it held could not be trusted and was dropped. It gets warm from the others. */
  'node:emptied': { readonly node: string; readonly dropped: number }
  /** A node is to be taken out of the ring. */
  'node:draining': { readonly node: string }
  /** The ring is another from now on, or keys move on their way to another: `members` are those that reads go to. */
  'topology:changed': {
    readonly epoch: number
    readonly phase: 'settled' | 'moving' | 'switched'
    readonly members: readonly string[]
  }
  /** A node runs with settings that can lose what must be kept, or refuse what should be evicted. */
  'node:misconfigured': { readonly node: string; readonly reason: string }
  /** A node's server would serve better with other settings. Nothing is lost and nothing refused as it is. */
  'node:advised': { readonly node: string; readonly advice: readonly SettingAdvice[] }
  /** Bytes under a key were not an entry of this cache: corrupt, foreign or cut short. They were treated as a miss. */
  'entry:rejected': { readonly cache: string; readonly node: string | undefined; readonly reason: string }
  /** A loaded value could not be kept: it does not serialize, or is too large. Each read of it loads. */
  'entry:refused': { readonly cache: string; readonly reason: string }
  /** Values of a cache are packed by this dictionary from now on: this process trained it, or took up what another did. */
  'dictionary:adopted': { readonly cache: string; readonly dictionary: number; readonly bytes: number }
  /** Entries name a dictionary that no node has, or none could be asked for: they are misses. */
  'dictionary:missing': { readonly cache: string; readonly dictionary: number }
  /** No owner could answer, so the store was asked or written without the cache. */
  'cache:bypassed': { readonly cache: string; readonly operation: 'read' | 'write' | 'delete'; readonly reason: string }
  /** An owner did not take a change that others took. */
  'write:missed': { readonly node: string; readonly changes: number; readonly reason: string }
  /** So many keys more were missed by a node than could be remembered: it may hold older entries until their time is over. */
  'hints:lost': { readonly node: string; readonly keys: number }
  /** Reads found that an owner held older states of some keys than others, and it took the newest. */
  'replica:repaired': { readonly node: string; readonly keys: number }
  /** The store did not answer, or refused. */
  'store:failed': { readonly cache: string; readonly operation: 'load' | 'save' | 'remove'; readonly reason: string }
  /** A part of the calls to a shard of a store fails, or they take far longer than is usual; it is asked as ever. `shard` is '' where a store is one. */
  'shard:suspect': { readonly store: string; readonly shard: string; readonly reason: string }
  /** Too many calls to a shard of a store failed, so it is not asked but by a few that try; `shard` is '' where a store is one. */
  'shard:down': { readonly store: string; readonly shard: string; readonly reason: string }
  /** A shard is down still, but calls that try it are answered. */
  'shard:returning': { readonly store: string; readonly shard: string }
  /** A shard answered again after it had not, and is asked as ever; or it is no longer suspect. */
  'shard:up': { readonly store: string; readonly shard: string }
  /** The journal took no write, so that it went to the store at once: it is full, or its disk failed it. */
  'journal:refused': { readonly cache: string; readonly reason: string }
  /** Closing waits for writes that the store does not have yet. At the end: how many are left in the journal. */
  'journal:draining': { readonly cache: string; readonly left: number }
  /** The store refused a write for good: it is among the journal's dead letters. */
  'write:buried': { readonly cache: string; readonly key: string; readonly reason: string }
  /** A capture follows its database from now on, from this place of its log where it has one. */
  'capture:started': { readonly capture: string; readonly from: string | undefined }
  /** Another process follows, or is to, because most nodes do not answer this one, as `reason` says; this one waits to take its place. */
  'capture:waiting': { readonly capture: string; readonly reason: string }
  /** What was committed longer ago than `laggingAfter` is yet to be told to the caches. */
  'capture:lagging': { readonly capture: string; readonly lagMs: number }
  /** A capture could not go on, or could not tell its caches of a change; it tries again. */
  'capture:failed': { readonly capture: string; readonly reason: string }
  /** Changes may have been missed, so these caches are emptied. Whoever loads them loads them all. */
  'capture:lost': { readonly capture: string; readonly reason: string; readonly caches: readonly string[] }
  /** A consistency check has proven that a copy was served longer than its bound after something newer was known. */
  'consistency:violated': {
    readonly cache: string
    readonly key: string
    readonly node: string
    /** Who is served it: readers of the key's first owner, or only those who ask another. */
    readonly owner: 'primary' | 'replica'
    readonly staleness: 'overtaken' | 'deleted' | 'hidden' | 'different'
    /** Of the copy, and of what it should be, in decimal. */
    readonly version: string
    readonly newer: string | undefined
    /** For how long at least it was served while it was wrong, ms. */
    readonly ageMs: number
  }
  /** A listener threw, rejected, or was too slow to be told of all; the others were still called. */
  'listener:failed': { readonly event: string; readonly reason: string }

  /** The entry of a key was written or deleted by anybody in the fleet; where nodes tell of it also loaded, touched, expired or evicted. */
  'entry:changed': { readonly cache: string; readonly key: string }
  /** All entries of a group were deleted by anybody in the fleet: by `deleteByTag`, a namespace's `clear`, or the cache's. */
  'group:deleted': {
    readonly cache: string
    readonly kind: 'tag' | 'namespace' | 'all'
    /** Of the tag or namespace; undefined for `all`. */
    readonly name: string | undefined
  }
  /** Changes may have gone unheard, of any key: what was read before this and kept may be out of date. */
  'changes:missed': {
    readonly cache: string
    readonly reason: string
    /** How many were heard and dropped because the listener was slower than they came; undefined for what was not heard. */
    readonly dropped: number | undefined
  }
}

export type EventName = keyof TierEvents
/** Of one cache: those whose payload names it. */
export type CacheEventName = { [K in EventName]: TierEvents[K] extends { readonly cache: string } ? K : never }[EventName]
/** Told only while somebody listens. */
export type ChangeEventName = 'entry:changed' | 'group:deleted' | 'changes:missed'

const EVENTS: Readonly<Record<EventName, true>> = {
  'node:up': true,
  'node:suspect': true,
  'node:down': true,
  'tier:overloaded': true,
  'tier:relieved': true,
  'node:returning': true,
  'node:restarted': true,
  'node:caught-up': true,
  'node:emptied': true,
  'node:draining': true,
  'topology:changed': true,
  'node:misconfigured': true,
  'node:advised': true,
  'entry:rejected': true,
  'entry:refused': true,
  'dictionary:adopted': true,
  'dictionary:missing': true,
  'cache:bypassed': true,
  'write:missed': true,
  'hints:lost': true,
  'replica:repaired': true,
  'store:failed': true,
  'shard:suspect': true,
  'shard:down': true,
  'shard:returning': true,
  'shard:up': true,
  'journal:refused': true,
  'journal:draining': true,
  'write:buried': true,
  'capture:started': true,
  'capture:waiting': true,
  'capture:lagging': true,
  'capture:failed': true,
  'capture:lost': true,
  'consistency:violated': true,
  'listener:failed': true,
  'entry:changed': true,
  'group:deleted': true,
  'changes:missed': true,
}
export const EVENT_NAMES = Object.keys(EVENTS) as readonly EventName[]
const CHANGE_EVENTS: readonly ChangeEventName[] = ['entry:changed', 'group:deleted', 'changes:missed']
export const CACHE_EVENTS: readonly CacheEventName[] = [
  'entry:rejected',
  'entry:refused',
  'cache:bypassed',
  'store:failed',
  'journal:refused',
  'journal:draining',
  'write:buried',
  'consistency:violated',
  ...CHANGE_EVENTS,
]

export function isChangeEvent(name: EventName): name is ChangeEventName {
  return CHANGE_EVENTS.includes(name as ChangeEventName)
}

/** What it returns is waited for, if it is a promise, before it is called again. */
export type Listener<K extends EventName> = (payload: TierEvents[K]) => void
/** How the lower rooms tell: handed to them, never imported. */
export type Emit = <K extends EventName>(name: K, payload: TierEvents[K]) => void

/** For parts used on their own, without a tier. */
export const noEmit: Emit = () => {}
