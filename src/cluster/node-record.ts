/**
 * What a node says of itself, in its control record `rt:!node`: in which run of its server it was last found fit to be read, and since when.
 *
 * A server that was started anew has lost what it had, or has what it had some time ago. Either way its record is missing or names another
 * run: so whoever meets it knows, and nobody trusts it until it has been seen to (`catch-up.ts`).
 */
import type { CacheNode, NodeCall } from '../node/node.ts'

export interface NodeRecord {
  /** `CacheNode.incarnation` when it was written. */
  readonly incarnation: string
  /** When it was found empty or was emptied, ms since the epoch: until some time later it lacks what others have. */
  readonly emptiedMs: number
}

export const NODE_RECORD = 'node'

/** Whether a key is what the fleet notes on its nodes about themselves: no entry, and on no node for the ring's sake. */
export function isNote(key: string): boolean {
  return /^rt:!(node$|catch-up$|topology|hints:)/.test(key)
}

/** @returns undefined for what is not a record */
export function readRecord(bytes: Uint8Array | undefined): NodeRecord | undefined {
  if (bytes === undefined) return undefined
  try {
    const { incarnation, emptiedMs } = JSON.parse(Buffer.from(bytes).toString()) as Partial<NodeRecord>
    return typeof incarnation === 'string' && typeof emptiedMs === 'number' ? { incarnation, emptiedMs } : undefined
  } catch {
    return undefined
  }
}

export function writeRecord(record: NodeRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record))
}

/** Held by the process that sees to a node, for a while: `{ by, untilMs }`. */
const LOCK = 'catch-up'

/**
 * @param by names the process @param nowMs by the fleet's clock
 * @returns whether this process has it for `forMs` from now on; it may be asked again to go on
 */
export async function takeLock(node: CacheNode, by: string, nowMs: number, forMs: number, call: NodeCall): Promise<boolean> {
  const held = await node.control.get(LOCK, call)
  const holder = readLock(held)
  if (holder !== undefined && holder.by !== by && holder.untilMs > nowMs) return false
  return node.control.compareAndSet(LOCK, held, Buffer.from(JSON.stringify({ by, untilMs: nowMs + forMs })), call)
}

function readLock(bytes: Uint8Array | undefined): { readonly by: string; readonly untilMs: number } | undefined {
  try {
    return bytes === undefined ? undefined : JSON.parse(Buffer.from(bytes).toString())
  } catch {
    return undefined
  }
}
