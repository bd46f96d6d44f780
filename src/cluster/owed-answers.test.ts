import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settled } from '../../tests/support/cache-bench.ts'
import type { Standing } from '../node/node.ts'
import { rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { Fetched } from './cluster.ts'

const bytes = riggedEntry({ ms: 1_735_689_600_000 })
const down: Standing = {
  steered: true,
  avoided: true,
  down: true,
  looksDead: true,
  behind: false,
  emptiedMs: 0,
  share: 1,
  takesRead: () => true,
}

function owing() {
  const rig = rigCluster()
  for (const node of rig.nodes) {
    node.reads = 'owe'
    node.lay('k0', bytes)
  }
  const told: Fetched[] = []
  const read = (): void => rig.cluster.fetch('k0', (fetched) => told.push(fetched))
  return { ...rig, told, read }
}

test('owners that all owe earlier answers are asked again shortly, and a hit is a hit', async () => {
  const { nodes, clock, told, read } = owing()
  read()
  await settled()
  assert.equal(told.length, 0)
  await clock.advance(19)
  for (const node of nodes) node.reads = 'answer'
  await clock.advance(1)
  assert.equal(told[0]?.bytes, bytes)
  assert.equal(told[0]?.node?.id, 'n0')
  assert.equal(clock.pendingTimers, 0)
})

test('they are asked for half of the time at most, and then it is said that none answered', async () => {
  const { nodes, clock, told, read } = owing()
  read()
  await clock.advance(60)
  assert.equal(told.length, 0)
  await clock.advance(65)
  assert.equal(told[0]?.failure?.code, 'UNAVAILABLE')
  const asked = nodes[0]!.asked.length
  assert.ok(asked > 3 && asked < 8, `${asked}`)
  assert.equal(clock.pendingTimers, 0)
})

test('nobody waits for owners that are all known to be down, nor for those that refuse for another reason', async () => {
  const known = owing()
  for (const node of known.nodes) node.standing = down
  known.read()
  const refusing = owing()
  refusing.nodes[2]!.reads = 'fail'
  refusing.read()
  await settled()
  assert.equal(known.told[0]?.failure?.code, 'UNAVAILABLE')
  assert.equal(refusing.told[0]?.failure?.code, 'UNAVAILABLE')
})

for (const level of ['quorum', 'all'] as const) {
  test(`at ${level}, owners that owe earlier answers are asked again shortly, for one key and for many`, async () => {
    const { nodes, clock, told, cluster } = owing()
    cluster.fetch('k0', (fetched) => told.push(fetched), { read: level })
    const many = cluster.fetchMany(['k0', 'k1'], { read: level })
    await clock.advance(39)
    assert.equal(told.length, 0)
    for (const node of nodes) node.reads = 'answer'
    await clock.advance(1)
    assert.deepEqual([told.length, told[0]?.bytes], [1, bytes])
    assert.deepEqual(
      (await many).map(({ bytes }) => bytes),
      [bytes, undefined],
    )
    assert.equal(clock.pendingTimers, 0)
  })

  test(`at ${level}, they are asked while there is time, and then it is said that too few answered`, async () => {
    const { clock, nodes, told, cluster } = owing()
    cluster.fetch('k0', (fetched) => told.push(fetched), { read: level })
    const many = cluster.fetchMany(['k1'], { read: level })
    // Nearly three quarters of 250 ms.
    await clock.advance(159)
    assert.equal(told.length, 0)
    await clock.advance(31)
    assert.equal(told[0]?.failure?.code, 'UNAVAILABLE')
    assert.equal((await many)[0]?.failure?.code, 'UNAVAILABLE')
    assert.ok(nodes[1]!.asked.length > 6 && nodes[1]!.asked.length < 40, `${nodes[1]!.asked.length}`)
    assert.equal(clock.pendingTimers, 0)
  })
}

test('at quorum, an owner that fails late, after the others were asked again, does not end the read while they may answer', async () => {
  const { nodes, clock, told, cluster } = owing()
  nodes[2]!.reads = 'hold'
  cluster.fetch('k0', (fetched) => told.push(fetched), { read: 'quorum' })
  await clock.advance(15)
  for (const node of nodes.slice(0, 2)) node.reads = 'hold'
  await clock.advance(5)
  const [late] = nodes[2]!.waiting
  nodes[2]!.reads = 'fail'
  late!.receiver.failed(nodes[2]!.refusal, nodes[2]!.node)
  assert.equal(told.length, 0)
  for (const node of nodes.slice(0, 2)) for (const { receiver } of node.waiting) receiver.answered(bytes, node.node)
  assert.deepEqual([told.length, told[0]?.bytes], [1, bytes])
})

test('where no owner can be replaced each has all the time that is left, and none is asked when there is none', async () => {
  const { nodes, clock, cluster } = rigCluster({ replicas: 2 })
  for (const node of nodes) node.reads = 'owe'
  const told: Fetched[] = []
  cluster.fetch('k0', (fetched) => told.push(fetched), { read: 'quorum' })
  await clock.advance(20)
  assert.deepEqual(nodes[0]!.timeouts, [250, 230])
  await clock.advance(1)
  clock.stall(1_200)
  await clock.advance(20)
  assert.equal(told[0]?.failure?.code, 'UNAVAILABLE')
  assert.deepEqual(nodes[0]!.timeouts, [250, 230])
})

test('at quorum, one that answered before others were asked again counts once', async () => {
  const { nodes, clock, told, cluster } = owing()
  nodes[0]!.reads = 'answer'
  cluster.fetch('k0', (fetched) => told.push(fetched), { read: 'quorum' })
  await clock.advance(60)
  assert.equal(told.length, 0)
  nodes[2]!.reads = 'answer'
  await clock.advance(20)
  assert.deepEqual([told.length, told[0]?.bytes], [1, bytes])
})

test('of many keys those whose owners all owe earlier answers are asked for again, and the others are not', async () => {
  const { nodes, clock, cluster } = owing()
  nodes[3]!.reads = 'answer'
  nodes[3]!.lay('k3', bytes)
  const reading = cluster.fetchMany(['k0', 'k3'])
  await clock.advance(19)
  for (const node of nodes) node.reads = 'answer'
  await clock.advance(1)
  assert.deepEqual(
    (await reading).map(({ bytes, node }) => [bytes, node?.id]),
    [
      [bytes, 'n0'],
      [bytes, 'n3'],
    ],
  )
  assert.deepEqual(nodes[3]!.asked, ['k3'])
  assert.equal(clock.pendingTimers, 0)
})

test('many keys are asked for again for half of the time at most, and then each is said to have failed', async () => {
  const { nodes, clock, cluster } = owing()
  const told: Fetched[] = []
  void cluster.fetchMany(['k0', 'k1']).then((fetched) => told.push(...fetched))
  await clock.advance(60)
  assert.equal(told.length, 0)
  await clock.advance(140)
  assert.deepEqual(
    told.map(({ failure }) => failure?.code),
    ['UNAVAILABLE', 'UNAVAILABLE'],
  )
  const asked = nodes[0]!.asked.length
  assert.ok(asked > 6 && asked < 40, `${asked}`)
  assert.equal(clock.pendingTimers, 0)
})

test('many keys wait for no owners that are all known to be down', async () => {
  const { nodes, cluster } = owing()
  for (const node of nodes) node.standing = down
  const told = await cluster.fetchMany(['k0'])
  assert.equal(told[0]?.failure?.code, 'UNAVAILABLE')
})
