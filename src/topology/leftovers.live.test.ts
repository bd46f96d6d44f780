import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leaveHints, listHints } from '../cluster/hint-records.ts'
import { encodeEnvelope } from '../codec/envelope.ts'
import type { EntryKind } from '../entry.ts'
import { memoryNode } from '../node/memory-node.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { adminOf, connected, LIVE, server } from '../testing/live-redis.ts'
import { versionAt } from '../version-clock.ts'
import { sweepLeftovers } from './leftovers.ts'
import { WalkedNodes } from './walked-nodes.ts'

test('a Redis node drops what is not its own, and hints of who has left; pending entries go home, other types stay', LIVE, async (t) => {
  await hashRing().prepare()
  const redis = await server(t)
  const { node } = await connected(t, redis.url)
  const admin = adminOf(t, redis)
  const clock = new FakeClock()
  const owner = memoryNode({ id: 'owner', clock })
  const entry = (kind: EntryKind): Uint8Array => {
    const times = { freshUntilMs: clock.now() + 60_000, graceMs: 0, loadCostMs: 0, begun: clock.now() }
    return encodeEnvelope({ kind, codec: 0, version: versionAt(clock.now()), ...times }, new Uint8Array(0), new Uint8Array(0))
  }
  const pending = entry('pending')
  await admin.set('rt:item:value', Buffer.from(entry('value')))
  await admin.set('rt:item:pending', Buffer.from(pending))
  await admin.set('rt:item:foreign', '')
  await admin.rpush('rt:item:list', 'x')
  for (const missing of ['owner', 'gone']) await leaveHints(node, missing, ['rt:item:value'], 0, { timeoutMs: 1_000 })
  const ring = hashRing().build([owner], 1)
  const placing = { prefix: 'rt:', members: ring.members, fewestOwners: 1, ownersOf: (key: string) => ring.ownersOf(key) }
  const walked = new WalkedNodes({ clock, rate: 1_000, signal: new AbortController().signal, looked: () => {} })
  const sweeping = sweepLeftovers(walked, [node], placing)
  let isDone = false
  void sweeping.finally(() => {
    isDone = true
  })
  while (!isDone) await Promise.all([clock.advance(10), node.ping()])
  assert.deepEqual(await sweeping, { removed: 3, unswept: [] })
  assert.deepEqual((await admin.keys('rt:*')).toSorted(), ['rt:!hints:owner', 'rt:item:list'])
  assert.equal((await listHints(node, 'owner', 10, { timeoutMs: 1_000 })).length, 1)
  assert.deepEqual(await owner.getMany(['rt:item:pending', 'rt:item:value']), [Buffer.from(pending), undefined])
})
