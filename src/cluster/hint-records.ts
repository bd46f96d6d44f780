/**
 * The hints as they lie on nodes: for each node that missed changes, the keys of them, in `rt:!hints:<node>` on the keys' other owners.
 *
 * A hint names a key and the moment it was left, by the time of the node that keeps it, in microseconds; it holds no value, for what is copied
 * is the entry as it then is. A key is there once, with its latest moment, so that who has copied it takes away only what was there when
 * it began. On Redis it is a sorted set; the local forms keep the same in one JSON text. They never expire, and go when their node leaves the ring
 * (`topology/leftovers.ts`). Above `MAX_HINTS` all of them
 * give way to one that says that anything may have been missed: the empty key.
 */
import type { CacheNode, LocalEntries, NodeCall, Script, ScriptReply } from '../node/node.ts'
import { NODE_RECORD, type NodeRecord, readRecord } from './node-record.ts'

/** Of one node that missed changes, on one that keeps them. Some 10 MB. */
export const MAX_HINTS = 100_000
/** Says that anything may have been missed. */
const ANYTHING = ''

export interface Hint {
  readonly key: string
  /** When it was left, µs. */
  readonly leftUs: number
}

/** What a node keeps for another. */
export interface HintsLook {
  /** When the oldest was left, µs; undefined: there is none. */
  readonly oldestUs: number | undefined
  /** More was missed than could be kept. */
  readonly anything: boolean
}

/** What a node keeps for each of several others, in their order, its own time, µs, and its control record. */
export interface KeeperLook {
  readonly nowUs: number
  readonly record: NodeRecord | undefined
  readonly kept: readonly HintsLook[]
}

const HINTS = 'rt:!hints:'
const hintsKey = (missing: string): string => `${HINTS}${missing}`
const RECORD_KEY = `rt:!${NODE_RECORD}`

// KEYS 1: the hints of a node. ARGV 1: how many are kept at most; 2: the time, µs, for nodes that do not have their own; the rest: keys, or '' for
// anything. Reply 1.
const LEAVE: Script = {
  name: 'leave-hints',
  lua: `
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local most = tonumber(ARGV[1])
if redis.call('ZSCORE', KEYS[1], '') then
  return 1
end
if ARGV[3] == '' or redis.call('ZCARD', KEYS[1]) + #ARGV - 2 > most then
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], now, '')
  return 1
end
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], now, ARGV[i])
end
return 1`,
  local(entries, [key], [most, nowUs, ...keys]) {
    const kept = readLocal(entries, key!)
    if (kept.has(ANYTHING)) return 1
    // Later than any before, also within one millisecond.
    let now = Number(nowUs)
    for (const leftUs of kept.values()) now = Math.max(now, leftUs + 1)
    if (keys[0] === ANYTHING || kept.size + keys.length > Number(most)) {
      kept.clear()
      kept.set(ANYTHING, now)
    } else {
      for (const each of keys) kept.set(String(each), now)
    }
    writeLocal(entries, key!, kept)
    return 1
  },
}

// KEYS 1: this node's record; the rest: the hints of several nodes. Reply: this node's time in µs; its record, '' for none; then for each node: the
// moment of the oldest, '' for none, and 1 where anything may have been missed.
const LOOK: Script = {
  name: 'look-for-hints',
  lua: `
local time = redis.call('TIME')
local reply = { string.format('%.0f', time[1] * 1000000 + time[2]), redis.call('GET', KEYS[1]) or '' }
for i = 2, #KEYS do
  local oldest = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  reply[#reply + 1] = oldest[2] and string.format('%.0f', tonumber(oldest[2])) or ''
  reply[#reply + 1] = redis.call('ZSCORE', KEYS[i], '') and 1 or 0
end
return reply`,
  local(entries, [record, ...keys], [nowUs]) {
    const reply: ScriptReply[] = [String(nowUs), entries.get(record!) ?? '']
    for (const key of keys) {
      const kept = readLocal(entries, key)
      reply.push(kept.size === 0 ? '' : String(Math.min(...kept.values())), kept.has(ANYTHING) ? 1 : 0)
    }
    return reply
  },
}

// KEYS 1: the hints of a node. ARGV 1: how many. Reply: of the oldest, the key and its moment in turn.
const LIST: Script = {
  name: 'list-hints',
  lua: `
local listed = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES')
for i = 2, #listed, 2 do
  listed[i] = string.format('%.0f', tonumber(listed[i]))
end
return listed`,
  local(entries, [key], [count]) {
    const kept = [...readLocal(entries, key!)].sort((a, b) => a[1] - b[1]).slice(0, Number(count))
    return kept.flatMap(([each, leftUs]) => [each, String(leftUs)])
  },
}

// KEYS 1: the hints of a node. ARGV: a key and its moment, in turn; one that was left again since stays. Reply: how many are gone.
const TAKE_AWAY: Script = {
  name: 'take-hints-away',
  lua: `
local gone = 0
for i = 1, #ARGV, 2 do
  local left = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if left and string.format('%.0f', tonumber(left)) == ARGV[i + 1] then
    gone = gone + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return gone`,
  local(entries, [key], args) {
    const kept = readLocal(entries, key!)
    let gone = 0
    for (let at = 0; at < args.length; at += 2)
      if (kept.get(String(args[at])) === Number(args[at + 1])) gone += kept.delete(String(args[at])) ? 1 : 0
    writeLocal(entries, key!, kept)
    return gone
  },
}

// KEYS: the hints of nodes. Reply 1.
const FORGET: Script = {
  name: 'forget-hints',
  lua: `
redis.call('UNLINK', unpack(KEYS))
return 1`,
  local(entries, keys) {
    for (const key of keys) entries.delete(key)
    return 1
  },
}

/** @param keys at least one @param nowUs for nodes without a time of their own to go by @throws RingtailError where it is not known that they are kept */
export async function leaveHints(
  keeper: CacheNode,
  missing: string,
  keys: readonly string[],
  nowUs: number,
  call: NodeCall,
): Promise<void> {
  await keeper.run(LEAVE, [hintsKey(missing)], [MAX_HINTS, nowUs, ...keys], call)
}

/** Says of a node that it may have missed anything. */
export function leaveAnything(keeper: CacheNode, missing: string, nowUs: number, call: NodeCall): Promise<void> {
  return leaveHints(keeper, missing, [ANYTHING], nowUs, call)
}

/** One call. */
export async function lookForHints(keeper: CacheNode, missing: readonly string[], nowUs: number, call: NodeCall): Promise<KeeperLook> {
  const reply = (await keeper.run(LOOK, [RECORD_KEY, ...missing.map(hintsKey)], [nowUs], call)) as readonly ScriptReply[]
  const kept = missing.map((_, nth): HintsLook => {
    const oldest = textOf(reply[2 + 2 * nth])
    return { oldestUs: oldest === '' ? undefined : Number(oldest), anything: Number(reply[3 + 2 * nth]) === 1 }
  })
  const record = reply[1] instanceof Uint8Array ? readRecord(reply[1]) : undefined
  return { nowUs: Number(textOf(reply[0])), record, kept }
}

/** The oldest first. */
export async function listHints(keeper: CacheNode, missing: string, count: number, call: NodeCall): Promise<readonly Hint[]> {
  const reply = (await keeper.run(LIST, [hintsKey(missing)], [count], call)) as readonly ScriptReply[]
  return Array.from({ length: reply.length / 2 }, (_, nth) => ({ key: textOf(reply[2 * nth]), leftUs: Number(textOf(reply[2 * nth + 1])) }))
}

/** Those that were left again since stay. */
export async function takeHintsAway(keeper: CacheNode, missing: string, hints: readonly Hint[], call: NodeCall): Promise<void> {
  await keeper.run(
    TAKE_AWAY,
    [hintsKey(missing)],
    hints.flatMap(({ key, leftUs }) => [key, String(leftUs)]),
    call,
  )
}

/** The id of the node whose hints lie under the key; undefined: no hints do. */
export function missingOf(key: string): string | undefined {
  return key.startsWith(HINTS) ? key.slice(HINTS.length) : undefined
}

/** Whatever is kept of these nodes. @param missing at least one */
export async function forgetHints(keeper: CacheNode, missing: readonly string[], call: NodeCall): Promise<void> {
  await keeper.run(FORGET, missing.map(hintsKey), [], call)
}

export const saysAnything = ({ key }: Hint): boolean => key === ANYTHING

function textOf(reply: ScriptReply | undefined): string {
  return reply instanceof Uint8Array ? Buffer.from(reply).toString() : String(reply)
}

function readLocal(entries: LocalEntries, key: string): Map<string, number> {
  const bytes = entries.get(key)
  return new Map(bytes === undefined ? [] : (JSON.parse(Buffer.from(bytes).toString()) as [string, number][]))
}

function writeLocal(entries: LocalEntries, key: string, kept: ReadonlyMap<string, number>): void {
  if (kept.size === 0) entries.delete(key)
  else entries.set(key, Buffer.from(JSON.stringify([...kept])), 0)
}
