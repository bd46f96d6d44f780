import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RiggedNode, rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { Fetched } from './cluster.ts'
import type { RingCluster } from './ring-cluster.ts'

const NOW_MS = 1_735_689_600_000
const reads = (cluster: RingCluster, key: string) => new Promise<Fetched>((resolve) => cluster.fetch(key, resolve))
const askedOf = (nodes: readonly RiggedNode[]): number[] => nodes.slice(0, 3).map((node) => node.asked.length)

test('behind one read in sixteen another owner is asked, the others in turn', async () => {
  const { nodes, cluster } = rigCluster({ probeEvery: undefined })
  for (let nth = 0; nth < 15; nth++) await reads(cluster, 'k0')
  assert.deepEqual(askedOf(nodes), [15, 0, 0])
  await reads(cluster, 'k0')
  assert.deepEqual(askedOf(nodes), [16, 1, 0])
  for (let nth = 0; nth < 64; nth++) await reads(cluster, 'k0')
  assert.deepEqual(askedOf(nodes), [80, 3, 2])
})

test('a batch is probed for a share of its keys', async () => {
  const { nodes, cluster } = rigCluster({ probeEvery: undefined })
  await cluster.fetchMany(Array.from({ length: 32 }, () => 'k0'))
  assert.deepEqual(askedOf(nodes), [32, 1, 1])
})

test('a probe never changes the answer, and mends whichever owner is behind', async () => {
  const older = riggedEntry({ ms: NOW_MS - 2_000 })
  const newer = riggedEntry({ ms: NOW_MS - 1_000 })
  for (const [primary, other] of [
    [older, newer],
    [newer, older],
    [undefined, newer],
    [newer, undefined],
  ]) {
    for (const batch of [false, true]) {
      const { nodes, cluster } = rigCluster({ replicas: 2, probeEvery: 1 })
      if (primary !== undefined) nodes[0]!.lay('k0', primary)
      if (other !== undefined) nodes[1]!.lay('k0', other)
      const fetched = batch ? (await cluster.fetchMany(['k0']))[0]! : await reads(cluster, 'k0')
      assert.equal(fetched.bytes, primary)
      assert.equal(fetched.node?.id, 'n0')
      for (const node of nodes.slice(0, 2)) assert.deepEqual(node.lookUp('k0'), newer)
    }
  }
})

test('the reader does not wait for the probe, and a probe that fails is only counted', async () => {
  const { nodes, cluster, failures } = rigCluster({ replicas: 2, probeEvery: 1 })
  nodes[1]!.reads = 'hold'
  let settled = false
  const settle = (): void => {
    settled = true
    assert.equal(nodes[1]!.asked.length, 0)
  }
  cluster.fetch('k0', settle)
  assert.ok(settled)
  nodes[1]!.waiting[0]!.receiver.failed(nodes[1]!.refusal, nodes[1]!.node)
  assert.deepEqual(failures, ['n1'])
})

test('a read that another owner than the first answered is probed at one that did not', async () => {
  const { nodes, cluster } = rigCluster({ probeEvery: 1 })
  nodes[0]!.reads = 'fail'
  for (let nth = 0; nth < 4; nth++) assert.equal((await reads(cluster, 'k0')).node?.id, 'n1')
  assert.deepEqual(askedOf(nodes), [4 + 2, 4, 2])
})

test('there is no probe of a key with one owner, behind a read that nobody answered, or when it is turned off', async () => {
  const alone = rigCluster({ replicas: 1, probeEvery: 1 })
  await reads(alone.cluster, 'k0')
  const down = rigCluster({ probeEvery: 1 })
  for (const node of down.nodes) node.reads = 'fail'
  await reads(down.cluster, 'k0')
  const off = rigCluster({ probeEvery: 0 })
  for (let nth = 0; nth < 100; nth++) await reads(off.cluster, 'k0')
  assert.deepEqual(
    [askedOf(alone.nodes), askedOf(down.nodes), askedOf(off.nodes)],
    [
      [1, 0, 0],
      [1, 1, 1],
      [100, 0, 0],
    ],
  )
})

test('at most 256 probes are under way', async () => {
  const { nodes, cluster } = rigCluster({ replicas: 2, probeEvery: 1 })
  nodes[1]!.reads = 'hold'
  for (let nth = 0; nth < 300; nth++) await reads(cluster, 'k0')
  assert.equal(nodes[1]!.waiting.length, 256)
  for (const { receiver } of nodes[1]!.waiting.splice(0)) receiver.answered(undefined, nodes[1]!.node)
  await reads(cluster, 'k0')
  assert.equal(nodes[1]!.waiting.length, 1)
})
