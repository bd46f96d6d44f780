/**
 * Who may load a key: the rules of `scripts/lease.lua` in TypeScript, for nodes without Lua (see `judge-change.ts`).
 *
 * A lease is eight bytes in the header of what lies under the key, so that the very put which makes it pointless takes it away. Whether it
 * is still live is judged by the node's own clock alone: no two machines need to agree on the time.
 */
import {
  compareBegun,
  compareToStamp,
  isEnvelope,
  KIND_BYTE,
  leaseOf,
  OFFSET,
  stampOf,
  vacantEnvelope,
  withLease,
} from '../codec/envelope.ts'
import { NO_STAMP } from '../entry.ts'
import { NodeError } from '../errors.ts'
import type { JudgedEntries } from './judge-change.ts'
import type { LeaseAsk, Leased } from './node.ts'

/** Times compare as serial numbers of 32 bits, which is what bounds a lease, ms: 24.8 days. */
const MAX_LEASE_MS = 2 ** 31 - 1
/** One that judges answers. */
type Judged = Exclude<Leased, { readonly state: 'unknown' }>

const NOTHING_LAY_THERE: Judged = Object.freeze({ state: 'granted', held: NO_STAMP })

/** Judges one ask. @param nowMs the node's own time, ms since the epoch @param node its id, for messages */
export function grantLease(entries: JudgedEntries, ask: LeaseAsk, nowMs: number, node: string): Judged {
  const { key, token, force = false } = ask
  const leaseMs = wholeLeaseMs(ask.leaseMs)
  const lease = { token, until: (nowMs + leaseMs) % 2 ** 32 }
  const held = entries.peek(key)
  if (held === undefined || !isEnvelope(held)) {
    return entries.store(key, vacantEnvelope(lease), leaseMs) ? NOTHING_LAY_THERE : noRoom(node)
  }
  if (isLive(held) && !force && compareToStamp(held, ask.seen) > 0) return { state: 'changed', bytes: held }
  const holder = leaseOf(held)
  const forMs = compareBegun(holder.until, nowMs)
  if (holder.token !== 0 && holder.token !== token && !force && forMs > 0) return { state: 'held', forMs }
  if (!entries.rewrite(key, withLease(held, lease))) return noRoom(node)
  const remainingMs = entries.ttlMs(key) ?? 0
  if (remainingMs > 0 && remainingMs < leaseMs) entries.prolong(key, leaseMs)
  return { state: 'granted', held: stampOf(held) }
}

/** A whole number of ms that fits: at least 1, for what has less is over before it began. */
export function wholeLeaseMs(leaseMs: number): number {
  return Math.min(Math.max(1, Math.ceil(leaseMs)), MAX_LEASE_MS)
}

/** Whether there is something to serve: a value, or that the store has none. */
function isLive(held: Uint8Array): boolean {
  const kind = held[OFFSET.kind]
  return kind === KIND_BYTE.value || kind === KIND_BYTE.negative || kind === KIND_BYTE.pending
}

function noRoom(node: string): Judged {
  return { state: 'failed', error: new NodeError(`node ${node}: OOM the node has no room`, node) }
}
