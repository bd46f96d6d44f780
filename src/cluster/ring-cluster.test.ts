import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeadlineError, NodeError, UnavailableError } from '../errors.ts'
import type { Change, Status } from '../node/node.ts'
import { rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { ClusterCall, Fetched } from './cluster.ts'
import type { RingCluster } from './ring-cluster.ts'

const NOW_MS = 1_735_689_600_000

/** `fetch` as a promise. */
const reads = (cluster: RingCluster, key: string, call?: ClusterCall) =>
  new Promise<Fetched>((resolve) => cluster.fetch(key, resolve, call))
const put = (key: string): Change & { op: 'put' } => ({ op: 'put', key, bytes: riggedEntry({ ms: NOW_MS }), ttlMs: 1_000 })
const bytes = Buffer.from('value')
const unreachable: Status = { state: 'failed', error: new NodeError('refused', 'x') }

test('a read is answered by the first owner and asks no other', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[1]!.lay('k1', bytes)
  const fetched = await reads(cluster, 'k1')
  assert.equal(fetched.bytes, bytes)
  assert.equal(fetched.node?.id, 'n1')
  assert.deepEqual(
    nodes.map((node) => node.asked.length),
    [0, 1, 0, 0, 0],
  )
})

test('an owner that fails is followed by the next, and counted', async () => {
  const { nodes, cluster, failures } = rigCluster()
  nodes[1]!.reads = 'fail'
  nodes[2]!.reads = 'fail'
  nodes[3]!.lay('k1', bytes)
  const fetched = await reads(cluster, 'k1')
  assert.equal(fetched.bytes, bytes)
  assert.equal(fetched.node?.id, 'n3')
  assert.deepEqual(failures, ['n1', 'n2'])
})

test('a miss on the first owner that answers is a miss', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[2]!.lay('k1', bytes)
  const fetched = await reads(cluster, 'k1')
  assert.equal(fetched.bytes, undefined)
  assert.equal(fetched.node?.id, 'n1')
  assert.equal(fetched.failure, undefined)
})

test('when no owner answers the read says so and does not reject', async () => {
  const { nodes, cluster } = rigCluster()
  for (const node of nodes) node.reads = 'fail'
  const fetched = await reads(cluster, 'k1')
  assert.equal(fetched.node, undefined)
  assert.ok(fetched.failure instanceof UnavailableError)
})

test('a caller with 30 ms gives the first try no more, and the second what is left', async () => {
  const { nodes, cluster, clock } = rigCluster()
  nodes[1]!.reads = 'hold'
  const reading = reads(cluster, 'k1', { deadlineMs: 30 })
  assert.deepEqual(nodes[1]!.timeouts, [30])
  await clock.advance(20)
  nodes[1]!.waiting[0]!.receiver.failed(new DeadlineError('late'), nodes[1]!.node)
  await reading
  assert.deepEqual(nodes[2]!.timeouts, [10])
})

test('the last owner is given all the time that is left', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[1]!.reads = 'fail'
  nodes[2]!.reads = 'fail'
  await reads(cluster, 'k1')
  assert.deepEqual([nodes[1]!.timeouts, nodes[2]!.timeouts, nodes[3]!.timeouts], [[50], [50], [200]])
  const alone = rigCluster({ replicas: 1 })
  await reads(alone.cluster, 'k1')
  assert.deepEqual(alone.nodes[1]!.timeouts, [250])
})

test('a deadline shorter than a try bounds the first, and a first that fails at once leaves it to the next', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[1]!.reads = 'fail'
  nodes[2]!.lay('k1', bytes)
  assert.equal((await reads(cluster, 'k1', { deadlineMs: 40 })).bytes, bytes)
  assert.deepEqual([nodes[1]!.timeouts, nodes[2]!.timeouts], [[40], [40]])
})

test('past the deadline no further owner is asked', async () => {
  const { nodes, cluster, clock } = rigCluster()
  nodes[1]!.reads = 'hold'
  const reading = reads(cluster, 'k1', { deadlineMs: 30 })
  await clock.advance(30)
  nodes[1]!.waiting[0]!.receiver.failed(new DeadlineError('late'), nodes[1]!.node)
  const fetched = await reading
  assert.ok(fetched.failure instanceof DeadlineError)
  assert.equal(nodes[2]!.asked.length, 0)
})

test('a batch asks each node once, and only the failed keys are asked of their next owners', async () => {
  const { nodes, cluster } = rigCluster()
  for (const key of ['k0', 'k1', 'k2']) for (const node of nodes) node.lay(key, Buffer.from(`${key}@${node.id}`))
  nodes[1]!.reads = 'fail'
  const fetched = await cluster.fetchMany(['k0', 'k1', 'k2', 'k1'])
  assert.deepEqual(
    fetched.map((each) => String(each.bytes)),
    ['k0@n0', 'k1@n2', 'k2@n2', 'k1@n2'],
  )
  assert.deepEqual(nodes[0]!.asked, ['k0'])
  assert.deepEqual(nodes[2]!.asked, ['k2', 'k1', 'k1'])
})

test('a batch with every node down says so of each key and does not reject', async () => {
  const { nodes, cluster } = rigCluster()
  for (const node of nodes) node.reads = 'fail'
  const fetched = await cluster.fetchMany(['k0', 'k1'])
  for (const each of fetched) assert.ok(each.failure instanceof UnavailableError)
})

test('a write reaches all owners of its key and no other node', async () => {
  const { nodes, cluster } = rigCluster()
  assert.deepEqual(await cluster.replicate([put('k3')], 'all'), [{ state: 'applied' }])
  assert.deepEqual(
    nodes.map((node) => node.applied.length),
    [1, 0, 0, 1, 1],
  )
})

for (const [level, needed] of [
  ['one', 1],
  ['quorum', 2],
  ['all', 3],
] as const) {
  test(`a write at '${level}' is acknowledged by ${needed} of 3 owners, not by fewer`, async () => {
    for (let up = 0; up <= 3; up++) {
      const { nodes, cluster } = rigCluster()
      for (const node of nodes.slice(up, 3)) node.status = unreachable
      const [result] = await cluster.replicate([put('k0')], level)
      assert.equal(result!.state, up >= needed ? 'applied' : 'unacknowledged', `${up} up`)
    }
  })
}

test('a quorum is acknowledged while the third owner still keeps silent, which is told when it fails', async () => {
  const { nodes, cluster, events } = rigCluster()
  nodes[2]!.held = Promise.withResolvers()
  nodes[2]!.status = unreachable
  assert.deepEqual(await cluster.replicate([put('k0')], 'quorum'), [{ state: 'applied' }])
  assert.deepEqual(events, [])
  nodes[2]!.held.resolve()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(events, [{ name: 'write:missed', payload: { node: 'n2', changes: 1, reason: 'refused' } }])
})

test('a quorum without the first owner, which readers ask, is not acknowledged before that has answered or failed', async () => {
  for (const status of [{ state: 'applied' }, unreachable] as const) {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.held = Promise.withResolvers()
    nodes[0]!.status = status
    let acknowledged = false
    const writing = cluster.replicate([put('k0')], 'quorum').then((results) => {
      acknowledged = true
      return results
    })
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(acknowledged, false)
    nodes[0]!.held.resolve()
    assert.deepEqual(await writing, [{ state: 'applied' }])
  }
})

test('a change that an owner refuses as older is overtaken, with the newer version', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[1]!.status = { state: 'refused', version: 9n }
  assert.deepEqual(await cluster.replicate([put('k0')], 'all'), [{ state: 'refused', version: 9n }])
})

test('each change of a batch has its own fate', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[4]!.status = unreachable
  nodes[3]!.status = unreachable
  const results = await cluster.replicate([put('k0'), put('k2')], 'quorum')
  assert.deepEqual(
    results.map((result) => result.state),
    ['applied', 'unacknowledged'],
  )
})

test('compare-and-set asks the primary first, and the others only once it has agreed', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[0]!.status = { state: 'refused', version: 5n }
  assert.deepEqual(await cluster.compareAndSet({ ...put('k0'), expected: 4n }, 'quorum'), { state: 'refused', version: 5n })
  assert.equal(nodes[1]!.applied.length, 0)
  nodes[0]!.status = { state: 'applied' }
  assert.deepEqual(await cluster.compareAndSet({ ...put('k0'), expected: 4n }, 'quorum'), { state: 'applied' })
  assert.ok(!('expected' in nodes[1]!.applied[0]!))
})

test('compare-and-set without its primary is not acknowledged', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[0]!.status = unreachable
  const result = await cluster.compareAndSet({ ...put('k0'), expected: 0n }, 'one')
  assert.equal(result.state, 'unacknowledged')
  assert.equal(nodes[1]!.applied.length, 0)
})

test('with one replica, compare-and-set ends at the primary', async () => {
  const { cluster } = rigCluster({ replicas: 1 })
  assert.deepEqual(await cluster.compareAndSet({ ...put('k0'), expected: 0n }, 'all'), { state: 'applied' })
})
