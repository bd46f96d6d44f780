import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { encodeEnvelope } from '../codec/envelope.ts'
import { NO_STAMP } from '../entry.ts'
import { type Emit, noEmit } from '../events.ts'
import { memoryNode } from '../node/memory-node.ts'
import { type CacheNode, LATE_MS } from '../node/node.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { versionAt } from '../version-clock.ts'
import type { PutChange, Replicated } from './cluster.ts'
import { Hints } from './hints.ts'
import { LiveRing } from './live-ring.ts'
import { RingCluster } from './ring-cluster.ts'
import { RingKnowledge } from './ring-knowledge.ts'

before(() => hashRing().prepare())

const NOTHING = new Uint8Array(0)

/** A cluster whose ring became another while its process was stopped: it hears of it when `answer` is called. */
async function rig() {
  const clock = new FakeClock()
  const nodes = ['n1', 'n2'].map((id) => memoryNode({ id, clock }))
  await Promise.all(nodes.map((node) => node.connect({ clock })))
  const [old, next] = nodes.map((node) => hashRing().build<CacheNode>([node], 1)) as [ReturnType<typeof ringOf>, ReturnType<typeof ringOf>]
  const knowledge = new RingKnowledge()
  const ring = new LiveRing(old, knowledge)
  const told: unknown[] = []
  const emit: Emit = (name, payload) => void told.push([name, payload])
  const hints = new Hints({ clock, emit })
  const cluster = new RingCluster(ring, { clock, emit: noEmit, hints })
  let looks = 0
  let answer = (): void => {}
  const heard = (): void => {
    ring.turn(next, undefined)
    knowledge.heard(clock.now() + 1_500)
  }
  const look = (): Promise<void> => {
    looks++
    return new Promise((resolve) => {
      answer = () => {
        heard()
        resolve()
      }
    })
  }
  knowledge.watch({ clock, look })
  knowledge.heard(clock.now() + 1_500)
  const put = (key: string, size = 0): PutChange => {
    const times = { freshUntilMs: clock.now() + 60_000, graceMs: 0, loadCostMs: 0, begun: clock.now() }
    const bytes = encodeEnvelope({ kind: 'value', codec: 0, version: versionAt(clock.now()), ...times }, NOTHING, new Uint8Array(size))
    return { op: 'put', key, bytes, ttlMs: 60_000 }
  }
  const holders = async (key: string): Promise<string[]> => {
    const found = await Promise.all(nodes.map((node) => node.getMany([key])))
    return nodes.filter((_, at) => found[at]![0] !== undefined).map(({ id }) => id)
  }
  return { clock, knowledge, cluster, hints, told, put, holders, heard, answer: () => answer(), looks: () => looks }
}

function ringOf(nodes: readonly CacheNode[]) {
  return hashRing().build<CacheNode>(nodes, 1)
}

test('while the ring is known a write that brings its time goes at once, without a look at the clock', async () => {
  const { clock, cluster, put, holders, looks } = await rig()
  const change = put('rt:item:a')
  const nowMs = clock.now()
  let readings = 0
  const now = clock.now.bind(clock)
  clock.now = () => {
    readings++
    return now()
  }
  let replicated: Replicated | undefined
  cluster.put(change, 'quorum', (each) => (replicated = each), undefined, nowMs)
  assert.equal(replicated!.state, 'applied')
  // A node in this process judges by it.
  assert.ok(readings <= 1, `${readings}`)
  assert.deepEqual([await holders('rt:item:a'), looks()], [['n1'], 0])
})

test('after it every kind of write, and every lease, waits until the nodes have said which ring it is', async () => {
  type Rig = Awaited<ReturnType<typeof rig>>
  const kinds: Record<string, (of: Rig) => Promise<unknown>> = {
    put: ({ cluster, put, clock }) => new Promise((resolve) => cluster.put(put('rt:item:a'), 'quorum', resolve, undefined, clock.now())),
    replicate: ({ cluster, put }) => cluster.replicate([put('rt:item:a')], 'quorum'),
    compareAndSet: ({ cluster, put }) => cluster.compareAndSet({ ...put('rt:item:a'), expected: 0n }, 'quorum'),
    lease: ({ cluster }) => cluster.lease([{ key: 'rt:item:a', leaseMs: 1_000, seen: NO_STAMP }]),
  }
  for (const [kind, write] of Object.entries(kinds)) {
    const woken = await rig()
    await woken.clock.advance(1_501)
    const writing = write(woken)
    await woken.clock.settle()
    assert.deepEqual([await woken.holders('rt:item:a'), woken.looks()], [[], 1], kind)
    woken.answer()
    await writing
    assert.deepEqual(await woken.holders('rt:item:a'), ['n2'], kind)
  }
})

test('many writes ask once, wait 50 ms at most, and then none waits for half a second', async () => {
  const { clock, cluster, put, holders, looks } = await rig()
  await clock.advance(1_501)
  const writing = Promise.all(['a', 'b'].map((each) => cluster.replicate([put(`rt:item:${each}`)], 'quorum')))
  await clock.advance(49)
  assert.deepEqual(await holders('rt:item:a'), [])
  await clock.advance(1)
  await writing
  assert.deepEqual([await holders('rt:item:a'), looks()], [['n1'], 1])
  await cluster.replicate([put('rt:item:c')], 'quorum')
  assert.equal(looks(), 1)
  await clock.advance(500)
  void cluster.replicate([put('rt:item:d')], 'quorum')
  await clock.settle()
  assert.equal(looks(), 2)
  await clock.advance(50)
  assert.equal(clock.pendingTimers, 0)
})

test('what went by the old ring is made once more by the new one; by the same ring it is not', async () => {
  const { clock, cluster, hints, put, holders, heard, knowledge } = await rig()
  await clock.advance(1_501)
  const writing = cluster.replicate([put('rt:item:a')], 'quorum')
  await clock.advance(50)
  await writing
  heard()
  assert.equal(hints.owed, 1)
  await hints.retry()
  assert.deepEqual([await holders('rt:item:a'), hints.owed], [['n1', 'n2'], 0])
  await clock.advance(1_501)
  const again = cluster.replicate([put('rt:item:b')], 'quorum')
  await clock.advance(50)
  await again
  knowledge.heard(clock.now() + 1_500)
  assert.equal(hints.owed, 0)
})

test('plain values are not made once more, but dropped, and what there is no room for is told of as lost', async () => {
  const { clock, cluster, hints, put, holders, heard, told } = await rig()
  await clock.advance(1_501)
  const writing = cluster.replicate([{ op: 'set', key: 'plain', bytes: Buffer.from('x'), ttlMs: 1_000 }], 'quorum')
  await clock.advance(50)
  await writing
  const large = Array.from({ length: 17 }, (_, nth) => put(`rt:item:${nth}`, 1024 * 1024))
  await cluster.replicate(large, 'quorum')
  heard()
  await hints.retry()
  assert.deepEqual(told, [['hints:lost', { node: 'n1', keys: 2 }]])
  assert.deepEqual(await holders('plain'), ['n1'])
  assert.deepEqual(await holders('rt:item:1'), ['n1', 'n2'])
})

test('before nobody watches any more, writes in doubt are made once more if the nodes say so, and else told of as lost', async () => {
  for (const says of [true, false]) {
    const { clock, cluster, hints, put, holders, answer, knowledge, told } = await rig()
    await clock.advance(1_501)
    const writing = cluster.replicate([put('rt:item:a')], 'quorum')
    await clock.advance(50)
    await writing
    if (!says) knowledge.watch({ clock, look: () => Promise.resolve() })
    const settling = knowledge.settle()
    if (says) answer()
    await settling
    knowledge.giveUp()
    await hints.retry()
    assert.deepEqual(await holders('rt:item:a'), says ? ['n1', 'n2'] : ['n1'])
    assert.deepEqual(told, says ? [] : [['hints:lost', { node: 'n1', keys: 1 }]])
    knowledge.heard(clock.now() + 1_500)
    assert.equal(hints.owed, 0)
  }
})

test('what is too old to be taken when the nodes are heard again is dropped by the new owners at the first try', async () => {
  const { clock, cluster, hints, put, holders, heard } = await rig()
  await clock.advance(1_501)
  const writing = cluster.replicate([put('rt:item:a')], 'quorum')
  await clock.advance(50)
  await writing
  await clock.advance(LATE_MS)
  heard()
  // What a reader may have loaded there meanwhile.
  await cluster.replicate([put('rt:item:a')], 'quorum')
  assert.deepEqual(await holders('rt:item:a'), ['n2'])
  await hints.retry()
  assert.deepEqual([await holders('rt:item:a'), hints.owed], [[], 0])
})

test('a compare-and-set in doubt is made once more if it happened, also where the ring is heard meanwhile, and not if it was refused', async () => {
  const { clock, cluster, hints, knowledge, put, holders, heard } = await rig()
  await cluster.replicate([put('rt:item:a')], 'quorum')
  await clock.advance(1_501)
  const decide = (key: string, expected: bigint) => cluster.compareAndSet({ ...put(key), expected }, 'quorum')
  const refused = decide('rt:item:a', 1n)
  await clock.advance(50)
  assert.equal((await refused).state, 'refused')
  assert.equal((await decide('rt:item:b', 0n)).state, 'applied')
  const meanwhile = decide('rt:item:c', 0n)
  // Sent, and not answered.
  await null
  await null
  heard()
  assert.equal((await meanwhile).state, 'applied')
  knowledge.heard(clock.now() + 1_500)
  await hints.retry()
  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map((each) => holders(`rt:item:${each}`))), [['n1'], ['n1', 'n2'], ['n1', 'n2']])
})
