import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnacknowledgedError } from '../errors.ts'
import type { Change } from '../node/node.ts'
import { type RigOptions, rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { PutChange } from './cluster.ts'

const NOW_MS = 1_735_689_600_000

/** What is judged is the nodes' affair: here they take everything. */
function agreeingCluster(options?: RigOptions) {
  const rig = rigCluster(options)
  for (const node of rig.nodes) node.status = { state: 'applied' }
  return rig
}

const put = (key: string): PutChange => ({ op: 'put', key, bytes: riggedEntry({ ms: NOW_MS }), ttlMs: 1_000 })

test('a fill is judged by the owner that granted its lease, and what it takes goes to the others without the lease', async () => {
  const { nodes, cluster } = agreeingCluster()
  const change = put('k0')
  assert.deepEqual(await cluster.fill([{ change, lease: { token: 77, node: nodes[1]!.node, untilMs: Number.POSITIVE_INFINITY } }], 'all'), [
    { state: 'applied' },
  ])
  assert.deepEqual(nodes[1]!.applied, [{ ...change, expected: undefined, lease: 77 }])
  assert.deepEqual([nodes[0]!.applied, nodes[2]!.applied], [[change], [change]])
})

test('a fill that its owner refuses reaches no other owner', async () => {
  const { nodes, cluster } = agreeingCluster()
  nodes[0]!.status = { state: 'refused', version: 5n }
  const fill = { change: put('k0'), lease: { token: 77, node: nodes[0]!.node, untilMs: Number.POSITIVE_INFINITY } }
  assert.deepEqual(await cluster.fill([fill], 'one'), [{ state: 'refused', version: 5n }])
  assert.deepEqual([nodes[1]!.applied, nodes[2]!.applied], [[], []])
})

test('a fill or compare-and-set whose owner does not answer reaches no other, and is not acknowledged', async () => {
  for (const state of ['failed', 'unknown'] as const) {
    const { nodes, cluster, failures } = agreeingCluster()
    nodes[0]!.status = { state, error: nodes[0]!.refusal }
    const [filled] = await cluster.fill(
      [{ change: put('k0'), lease: { token: 77, node: nodes[0]!.node, untilMs: Number.POSITIVE_INFINITY } }],
      'one',
    )
    const set = await cluster.compareAndSet({ ...put('k0'), expected: 0n }, 'one')
    for (const replicated of [filled!, set]) {
      assert.ok(replicated.state === 'unacknowledged')
      assert.ok(replicated.error instanceof UnacknowledgedError)
    }
    assert.deepEqual([nodes[1]!.applied, nodes[2]!.applied], [[], []])
    assert.deepEqual(failures, ['n0', 'n0'])
  }
})

test('each fill of a batch has its own fate, in order, at one request a granting node', async () => {
  const { nodes, cluster } = agreeingCluster()
  nodes[1]!.status = { state: 'refused', version: 3n }
  const fills = ['k0', 'k1', 'k5', 'k3'].map((key) => ({
    change: put(key),
    lease: { token: 9, node: nodes[Number(key[1]) % 5]!.node, untilMs: Number.POSITIVE_INFINITY },
  }))
  const results = await cluster.fill(fills, 'one')
  assert.deepEqual(
    results.map(({ state }) => state),
    ['applied', 'refused', 'applied', 'applied'],
  )
  assert.deepEqual(
    nodes[0]!.applied.filter((change: Change) => 'lease' in change).map(({ key }) => key),
    ['k0', 'k5'],
  )
})

test('what another owner holds newer refuses a fill, but has only overtaken a compare-and-set', async () => {
  const { nodes, cluster } = agreeingCluster()
  nodes[2]!.status = { state: 'refused', version: 9n }
  const [filled] = await cluster.fill(
    [{ change: put('k0'), lease: { token: 9, node: nodes[0]!.node, untilMs: Number.POSITIVE_INFINITY } }],
    'all',
  )
  assert.deepEqual(filled, { state: 'refused', version: 9n })
  assert.deepEqual(await cluster.compareAndSet({ ...put('k0'), expected: 0n }, 'all'), { state: 'applied' })
})

test('a fill by another than the first owner waits at quorum for the first, which readers ask', async () => {
  const { nodes, cluster } = agreeingCluster()
  nodes[0]!.held = Promise.withResolvers()
  let acknowledged = false
  const filling = cluster
    .fill([{ change: put('k0'), lease: { token: 9, node: nodes[1]!.node, untilMs: Number.POSITIVE_INFINITY } }], 'quorum')
    .then((results) => {
      acknowledged = true
      return results
    })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(acknowledged, false)
  nodes[0]!.held.resolve()
  assert.deepEqual(await filling, [{ state: 'applied' }])
})

test('the owner that decides leaves the others the time of a try, and they have no more than what is left', async () => {
  const { nodes, cluster, clock } = agreeingCluster()
  nodes[0]!.held = Promise.withResolvers()
  const setting = cluster.compareAndSet({ ...put('k0'), expected: 0n }, 'all')
  await clock.advance(180)
  nodes[0]!.held.resolve()
  assert.deepEqual(await setting, { state: 'applied' })
  assert.deepEqual([nodes[0]!.timeouts, nodes[1]!.timeouts], [[200], [70]])
  const hurried = agreeingCluster()
  await hurried.cluster.compareAndSet({ ...put('k0'), expected: 0n }, 'all', { deadlineMs: 60 })
  assert.deepEqual(hurried.nodes[0]!.timeouts, [30])
  const alone = agreeingCluster({ replicas: 1 })
  await alone.cluster.compareAndSet({ ...put('k0'), expected: 0n }, 'all')
  assert.deepEqual(alone.nodes[0]!.timeouts, [250])
})
