/**
 * What a change does to the entry that its key holds: the rules of `scripts/apply.lua` in TypeScript, for nodes without Lua.
 *
 * The two are one text in two languages, held together by a comparison on a real server (`scripts.live.test.ts`): whatever lies under a
 * key and whatever is asked, the same is said and the same lies there afterwards. So they are read side by side, and changed together.
 * Entries are seen through `JudgedEntries`, which a memory node has, and any simulation of one; the time is handed in.
 */
import {
  begunOf,
  compareBegun,
  compareStamps,
  freshUntilOf,
  HEADER_BYTES,
  isEnvelope,
  KIND_BYTE,
  leaseOf,
  MAGIC,
  OFFSET,
  supersedes,
  versionOf,
  withFreshUntil,
  withLease,
} from '../codec/envelope.ts'
import type { Version } from '../entry.ts'
import { NodeError } from '../errors.ts'
import { type Change, LATE_MS, MAX_TOUCHED_LIFE_MS, type Status } from './node.ts'

/** The entries of a node, as its rules see them. Keys of another type than bytes throw where they are read. */
export interface JudgedEntries {
  peek(key: string): Uint8Array | undefined
  /** Remaining time to live: ms, 0 for none, undefined for no such key. */
  ttlMs(key: string): number | undefined
  /** @returns false when there is no room: the key holds nothing then */
  store(key: string, bytes: Uint8Array, ttlMs: number): boolean
  /** Puts other bytes of the same length in the place of those there, which live on as they did. @returns false when there is no room to write */
  rewrite(key: string, bytes: Uint8Array): boolean
  /** Gives a key that has an expiry another one, `ttlMs` from now. */
  prolong(key: string, ttlMs: number): void
  remove(key: string): void
}

type Of<Op extends Change['op']> = Extract<Change, { op: Op }>

export const NO_LEASE = Object.freeze({ token: 0, until: 0 })
const APPLIED: Status = Object.freeze({ state: 'applied' })

/** Applies one change. @param nowMs the node's own time, ms since the epoch @param node its id, for messages */
export function applyChange(entries: JudgedEntries, change: Change, nowMs: number, node: string): Status {
  switch (change.op) {
    case 'put':
      return put(entries, change, nowMs, node)
    case 'touch':
      return touch(entries, change, nowMs, node)
    case 'release':
      return release(entries, change)
    case 'set':
      return store(entries, change, change.bytes, node)
    case 'drop':
      entries.remove(change.key)
      return APPLIED
  }
}

function put(entries: JudgedEntries, change: Of<'put'>, nowMs: number, node: string): Status {
  const { key, bytes, lease, issuedMs } = change
  if (bytes.length < HEADER_BYTES || bytes[OFFSET.magic] !== MAGIC) return failed(node, 'a put needs an envelope')
  const lateMs = compareBegun(nowMs, issuedMs === undefined ? begunOf(bytes) : Math.floor(issuedMs))
  if (lateMs > LATE_MS) return failed(node, `LATE issued ${lateMs} ms ago, which is more than ${LATE_MS}`)
  const held = entries.peek(key)
  const version = held !== undefined && isEnvelope(held) ? versionOf(held) : undefined
  if (!isMet(change, held, version)) return { state: 'refused', version: version ?? 0n }
  if (held === undefined || supersedes(bytes, held)) return store(entries, change, unleased(bytes), node)
  if (change.expected !== undefined && lease === undefined) return { state: 'refused', version: version! }
  if (compareStamps(bytes, held) < 0) return { state: 'refused', version: version! }
  // Held already: nothing is stored, but the fill was what the lease was for.
  if (lease !== undefined) entries.rewrite(key, withLease(held, NO_LEASE))
  return APPLIED
}

/** Whether what lies there is what the put was for. @param version of the entry held, undefined when that is none */
function isMet({ expected, lease }: Of<'put'>, held: Uint8Array | undefined, version: Version | undefined): boolean {
  if (lease !== undefined) return version !== undefined && lease !== 0 && leaseOf(held!).token === lease
  if (expected === undefined) return true
  const kind = version === undefined ? undefined : held![OFFSET.kind]
  return expected === (kind === KIND_BYTE.value || kind === KIND_BYTE.pending ? version : 0n)
}

function touch(entries: JudgedEntries, change: Of<'touch'>, nowMs: number, node: string): Status {
  const { key, version } = change
  const held = entries.peek(key)
  if (held === undefined || !isEnvelope(held)) return { state: 'refused', version: 0n }
  const kind = held[OFFSET.kind]
  if ((kind !== KIND_BYTE.value && kind !== KIND_BYTE.pending) || versionOf(held) !== version) {
    return { state: 'refused', version: versionOf(held) }
  }
  const leftMs = MAX_TOUCHED_LIFE_MS - compareBegun(nowMs, begunOf(held))
  const freshUntilMs = Math.min(Math.floor(change.freshUntilMs), nowMs + leftMs)
  if (freshUntilMs > freshUntilOf(held) && !entries.rewrite(key, withFreshUntil(held, freshUntilMs))) return noRoom(node)
  const ttlMs = Math.min(Math.ceil(change.ttlMs), leftMs)
  const remainingMs = entries.ttlMs(key) ?? 0
  if (remainingMs > 0 && ttlMs > remainingMs) entries.prolong(key, ttlMs)
  return APPLIED
}

function release(entries: JudgedEntries, { key, lease }: Of<'release'>): Status {
  const held = entries.peek(key)
  if (held === undefined || !isEnvelope(held) || lease === 0 || leaseOf(held).token !== lease) return APPLIED
  if (held[OFFSET.kind] === KIND_BYTE.vacant) entries.remove(key)
  else entries.rewrite(key, withLease(held, NO_LEASE))
  return APPLIED
}

function store(entries: JudgedEntries, { key, ttlMs }: Of<'put' | 'set'>, bytes: Uint8Array, node: string): Status {
  return entries.store(key, bytes, ttlMs) ? APPLIED : failed(node, 'OOM the node has no room, and holds nothing under the key any more')
}

/** Without a lease: what is copied from another node may carry one, which is that node's own. */
function unleased(bytes: Uint8Array): Uint8Array {
  const { token, until } = leaseOf(bytes)
  return token === 0 && until === 0 ? bytes : withLease(bytes, NO_LEASE)
}

function noRoom(node: string): Status {
  return failed(node, 'OOM the node has no room')
}

function failed(node: string, why: string): Status {
  return { state: 'failed', error: new NodeError(`node ${node}: ${why}`, node) }
}
