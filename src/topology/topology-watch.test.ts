import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RingKnowledge } from '../cluster/ring-knowledge.ts'
import type { Emit } from '../events.ts'
import { memoryNode } from '../node/memory-node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { type FlakyNode, flakyNode } from '../testing/flaky-node.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { readRecords, writeRecord } from './record-board.ts'
import type { TopologyNodes } from './topology.ts'
import { decodeRecord, firstRecord, memberOf, movingRecord, settledRecord, switchedRecord } from './topology-record.ts'
import { AHEAD_MS, TopologyWatch } from './topology-watch.ts'

async function rig(admitted: (all: FlakyNode[]) => void = () => {}) {
  const clock = new FakeClock()
  const all: FlakyNode[] = ['n1', 'n2', 'n3'].map((id) => flakyNode(memoryNode({ id, clock })))
  await Promise.all(all.map((node) => node.connect({ clock })))
  const done: string[] = []
  const nodes: TopologyNodes = {
    all,
    knowledge: new RingKnowledge(),
    admit: (members) => {
      done.push(`admit ${members.length}`)
      admitted(all)
    },
    turn: ({ epoch }, holdsUntilMs) => void done.push(`turn ${epoch} ${Math.round(holdsUntilMs - clock.monotonic())}`),
    retireAllBut: (members) => void done.push(`retire all but ${members.length}`),
    lookAtCaches: async () => {},
    needCaches: () => assert.fail(),
    placing: () => assert.fail(),
    measured: () => assert.fail(),
  }
  const told: unknown[] = []
  const emit: Emit = (name, payload) => void told.push([name, payload])
  const watch = new TopologyWatch({ nodes, clock, random: seededRandom(3), emit })
  const first = firstRecord(all.map(memberOf))
  const moving = movingRecord(first, { next: first.members.slice(1), id: 'x', startedMs: 0, by: 'me' }, clock.now() + AHEAD_MS)
  return { clock, all, nodes, watch, done, told, moving }
}

test('a decision is heard of within a second, prepared for, and takes effect at its moment', async () => {
  const { clock, all, watch, done, told, moving } = await rig()
  await watch.start()
  await writeRecord(all, moving)
  await clock.advance(700)
  assert.deepEqual(done, ['admit 3'])
  assert.equal(watch.current.epoch, 0)
  await clock.advance(AHEAD_MS - 700 - 1)
  assert.deepEqual(done, ['admit 3'])
  await clock.advance(2)
  assert.deepEqual(done, ['admit 3', 'turn 1 0'])
  assert.deepEqual(told, [['topology:changed', { epoch: 1, phase: 'moving', members: ['n1', 'n2', 'n3'] }]])
  watch.stop()
  assert.equal(clock.pendingTimers, 0)
})

test('who hears of it late turns at once', async () => {
  const { clock, all, watch, done, moving } = await rig()
  await writeRecord(all, moving)
  await clock.advance(AHEAD_MS + 5_000)
  await watch.start()
  assert.equal(watch.current.epoch, 1)
  assert.equal(done.at(-1), 'turn 1 0')
  watch.stop()
})

test('changes of keys with another first owner are held back around the switch', async () => {
  const { clock, all, watch, done, moving } = await rig()
  await watch.start()
  watch.hear(moving)
  await clock.advance(AHEAD_MS)
  watch.hear(switchedRecord(moving, clock.now() + AHEAD_MS))
  await clock.advance(AHEAD_MS)
  assert.equal(done.at(-1), 'turn 2 60')
  void all
  watch.stop()
})

test('what is decided as late as it begins is heard of by all before anybody decides by it', async () => {
  const { clock, all, watch, done, moving } = await rig()
  await watch.start()
  watch.hear(moving)
  await clock.advance(AHEAD_MS)
  const switched = switchedRecord(moving, clock.now() + AHEAD_MS)
  await clock.advance(AHEAD_MS - 300)
  watch.hear(switched)
  await clock.advance(300)
  assert.equal(done.at(-1), 'turn 2 700')
  void all
  watch.stop()
})

test('nodes that have left are let go of some seconds later, unless they are kept', async () => {
  const { clock, watch, done, moving } = await rig()
  watch.hear(moving)
  await clock.advance(AHEAD_MS)
  const release = watch.keepNodes()
  watch.hear(settledRecord(switchedRecord(moving, clock.now()), clock.now()))
  await clock.advance(10_000)
  assert.ok(!done.some((each) => each.startsWith('retire')))
  release([])
  await clock.advance(2_999)
  assert.ok(!done.some((each) => each.startsWith('retire')))
  await clock.advance(1)
  assert.equal(done.at(-1), 'retire all but 2')
})

test('what only one of three nodes holds is not gone by, nor is what a majority held before something later', async () => {
  const { all, watch, moving, clock } = await rig()
  await writeRecord(all.slice(0, 1), moving)
  await watch.start()
  await clock.advance(5_000)
  assert.equal(watch.latest.epoch, 0)
  watch.hear(switchedRecord(moving, clock.now()))
  await writeRecord(all, moving)
  await clock.advance(2_000)
  assert.equal(watch.latest.epoch, 2)
  watch.stop()
})

test('what two tries had taken comes to lie everywhere by the later ballot, and is left alone from then on', async () => {
  const { all, watch, moving, clock, done } = await rig()
  const settled = { ...settledRecord(moving, clock.now()), ballot: '1' }
  const later = { ...settled, ballot: '2' }
  await writeRecord(all, settled)
  await watch.start()
  assert.equal(watch.latest.ballot, '1')
  await writeRecord(all.slice(0, 1), later)
  await writeRecord(all, settled)
  const ballots = async () => (await readRecords(all)).map(({ bytes }) => decodeRecord(bytes)?.ballot)
  assert.deepEqual(await ballots(), ['2', '1', '1'])
  await clock.advance(700)
  assert.deepEqual(await ballots(), ['2', '2', '2'])
  assert.equal(watch.latest.ballot, '2')
  await clock.advance(3_000)
  assert.equal(done.at(-1), 'retire all but 3')
  watch.stop()
})

test('a ring is not known to hold while those that were not heard may have decided the next', async () => {
  for (const holders of [1, 2]) {
    for (const epochs of [1, 2]) {
      const { all, nodes, watch, moving, clock } = await rig()
      const later = epochs === 1 ? moving : switchedRecord(moving, clock.now())
      await writeRecord(all.slice(0, holders), later)
      all[0]!.mishaps.down('refusing')
      await watch.start()
      assert.equal(watch.latest.epoch, 0)
      assert.equal(nodes.knowledge.untilMs > clock.now(), holders === 1, `${holders} hold epoch ${epochs}`)
      watch.stop()
    }
  }
})

test('who is stopped during a look does not look on', async () => {
  const { all, watch, moving, done } = await rig()
  watch.hear(settledRecord({ ...moving, members: moving.members.slice(0, 1) }, 0))
  await writeRecord(all, { ...moving, epoch: 3, beginsMs: 0 })
  all[0]!.mishaps.down('refusing')
  let reads = 0
  all[1]!.mishaps.script(() => {
    reads++
    watch.stop()
    return undefined
  })
  const before = done.length
  await watch.look()
  assert.equal(reads, 1)
  assert.equal(done.length, before)
})

test('who is stopped having found a node does not connect to it', async () => {
  const found = flakyNode(memoryNode({ id: 'found' }))
  let connections = 0
  found.connect = async () => void connections++
  const { all, watch, moving } = await rig((nodes) => {
    nodes.push(found)
    watch.stop()
  })
  await writeRecord(all.slice(0, 1), { ...moving, beginsMs: 0 })
  await watch.look()
  assert.ok(all.includes(found))
  assert.equal(connections, 0)
})

test('however many nodes each look finds, only so many looks follow one another', async () => {
  const { all, watch, moving } = await rig((nodes) => {
    if (nodes.length < 50) nodes.push(flakyNode(memoryNode({ id: `found${nodes.length}` })))
  })
  await writeRecord(all.slice(0, 1), { ...moving, beginsMs: 0 })
  let reads = 0
  all[2]!.mishaps.script(() => {
    reads++
    return undefined
  })
  await watch.look()
  assert.equal(reads, 8)
  assert.equal(all.length, 11)
})
