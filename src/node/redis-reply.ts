/**
 * What the server says, in Ringtail's words: replies of the scripts as statuses, errors as errors that say whether anything may have happened.
 */

import { NO_STAMP } from '../entry.ts'
import { asError, NodeError, type RingtailError } from '../errors.ts'
import type { Leased, ScriptReply, Status } from './node.ts'
import type { ReplyError } from './resp-reader.ts'

const APPLIED: Status = Object.freeze({ state: 'applied' })
const NOTHING_LAY_THERE: Leased = Object.freeze({ state: 'granted', held: NO_STAMP })
/** Where the scripts put a text in place of an answer. */
const FAILED_BYTE = 0xff
const GRANTED_BYTE = 0
/** What is as long as a version is one; texts are longer. */
const VERSION_BYTES = 8

/**
 * First words of error replies that the server gives before it does anything. A list, for the protocol has no other mark; what is not on it
 * is taken as unknown, which costs a repair, where the other mistake would cost a wrong answer.
 */
const REFUSALS: ReadonlySet<string> = new Set([
  'NOSCRIPT',
  'LOADING',
  'BUSY',
  'READONLY',
  'NOPERM',
  'NOAUTH',
  'OOM',
  'MISCONF',
  'MASTERDOWN',
  'NOREPLICAS',
  'CLUSTERDOWN',
  'MOVED',
  'ASK',
  'TRYAGAIN',
  'CROSSSLOT',
  'WRONGTYPE',
])

/** @param reply one element of the reply of `apply.lua` */
export function statusOf(reply: unknown, node: string): Status {
  if (reply === 1) return APPLIED
  const bytes = reply as Buffer
  if (bytes.length === VERSION_BYTES) return { state: 'refused', version: bytes.readBigUInt64BE(0) }
  return { state: 'failed', error: scriptError(bytes, node) }
}

/** @param reply one element of the reply of `lease.lua` */
export function leasedOf(reply: unknown, node: string): Leased {
  if (reply === 0) return NOTHING_LAY_THERE
  if (typeof reply === 'number') return { state: 'held', forMs: reply }
  const bytes = reply as Buffer
  if (bytes[0] === FAILED_BYTE) return { state: 'failed', error: scriptError(bytes, node) }
  if (bytes[0] !== GRANTED_BYTE) return { state: 'changed', bytes }
  const held = { version: bytes.readBigUInt64BE(1), freshUntilMs: bytes.readUIntBE(9, 6), begun: bytes.readUInt32BE(15) }
  return { state: 'granted', held }
}

function scriptError(bytes: Buffer, node: string): NodeError {
  return new NodeError(`node ${node}: ${bytes.toString('utf8', 1)}`, node)
}

/** Whether it is an error that the server replied, as opposed to none that came. ioredis has a class of its own for it, of the same name. */
export function isErrorReply(error: unknown): error is ReplyError {
  return error instanceof Error && error.name === 'ReplyError'
}

export function isNoScript(error: unknown): boolean {
  return isErrorReply(error) && firstWord(error) === 'NOSCRIPT'
}

/** @param thrown what a command rejected with, or the error replied to it */
export function nodeError(thrown: unknown, node: string): NodeError {
  if (thrown instanceof NodeError) return thrown
  const cause = asError(thrown)
  if (!isErrorReply(cause)) return new NodeError(`node ${node}: connection lost before the reply`, node, { cause, outcome: 'unknown' })
  const outcome = REFUSALS.has(firstWord(cause)) ? 'failed' : 'unknown'
  return new NodeError(`node ${node}: ${cause.message}`, node, { cause, outcome })
}

/** @returns the state of a change, or a lease, that was not answered @param sent whether it may have reached the node */
export function unanswered(error: RingtailError, sent: boolean): { readonly state: 'failed' | 'unknown'; readonly error: RingtailError } {
  const refused = error instanceof NodeError && error.outcome === 'failed'
  return { state: sent && !refused ? 'unknown' : 'failed', error }
}

/** Bytes as commands take them, without a copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function scriptReply(reply: unknown): ScriptReply {
  if (Array.isArray(reply)) return reply.map(scriptReply)
  if (reply instanceof Error) throw reply
  return reply as ScriptReply
}

function firstWord(error: Error): string {
  return error.message.split(' ', 1)[0] ?? ''
}
