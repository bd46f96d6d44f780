import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { encodeEnvelope, stampOf, versionOf } from '../codec/envelope.ts'
import { noEmit } from '../events.ts'
import { memoryNode } from '../node/memory-node.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { type FlakyNode, flakyNode } from '../testing/flaky-node.ts'
import { versionAt } from '../version-clock.ts'
import type { PutChange, Replicated } from './cluster.ts'
import { LiveRing } from './live-ring.ts'
import { RingCluster } from './ring-cluster.ts'

before(() => hashRing().prepare())

const NOTHING = new Uint8Array(0)

async function rig() {
  const clock = new FakeClock()
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((id) => flakyNode(memoryNode({ id, clock })))
  await Promise.all(nodes.map((node) => node.connect({ clock })))
  const old = hashRing().build(nodes.slice(0, 3), 2)
  const next = hashRing().build(nodes, 2)
  const live = new LiveRing(old)
  const missed: string[] = []
  const cluster = new RingCluster(live, { clock, emit: noEmit, nodeFailed: (node) => missed.push(node) })
  // A key whose first owner becomes the new node.
  const key = Array.from({ length: 1_000 }, (_, nth) => `rt:item:${nth}`).find((each) => next.ownersOf(each)[0]!.id === 'n4')!
  const put = (ms = 0, change: Partial<PutChange> = {}): PutChange => {
    const version = versionAt(clock.now() + ms)
    const times = { freshUntilMs: clock.now() + 60_000, graceMs: 0, loadCostMs: 0, begun: clock.now() + ms }
    return {
      op: 'put',
      key,
      bytes: encodeEnvelope({ kind: 'value', codec: 0, version, ...times }, NOTHING, NOTHING),
      ttlMs: 60_000,
      ...change,
    }
  }
  const held = async (node: FlakyNode): Promise<bigint | undefined> => {
    const [bytes] = await node.getMany([key])
    return bytes && versionOf(bytes)
  }
  const done = (change: PutChange): Promise<Replicated> => new Promise((resolve) => cluster.put(change, 'quorum', resolve))
  return { clock, nodes, joining: nodes[3]!, old, next, live, cluster, key, put, held, done, missed }
}

test('while keys move a put goes to the new owners too, and reads to the old ones', async () => {
  const { live, old, next, joining, put, done, held, cluster, key } = await rig()
  live.turn(old, next)
  assert.equal((await done(put())).state, 'applied')
  assert.notEqual(await held(joining), undefined)
  const { node } = await new Promise<{ node: { id: string } | undefined }>((resolve) => cluster.fetch(key, resolve))
  assert.equal(node!.id, old.ownersOf(key)[0]!.id)
})

test('so do many changes, compare-and-sets and fills', async () => {
  const { live, old, next, joining, put, held, cluster, key } = await rig()
  live.turn(old, next)
  const first = put()
  await cluster.replicate([first], 'quorum')
  assert.equal(await held(joining), versionOf(first.bytes))
  const second = put(1, { expected: versionOf(first.bytes) })
  assert.equal((await cluster.compareAndSet(second, 'quorum')).state, 'applied')
  assert.equal(await held(joining), versionOf(second.bytes))
  const [answer] = await cluster.lease([{ key, leaseMs: 1_000, seen: stampOf(second.bytes) }])
  assert.ok(answer?.state === 'granted')
  const third = put(2)
  await cluster.fill([{ change: third, lease: answer.lease }], 'quorum')
  assert.equal(await held(joining), versionOf(third.bytes))
})

test('a compare-and-set that was refused reaches nobody', async () => {
  const { live, old, next, joining, put, held, cluster } = await rig()
  await cluster.replicate([put()], 'quorum')
  live.turn(old, next)
  assert.equal((await cluster.compareAndSet(put(1, { expected: 5n }), 'quorum')).state, 'refused')
  assert.equal(await held(joining), undefined)
})

test('a new owner that fails neither fails a write nor counts as one that holds it, and is told of', async () => {
  const { live, old, next, joining, put, done, missed, nodes, key } = await rig()
  live.turn(old, next)
  joining.mishaps.down('refusing')
  assert.equal((await done(put())).state, 'applied')
  assert.deepEqual(missed, ['n4'])
  joining.mishaps.up()
  for (const node of nodes.filter((each) => old.ownersOf(key).includes(each))) node.mishaps.down('refusing')
  assert.equal((await done(put(1))).state, 'unacknowledged')
})

test('a write is answered once the new owner has it, or one try later', async () => {
  const { live, old, next, joining, put, done, clock } = await rig()
  live.turn(old, next)
  joining.mishaps.down('silent')
  let state: string | undefined
  void done(put()).then((replicated) => {
    state = replicated.state
  })
  await clock.advance(49)
  assert.equal(state, undefined)
  await clock.advance(2)
  assert.equal(state, 'applied')
})

test('once switched, old owners are written to that are none any more', async () => {
  const { live, old, next, nodes, put, done, held, key } = await rig()
  live.turn(next, old)
  const change = put()
  await done(change)
  const both = nodes.filter((node) => old.ownersOf(key).includes(node) || next.ownersOf(key).includes(node))
  assert.ok(both.length > 2)
  for (const node of both) assert.equal(await held(node), versionOf(change.bytes))
})

test('a lease granted by an owner that has ceased to be one fills the new owners, and is not counted among them', async () => {
  const { live, old, next, nodes, cluster, put, held, key } = await rig()
  const [answer] = await cluster.lease([{ key, leaseMs: 1_000, seen: { version: 0n, begun: 0, freshUntilMs: 0 } }])
  assert.ok(answer?.state === 'granted')
  live.turn(next, old)
  const owners = nodes.filter((node) => next.ownersOf(key).includes(node))
  const change = put()
  const decider = answer.lease.node
  const others = nodes.filter((node) => node !== decider)
  if (!owners.includes(decider as FlakyNode)) for (const node of others) node.mishaps.down('refusing')
  const [filled] = await cluster.fill([{ change, lease: answer.lease }], 'one')
  if (owners.includes(decider as FlakyNode)) for (const node of owners) assert.equal(await held(node), versionOf(change.bytes))
  else assert.equal(filled!.state, 'unacknowledged')
})

test('around the switch nobody decides a change of a key whose first owner is another, and all others are decided', async () => {
  const { live, old, next, put, cluster, clock } = await rig()
  live.turn(next, old, clock.monotonic() + 60)
  let state: string | undefined
  void cluster.compareAndSet(put(0, { expected: 0n }), 'quorum').then((replicated) => {
    state = replicated.state
  })
  await clock.advance(59)
  assert.equal(state, undefined)
  await clock.advance(2)
  assert.equal(state, 'applied')
  live.turn(next, old, clock.monotonic() + 60)
  const staying = Array.from({ length: 1_000 }, (_, nth) => `rt:item:${nth}`).find((key) => next.ownersOf(key)[0] === old.ownersOf(key)[0])!
  assert.equal((await cluster.compareAndSet(put(0, { key: staying, expected: 0n }), 'quorum')).state, 'applied')
})
