import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TopologyError } from '../errors.ts'
import { memoryNode } from '../node/memory-node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { flakyNode } from '../testing/flaky-node.ts'
import { LOCK_MS, TopologyLock } from './topology-lock.ts'
import { firstRecord, memberOf } from './topology-record.ts'

async function rig(count = 3) {
  const clock = new FakeClock()
  const nodes = Array.from({ length: count }, (_, nth) => flakyNode(memoryNode({ id: `n${nth}`, clock })))
  await Promise.all(nodes.map((node) => node.connect({ clock })))
  const lock = (id: string): TopologyLock => new TopologyLock(id, `operator ${id}`, clock, () => nodes)
  return { clock, nodes, lock, of: firstRecord(nodes.map(memberOf)) }
}

test('of two operators at once one has the lock, and the other is told who', async () => {
  const { lock, of, nodes } = await rig()
  const [one, other] = await Promise.allSettled([lock('a').take(of), lock('b').take(of)])
  assert.equal(one.status, 'fulfilled')
  assert.ok(other.status === 'rejected' && other.reason instanceof TopologyError)
  assert.equal(other.reason.reason, 'busy')
  assert.equal(other.reason.by, 'operator a')
  for (const { control } of nodes) assert.match(String(await control.get('topology-lock')), /operator a/)
})

test('who loses half-way gives back what it took', async () => {
  const { lock, of, nodes } = await rig()
  nodes[0]!.mishaps.down('refusing')
  await lock('a').take(of)
  nodes[0]!.mishaps.up()
  await assert.rejects(lock('b').take(of), { reason: 'busy', by: 'operator a' })
  assert.doesNotMatch(String(await nodes[0]!.control.get('topology-lock')), /operator b/)
})

test('a lock that was given back, or not renewed, can be taken; one that was renewed cannot', async () => {
  const { lock, of, clock } = await rig()
  const first = lock('a')
  await first.take(of)
  await first.giveBack()
  const second = lock('b')
  await second.take(of)
  await clock.advance(LOCK_MS / 2)
  await second.take(of)
  await clock.advance(LOCK_MS - 1)
  await assert.rejects(lock('c').take(of), { reason: 'busy' })
  await clock.advance(2)
  await lock('c').take(of)
  await assert.rejects(second.take(of), { reason: 'busy', by: 'operator c' })
})

test('with half of the nodes nobody has it', async () => {
  const { lock, of, nodes } = await rig(4)
  for (const node of nodes.slice(0, 2)) node.mishaps.down('refusing')
  await assert.rejects(lock('a').take(of), { code: 'TOPOLOGY', reason: 'unreachable' })
  for (const node of nodes) node.mishaps.up()
  await lock('b').take(of)
})

test('two renewals at once are not two operators', async () => {
  const { lock, of } = await rig()
  const one = lock('a')
  await Promise.all([one.take(of), one.take(of), one.take(of)])
  await assert.rejects(lock('b').take(of), { reason: 'busy', by: 'operator a' })
})
