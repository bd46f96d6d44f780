import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeadlineError, UnavailableError } from '../errors.ts'
import { type RiggedNode, rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { Fetched, ReadLevel } from './cluster.ts'
import type { RingCluster } from './ring-cluster.ts'

const NOW_MS = 1_735_689_600_000
const older = riggedEntry({ ms: NOW_MS - 2_000 })
const newer = riggedEntry({ ms: NOW_MS - 1_000 })

type Reads = (cluster: RingCluster, key: string, read: ReadLevel, deadlineMs?: number) => Promise<Fetched>

const single: Reads = (cluster, key, read, deadlineMs) => new Promise((resolve) => cluster.fetch(key, resolve, { read, deadlineMs }))
const batch: Reads = async (cluster, key, read, deadlineMs) => (await cluster.fetchMany([key], { read, deadlineMs }))[0]!

const askedOf = (nodes: readonly RiggedNode[]): number[] => nodes.map((node) => node.asked.length)

for (const [name, reads] of [
  ['a read', single],
  ['a batch', batch],
] as const) {
  test(`${name} at quorum asks two of three owners, the first in order, and answers the newer of both`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.lay('k0', older)
    nodes[1]!.lay('k0', newer)
    const fetched = await reads(cluster, 'k0', 'quorum')
    assert.equal(fetched.bytes, newer)
    assert.equal(fetched.node?.id, 'n1')
    assert.deepEqual(askedOf(nodes), [1, 1, 0, 0, 0])
  })

  test(`${name} at quorum replaces an owner that fails by the next`, async () => {
    const { nodes, cluster, failures } = rigCluster()
    nodes[1]!.reads = 'fail'
    nodes[0]!.lay('k0', older)
    nodes[2]!.lay('k0', newer)
    assert.equal((await reads(cluster, 'k0', 'quorum')).bytes, newer)
    assert.deepEqual(failures, ['n1'])
  })

  test(`${name} at quorum is not answered by fewer, and says so`, async () => {
    const { nodes, cluster } = rigCluster()
    for (const node of nodes.slice(1, 3)) node.reads = 'fail'
    nodes[0]!.lay('k0', newer)
    const fetched = await reads(cluster, 'k0', 'quorum')
    assert.ok(fetched.failure instanceof UnavailableError)
    assert.equal(fetched.bytes, undefined)
    assert.equal(fetched.node, undefined)
  })

  test(`${name} at all asks every owner, and one that answers is enough`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.reads = 'fail'
    nodes[1]!.reads = 'fail'
    nodes[2]!.lay('k0', newer)
    assert.equal((await reads(cluster, 'k0', 'all')).bytes, newer)
    assert.deepEqual(askedOf(nodes), [1, 1, 1, 0, 0])
    nodes[2]!.reads = 'fail'
    assert.ok((await reads(cluster, 'k0', 'all')).failure instanceof UnavailableError)
  })

  test(`${name} at quorum finds a key missing only where no owner asked has it`, async () => {
    const { nodes, cluster } = rigCluster()
    const fetched = await reads(cluster, 'k0', 'quorum')
    assert.equal(fetched.bytes, undefined)
    assert.equal(fetched.failure, undefined)
    assert.equal(fetched.node?.id, 'n0')
    nodes[1]!.lay('k0', older)
    assert.equal((await reads(cluster, 'k0', 'quorum')).bytes, older)
  })

  test(`${name} of a key with one owner is the same at every level`, async () => {
    const { nodes, cluster } = rigCluster({ replicas: 1 })
    nodes[0]!.lay('k0', older)
    for (const level of ['primary', 'nearest', 'quorum', 'all'] as const) assert.equal((await reads(cluster, 'k0', level)).bytes, older)
    assert.deepEqual(nodes[0]!.timeouts, [250, 250, 250, 250])
  })

  test(`${name} at quorum gives those that can be replaced a try, and the last owner all the time that is left`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[1]!.reads = 'fail'
    await reads(cluster, 'k0', 'quorum')
    assert.deepEqual([nodes[0]!.timeouts, nodes[1]!.timeouts, nodes[2]!.timeouts], [[50], [50], [250]])
    const two = rigCluster({ replicas: 2 })
    await reads(two.cluster, 'k0', 'quorum', 100)
    assert.deepEqual([two.nodes[0]!.timeouts, two.nodes[1]!.timeouts], [[100], [100]])
  })

  test(`${name} at nearest asks the first owner in this zone, then the others in order, and without one there the first`, async () => {
    const { nodes, cluster } = rigCluster({ zones: ['a', 'b', 'c', 'b'], zone: 'b' })
    for (const node of nodes) node.lay('k0', Buffer.from(node.id))
    assert.equal(String((await reads(cluster, 'k0', 'nearest')).bytes), 'n1')
    nodes[1]!.reads = 'fail'
    assert.equal(String((await reads(cluster, 'k0', 'nearest')).bytes), 'n0')
    nodes[0]!.reads = 'fail'
    assert.equal(String((await reads(cluster, 'k0', 'nearest')).bytes), 'n2')
    const elsewhere = rigCluster({ zones: ['a', 'b', 'c'], zone: 'z' })
    elsewhere.nodes[0]!.lay('k0', older)
    assert.equal((await reads(elsewhere.cluster, 'k0', 'nearest')).bytes, older)
  })
}

test("a read that names no level is at the cluster's own", async () => {
  const { nodes, cluster } = rigCluster({ read: 'quorum' })
  nodes[1]!.lay('k0', newer)
  const fetched = await new Promise<Fetched>((resolve) => cluster.fetch('k0', resolve))
  assert.equal(fetched.bytes, newer)
  nodes[0]!.entries.clear()
  assert.deepEqual((await cluster.fetchMany(['k0']))[0]!.bytes, newer)
})

test('past the deadline a quorum is not completed by a further owner', async () => {
  const { nodes, cluster, clock } = rigCluster()
  nodes[1]!.reads = 'hold'
  const reading = single(cluster, 'k0', 'quorum', 30)
  await clock.advance(30)
  nodes[1]!.waiting[0]!.receiver.failed(new DeadlineError('late'), nodes[1]!.node)
  assert.ok((await reading).failure instanceof UnavailableError)
  assert.equal(nodes[2]!.asked.length, 0)
})

test('a quorum that has failed is settled once, whoever answers later', async () => {
  const { nodes, cluster } = rigCluster()
  for (const node of nodes.slice(0, 3)) node.reads = 'hold'
  const settled: Fetched[] = []
  cluster.fetch('k0', (fetched) => settled.push(fetched), { read: 'quorum' })
  nodes[0]!.waiting[0]!.receiver.failed(nodes[0]!.refusal, nodes[0]!.node)
  nodes[1]!.waiting[0]!.receiver.failed(nodes[1]!.refusal, nodes[1]!.node)
  nodes[2]!.waiting[0]!.receiver.answered(newer, nodes[2]!.node)
  assert.equal(settled.length, 1)
  assert.ok(settled[0]!.failure instanceof UnavailableError)
})

test('a batch at quorum asks each node once a round, and only the keys of a failed one again', async () => {
  const { nodes, cluster } = rigCluster()
  for (const key of ['k0', 'k1', 'k2']) for (const node of nodes) node.lay(key, riggedEntry({ ms: NOW_MS - 1_000 + Number(node.id[1]) }))
  nodes[1]!.reads = 'fail'
  const fetched = await cluster.fetchMany(['k0', 'k1', 'k2', 'k1'], { read: 'quorum' })
  assert.deepEqual(
    fetched.map((each) => each.node?.id),
    ['n2', 'n3', 'n3', 'n3'],
  )
  assert.deepEqual(nodes[1]!.asked, ['k0', 'k1', 'k1'])
  assert.deepEqual(nodes[2]!.asked, ['k1', 'k2', 'k1', 'k0'])
  assert.deepEqual(nodes[3]!.asked, ['k2', 'k1', 'k1'])
})

for (const [name, reads] of [
  ['a read', single],
  ['a batch', batch],
] as const) {
  for (const level of ['quorum', 'all'] as const) {
    const writtenNow = riggedEntry({ ms: NOW_MS - 10 })

    test(`${name} at ${level} does not tell of a write of this moment before the first owner has it`, async () => {
      const { nodes, cluster, clock } = rigCluster()
      nodes[0]!.lay('k0', older)
      nodes[1]!.lay('k0', writtenNow)
      const told: (Uint8Array | undefined)[] = []
      void reads(cluster, 'k0', level).then(({ bytes }) => told.push(bytes))
      await clock.advance(5)
      assert.deepEqual(told, [])
      nodes[0]!.lay('k0', newer)
      await clock.advance(10)
      assert.deepEqual(told, [])
      nodes[0]!.lay('k0', writtenNow)
      await clock.advance(16)
      assert.deepEqual(told, [writtenNow])
      assert.equal(nodes[1]!.asked.length, 1)
    })

    test(`${name} at ${level} tells what overtook a write of this moment on the first owner`, async () => {
      const { nodes, cluster, clock } = rigCluster()
      const later = riggedEntry({ ms: NOW_MS + 1 })
      nodes[1]!.lay('k0', writtenNow)
      const reading = reads(cluster, 'k0', level)
      nodes[0]!.lay('k0', later)
      await clock.advance(2)
      assert.equal((await reading).bytes, later)
    })

    test(`${name} at ${level} waits for the first owner until the write is older than clocks may be apart, and not if that fails`, async () => {
      for (const failing of [false, true]) {
        const { nodes, cluster, clock } = rigCluster()
        nodes[1]!.lay('k0', writtenNow)
        let told: Fetched | undefined
        void reads(cluster, 'k0', level).then((fetched) => {
          told = fetched
        })
        await clock.advance(1)
        if (failing) nodes[0]!.reads = 'fail'
        await clock.advance(38)
        assert.equal(told, undefined)
        await clock.advance(1)
        assert.equal(told!.bytes, writtenNow)
      }
      const { nodes, cluster } = rigCluster()
      nodes[0]!.reads = 'fail'
      nodes[1]!.lay('k0', writtenNow)
      assert.equal((await reads(cluster, 'k0', level)).bytes, writtenNow)
    })

    test(`${name} at ${level} that may not wait so long fails`, async () => {
      const { nodes, cluster, clock } = rigCluster()
      nodes[1]!.lay('k0', writtenNow)
      const reading = reads(cluster, 'k0', level, 20)
      await clock.advance(20)
      const { failure, bytes } = await reading
      assert.ok(failure instanceof UnavailableError && failure.cause instanceof DeadlineError)
      assert.match(failure.message, /^the first owner did not have within 20 ms what another of the 3 owners has been given just now$/)
      assert.equal(bytes, undefined)
    })
  }
}

test('of a batch only the keys that are not settled are asked for again', async () => {
  const { nodes, cluster, clock } = rigCluster()
  nodes[0]!.lay('k0', older)
  nodes[1]!.lay('k0', riggedEntry({ ms: NOW_MS }))
  nodes[0]!.lay('k5', older)
  nodes[1]!.lay('k5', newer)
  const reading = cluster.fetchMany(['k0', 'k5'], { read: 'quorum' })
  await clock.advance(50)
  assert.deepEqual(new Set(nodes[0]!.asked.slice(2)), new Set(['k0']))
  assert.equal((await reading)[1]!.bytes, newer)
})
