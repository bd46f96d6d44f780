/**
 * Removes entries from nodes that do not own them.
 *
 * Nobody reads them and nobody writes them, so they grow old: harmless where they lie, and a danger the day their node owns the key again, for
 * what they are older than may have been deleted, and the tombstone be gone. So they are removed after each change, and looked for
 * before each, since an earlier one may have been interrupted. On a node that has yet to join, all that lies there is such.
 *
 * One kind is never merely removed: a pending entry is a write that the store may not have yet. It goes once more than half of its owners hold
 * it, or something newer; those that do not are given it. If the store has it all the same, who reads it there finds that out
 * (`strategy/adoption.ts`).
 *
 * With them go the hints of nodes that own nothing any more, which nobody would ever take away.
 */
import { forgetHints, missingOf } from '../cluster/hint-records.ts'
import { KIND_BYTE, MAGIC } from '../codec/envelope.ts'
import type { CacheNode, Script, ScriptReply } from '../node/node.ts'
import type { KeyPlacing } from './topology.ts'
import type { WalkedNodes } from './walked-nodes.ts'

const CALL = { timeoutMs: 1_000 }

export interface Swept {
  readonly removed: number
  /** Nodes of which not all could be looked at or removed. */
  readonly unswept: readonly CacheNode[]
}

// KEYS: what is to go. ARGV 1: the first byte of an entry; 2: the third byte of a pending one. Reply: how many are gone, then the positions, from 1,
// of the pending entries, which stay; as does what is no string.
const DROP_BUT_PENDING: Script = {
  name: 'drop-but-pending',
  lua: `
local reply = { 0 }
for i = 1, #KEYS do
  local head = redis.pcall('GETRANGE', KEYS[i], 0, 2)
  if type(head) == 'string' then
    if head:byte(1) == tonumber(ARGV[1]) and head:byte(3) == tonumber(ARGV[2]) then
      reply[#reply + 1] = i
    else
      reply[1] = reply[1] + redis.call('DEL', KEYS[i])
    end
  end
end
return reply`,
  local(entries, keys, [magic, pending]) {
    let gone = 0
    const kept: number[] = []
    for (const [at, key] of keys.entries()) {
      const bytes = entries.get(key)
      if (bytes?.[0] === magic && bytes?.[2] === pending) kept.push(at + 1)
      else if (entries.delete(key)) gone++
    }
    return [gone, ...kept]
  },
}

/** @param placing by which the owners stay @throws the walk's signal's reason */
export async function sweepLeftovers(walked: WalkedNodes, nodes: readonly CacheNode[], placing: KeyPlacing): Promise<Swept> {
  let removed = 0
  const failed = new Set<CacheNode>()
  const owning = new Set(placing.members.map(({ id }) => id))
  const unwalked = await walked.walk(nodes, placing.prefix, async (node, keys) => {
    const gone = keys.map(missingOf).filter((id) => id !== undefined && !owning.has(id)) as string[]
    if (gone.length > 0) await forgetHints(node, gone, CALL)
    const leftovers = keys.filter((key) => placing.ownersOf(key)?.includes(node) === false)
    if (leftovers.length === 0) return
    const [dropped, ...kept] = (await node.run(DROP_BUT_PENDING, leftovers, [MAGIC, KIND_BYTE.pending], CALL)) as readonly ScriptReply[]
    removed += Number(dropped)
    for (const position of kept) {
      const key = leftovers[Number(position) - 1]!
      if (await isMovedToOwners(node, key, placing.ownersOf(key)!, walked.nowMs())) removed++
      else failed.add(node)
    }
  })
  return { removed, unswept: [...new Set([...unwalked, ...failed])] }
}

/** The owners judge it as any put. @returns whether it is not on this node any more */
async function isMovedToOwners(node: CacheNode, key: string, owners: readonly CacheNode[], issuedMs: number): Promise<boolean> {
  const [bytes] = await node.getMany([key], CALL)
  if (bytes === undefined) return true
  const statuses = await Promise.all(
    owners.map(async (owner) => {
      // A node in this process may keep the very bytes it is given.
      const [status] = await owner.apply([{ op: 'put', key, bytes: Buffer.from(bytes), ttlMs: 0, issuedMs }], CALL)
      return status!.state
    }),
  )
  const holding = statuses.filter((state) => state === 'applied' || state === 'refused').length
  if (holding * 2 <= owners.length) return false
  const [dropped] = await node.apply([{ op: 'drop', key }], CALL)
  return dropped!.state === 'applied'
}
