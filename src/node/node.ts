/**
 * The contract of a cache node: bytes under keys, with a time to live and a version check.
 *
 * A node knows nothing of rings, replicas, caches or stores. Reads are plain; every change is judged by the node itself, under the key's
 * own version, so that changes may arrive in any order from any process and the newest stays. Nothing here waits without a bound: what a
 * node does not answer within the call's timeout is failed by the node, with the connection's state forgotten by no one.
 *
 * `testing/node-conformance.ts` is this contract as tests; an implementation passes it or is not one.
 */

import type { Clock, Random } from '../clock.ts'
import type { Stamp, Version } from '../entry.ts'
import type { RingtailError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { TellQueue } from '../queues.ts'

export interface NodeCall {
  /** Bound of this one try, ms. Default: the node's own `timeout` (50 ms unless set). */
  readonly timeoutMs?: number | undefined
  /** Of `getMany`: as `Receiver.late`, told once when some of the answers are late. */
  readonly late?: (() => void) | undefined
}

/** What a node is given by whoever wires it, before it is used. Default: the system's clock and chance, and nobody told. */
export interface NodeParts {
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  readonly emit?: Emit | undefined
}

/**
 * One single-key read under way. The node calls exactly one of the two, exactly once, within the try's timeout; never before `get` has
 * returned to its caller's caller is not promised: a memory node answers at once. An object rather than a promise, so that a read costs
 * one promise in all, whatever lies between cache and socket.
 */
export interface Receiver {
  /** @param bytes undefined when the node has nothing under the key. The bytes are the receiver's to read, not to change; they may be a view of
   * a larger buffer, so that what is kept for long is better copied. @param node to be told apart by its id: what was asked may stand before it */
  answered(bytes: Uint8Array | undefined, node: CacheNode): void
  failed(error: RingtailError, node: CacheNode): void
  /** May be told once, before the answer, when that takes longer than `NodeObserver.lateAfterMs`: time to ask somebody else as well. */
  late?(): void
}

/** Told of a node's traffic a batch at a time, so that single calls cost nothing. It must not throw. */
export interface NodeObserver {
  /** How long after it was asked a read counts as late, ms; Infinity: never. Looked at for each batch. */
  readonly lateAfterMs: number
  /** A batch was answered. @param reads whether it was one of reads @param tookMs from being sent to being answered */
  landed(calls: number, tookMs: number, reads: boolean): void
  /** Calls of a batch that had been sent were not answered: in time, before the connection was lost, or but with an error. @param tookMs since it was sent */
  lost(calls: number, error: RingtailError, tookMs: number): void
}

/** What is thought of a node by who guards it. Kept up to date in place: it is looked at on the path of every read. */
export interface Standing {
  /** Whether either of the following is other than usual: one look for most reads. */
  readonly steered: boolean
  /** Whether reads ask others first: it is down, or not to be trusted yet. */
  readonly avoided: boolean
  /** Of one that is avoided: it does not answer. */
  readonly down: boolean
  /** It does not answer, also where most do not: then it is not `down`, for the fault is most likely this process's own. */
  readonly looksDead: boolean
  /** Of one that is avoided: it is known to have missed changes. It is asked by reads only where all owners are so. */
  readonly behind: boolean
  /** When it lost what it held, ms since the epoch, if that was a while ago at most: it lacks what others have. 0: long ago. */
  readonly emptiedMs: number
  /** The part of the reads that are its own to answer that it is to be asked, above 0 and at most 1: less while it is slower than others. */
  readonly share: number
  /** Of a node whose `share` is below 1: counts one read. @returns whether that is one of its share */
  takesRead(): boolean
}

/** One single-key change under way: see `Receiver`. */
export interface StatusReceiver {
  settled(status: Status, node: CacheNode): void
}

/** One change of one key. */
export type Change =
  /**
   * An envelope (`codec/envelope.ts`): applied if the key is empty or holds an entry of an earlier stamp (`compareStamps`). A tombstone is put
   * like any other entry. With `expected`, applied only if the version on the node is exactly that (0n: no entry, or a negative, vacant or
   * dead one): compare-and-set. With `lease`, applied only if the key still holds just this lease token: a fill. Whatever is stored carries
   * no lease, so that every put ends the lease that lay there. One that was issued more than `LATE_MS` before the node's own time fails:
   * the tombstone that would refuse it may be gone.
   */
  | {
      readonly op: 'put'
      readonly key: string
      readonly bytes: Uint8Array
      readonly ttlMs: number
      /** At most one of `expected` and `lease`. */
      readonly expected?: Version | undefined
      readonly lease?: number | undefined
      /** When it was issued, ms since the epoch: for copies of entries that began long before. Default: the `begun` of the envelope. */
      readonly issuedMs?: number | undefined
    }
  /**
   * Moves fresh-until of the value (or pending one) of exactly this version on, in place, never back, and its expiry with it; where it has no
   * expiry it keeps none, and `ttlMs` 0 leaves the expiry as it is. Neither moves beyond `MAX_TOUCHED_LIFE_MS` after the entry began.
   * `refused` where there is no such value.
   */
  | { readonly op: 'touch'; readonly key: string; readonly version: Version; readonly freshUntilMs: number; readonly ttlMs: number }
  /** Gives a lease back without a fill: clears it if it is still this one, and removes the key if nothing but the lease was there. Always applied. */
  | { readonly op: 'release'; readonly key: string; readonly lease: number }
  /** Foreign bytes, without an envelope, hence without a version: the last one wins. */
  | { readonly op: 'set'; readonly key: string; readonly bytes: Uint8Array; readonly ttlMs: number }
  /** Removes whatever is there. */
  | { readonly op: 'drop'; readonly key: string }

/**
 * What became of one change. `applied`: the node holds it (also when it held an entry of just this stamp already). `refused`: the node holds something newer (or not `expected`), of that version.
 * `failed`: not applied, for `error`. `unknown`: sent, no answer in time; it may have been applied.
 * `ttlMs` 0 in a change means: no expiry, never evicted under a `volatile-*` policy.
 */
export type Status =
  | { readonly state: 'applied' }
  | { readonly state: 'refused'; readonly version: Version }
  | { readonly state: 'failed' | 'unknown'; readonly error: RingtailError }

/** Asks for the right to load one key. */
export interface LeaseAsk {
  readonly key: string
  /** The caller's own, drawn at random: 1 to 2^32 - 1. */
  readonly token: number
  /** For how long, by the node's own clock, ms: 1 to 2^31 - 1. */
  readonly leaseMs: number
  /** What the caller saw under the key: what lies there now may be newer, and save it the load. */
  readonly seen: Stamp
  /** Takes the lease from whoever has it: for a load that must begin now. Default false. */
  readonly force?: boolean | undefined
}

/**
 * `granted`: the caller's, in the header of what lay there (`held`), or in a vacant entry. `held`: another's, for so long at most.
 * `changed`: something live (a value, negative or pending) and later than what was seen lies there: these bytes, and no lease was taken; said
 * also where another holds a lease, and never of an ask with `force`. Bytes that are no envelope count as nothing: a lease takes their place.
 * `failed`: not granted, for `error`. `unknown`: sent, no answer in time; it may have been granted.
 */
export type Leased =
  | { readonly state: 'granted'; readonly held: Stamp }
  | { readonly state: 'held'; readonly forMs: number }
  | { readonly state: 'changed'; readonly bytes: Uint8Array }
  | { readonly state: 'failed'; readonly error: RingtailError }
  | { readonly state: 'unknown'; readonly error: RingtailError }

/** No touch moves an entry's life beyond this after it began, ms: times compare as serial numbers of 32 bits only so far. 24 days. */
export const MAX_TOUCHED_LIFE_MS = 24 * 86_400_000

/** How long after it was issued a change is still taken: half a tombstone's life. 150 s. */
export const LATE_MS = 150_000

/** A Lua script and, for nodes without Lua, the same in TypeScript. */
export interface Script {
  readonly name: string
  readonly lua: string
  /** What a memory node runs instead. Absent: the memory node answers with `UnsupportedError`. */
  readonly local?: (entries: LocalEntries, keys: readonly string[], args: readonly ScriptArgument[]) => ScriptReply
}
export type ScriptArgument = string | number | Uint8Array
export type ScriptReply = number | string | Uint8Array | null | readonly ScriptReply[]
/** What a local script may touch, atomically: a view of the node's entries. */
export interface LocalEntries {
  get(key: string): Uint8Array | undefined
  set(key: string, bytes: Uint8Array, ttlMs: number): void
  delete(key: string): boolean
  /** Remaining time to live: ms, 0 for none, undefined for no such key. */
  ttlMs(key: string): number | undefined
}

/** Told of keys changed on a node by anyone, and of every moment in which a change may have gone unheard. */
export interface Watcher {
  changed(keys: readonly string[]): void
  /**
   * Changes may have been missed (connection lost, node emptied): forget everything that came from this node.
   * @param hearing whether changes from now on are told; if not, `lost` is called again when they are
   */
  lost(reason: string, hearing: boolean): void
}

/** Small records that the fleet keeps on each node under `rt:!<name>`; never evicted, never versioned by envelope. */
export interface Control {
  get(name: string, call?: NodeCall): Promise<Uint8Array | undefined>
  /** Writes `next` only if the record is byte for byte `expected` (undefined: absent). @returns whether it did */
  compareAndSet(name: string, expected: Uint8Array | undefined, next: Uint8Array, call?: NodeCall): Promise<boolean>
}

export interface NodeStats {
  /** 'memory', 'redis' or 'valkey'. */
  readonly engine: string
  readonly engineVersion: string
  /** Entries held, all kinds. */
  readonly entries: number
  readonly usedBytes: number
  /** 0: no limit. */
  readonly maxBytes: number
  /** Entries removed for lack of room since the node started. */
  readonly evicted: number
  readonly expired: number
  /**
   * Keys looked up since the node started that were there, and that were not: by reads, and by what judges changes and leases. A load of a key that
   * is nowhere is a miss of the read, one of the lease, one at each owner but the first that is given the value, and a hit at the first, where the lease lies.
   */
  readonly hits: number
  readonly misses: number
  /**
   * Of these, whether they were there or not, what processes ask without being asked: reads of control records, and of hints. 0 where the node does not
   * count them.
   */
  readonly controlReads: number
  readonly hintReads: number
  readonly connections: number
}

export interface Pong {
  /** How long the answer took, ms. */
  readonly rttMs: number
  /** The node's own wall clock, ms since the epoch. */
  readonly timeMs: number
}

/** Who a node is, and how it counts. */
export interface NodeIdentity {
  readonly id: string
  readonly zone: string | undefined
  readonly weight: number
  readonly label: string
}

export interface CacheNode {
  /** Stable, independent of the address. */
  readonly id: string
  readonly zone: string | undefined
  readonly weight: number
  /** What ketama hashes for this node: see `RingMember.label`. */
  readonly label: string
  /** 'memory', 'redis'; the precise engine and version are in `stats()`. */
  readonly engine: string
  /** Where other processes reach it, without credentials. Absent for a node in this process. */
  readonly url?: string | undefined
  /** Names the run of its server: another after each restart. Undefined until it was connected, and where there is no server. */
  readonly incarnation?: string | undefined
  /** Absent, or undefined, where nobody guards it: then it is as good as any. */
  readonly standing?: Standing | undefined
  /** Calls under way or waiting in this process. Absent where none ever wait. */
  readonly load?: number | undefined
  /** Tells how much waits in this process and is under way, by connection. Absent where nothing ever does. */
  tellQueues?(tell: TellQueue): void
  /** Has an observer told of the traffic from now on. Absent where there is none to speak of. @returns the way to stop */
  observe?(observer: NodeObserver): () => void
  /**
   * Another node of this kind at that address, let in and bounded as this one is; not connected. Absent for a node in this process.
   * @throws ConfigurationError for what is no address
   */
  readonly another?: ((url: string, as: NodeIdentity) => CacheNode) | undefined
  /**
   * Connects; resolves once the node answers, rejects with a `NodeError` when it does not in time. The node goes on trying after a rejection.
   * Called again, it gives the same answer: the parts of the first call stay.
   */
  connect(parts?: NodeParts): Promise<void>
  /** The hot path: one key. */
  get(key: string, receiver: Receiver, call?: NodeCall): void
  /** In the order of `keys`. Rejects with a `RingtailError` when the node as a whole did not answer. */
  getMany(keys: readonly string[], call?: NodeCall): Promise<(Uint8Array | undefined)[]>
  /** The hot path of writes: one change, its status told to the receiver, once; possibly before `change` returns. */
  change(change: Change, receiver: StatusReceiver, call?: NodeCall): void
  /** One status a change, in order. Never rejects: a node that cannot be reached is a `failed` or `unknown` status on each. Changes of one call to one key are applied in order. */
  apply(changes: readonly Change[], call?: NodeCall): Promise<Status[]>
  /** One answer an ask, in order. Never rejects: where no answer came, each is `failed`. */
  lease(asks: readonly LeaseAsk[], call?: NodeCall): Promise<Leased[]>
  run(script: Script, keys: readonly string[], args: readonly ScriptArgument[], call?: NodeCall): Promise<ScriptReply>
  /** Watches every key that begins with one of `prefixes`. @returns the way to stop */
  watch(prefixes: readonly string[], watcher: Watcher): Promise<() => Promise<void>>
  readonly control: Control
  /** Every key that begins with `prefix`, in batches, each at least once if it is there from start to end; a key may come twice, and a batch may be empty. */
  scan(prefix: string, options?: { readonly batch?: number; readonly signal?: AbortSignal }): AsyncIterable<readonly string[]>
  stats(call?: NodeCall): Promise<NodeStats>
  ping(call?: NodeCall): Promise<Pong>
  /** Lets what is under way finish (within its timeout), then closes every socket and timer. Calls after it fail with `ClosedError`. */
  close(): Promise<void>
}
