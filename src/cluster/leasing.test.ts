import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_STAMP } from '../entry.ts'
import { UnavailableError } from '../errors.ts'
import type { LeaseAsk, Leased, Standing } from '../node/node.ts'
import { rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import type { LeaseRequest } from './cluster.ts'

const request = (key: string): LeaseRequest => ({ key, leaseMs: 1_000, seen: NO_STAMP })
const granted = (): Leased => ({ state: 'granted', held: NO_STAMP })

test("a lease is granted by the key's first owner, which is asked once for all its keys", async () => {
  const { nodes, cluster } = rigCluster({ random: seededRandom(7) })
  for (const node of nodes) node.leased = granted
  const answers = await cluster.lease([request('k0'), { ...request('k1'), force: true }, request('k5')])
  assert.deepEqual(
    nodes.map((node) => node.asks.map(({ key }) => key)),
    [['k0', 'k5'], ['k1'], [], [], []],
  )
  assert.deepEqual([nodes[0]!.timeouts, nodes[1]!.timeouts], [[50], [50]])
  for (const [nth, answer] of answers.entries()) {
    assert.ok(answer.state === 'granted')
    assert.equal(answer.lease.node.id, ['n0', 'n1', 'n0'][nth])
    const ask: LeaseAsk = [nodes[0]!.asks[0]!, nodes[1]!.asks[0]!, nodes[0]!.asks[1]!][nth]!
    assert.equal(answer.lease.token, ask.token)
    assert.equal(ask.force === true, nth === 1)
  }
})

test('tokens are whole numbers from 1 to 2^32 - 1, whatever is drawn', async () => {
  for (const [drawn, token] of [
    [0, 1],
    [1 - 2 ** -32, 2 ** 32 - 1],
    [0.5, 2 ** 31],
  ] as const) {
    const { nodes, cluster } = rigCluster({ random: () => drawn })
    await cluster.lease([request('k0')])
    assert.equal(nodes[0]!.asks[0]!.token, token)
  }
})

test('keys whose first owner fails are asked of the next, those only, which then judges the fill', async () => {
  const { nodes, cluster, failures } = rigCluster()
  nodes[1]!.leased = granted
  nodes[3]!.leased = granted
  const answers = await cluster.lease([request('k0'), request('k3'), request('k2')])
  assert.deepEqual(
    answers.map((answer) => answer.state === 'granted' && answer.lease.node.id),
    ['n1', 'n3', 'n3'],
  )
  assert.deepEqual(
    nodes[1]!.asks.map(({ key }) => key),
    ['k0'],
  )
  assert.deepEqual(failures, ['n0', 'n2'])
})

test("another's lease and a newer entry are told as the owner says them, and end the search", async () => {
  const { nodes, cluster } = rigCluster()
  const bytes = riggedEntry({ ms: 1_735_689_600_000 })
  nodes[0]!.leased = () => ({ state: 'held', forMs: 300 })
  nodes[1]!.leased = () => ({ state: 'changed', bytes })
  const answers = await cluster.lease([request('k0'), request('k1')])
  assert.deepEqual(answers[0], { state: 'held', forMs: 300 })
  assert.ok(answers[1]!.state === 'changed')
  assert.equal(answers[1]!.fetched.bytes, bytes)
  assert.equal(answers[1]!.fetched.node?.id, 'n1')
  assert.equal(nodes[2]!.asks.length, 0)
})

const doubted: Standing = {
  steered: true,
  avoided: true,
  down: false,
  looksDead: false,
  behind: false,
  emptiedMs: 0,
  share: 1,
  takesRead: () => true,
}
const behind: Standing = { ...doubted, behind: true }
const changed =
  (ms: number): (() => Leased) =>
  () => ({ state: 'changed', bytes: riggedEntry({ ms }) })

test('a first owner that may have missed changes is asked first all the same, for others may not know, and its word on a lease counts', async () => {
  const { nodes, cluster } = rigCluster()
  for (const node of nodes) node.leased = granted
  nodes[0]!.standing = behind
  nodes[1]!.standing = doubted
  nodes[1]!.leased = () => ({ state: 'held', forMs: 300 })
  const answers = await cluster.lease([request('k0'), request('k1')])
  assert.deepEqual(
    answers.map(({ state }) => state),
    ['granted', 'held'],
  )
  assert.deepEqual(
    nodes.map(({ asks }) => asks.length),
    [1, 1, 0, 0, 0],
  )
})

test('one that does not answer is asked last', async () => {
  const { nodes, cluster } = rigCluster()
  for (const node of nodes) node.leased = granted
  nodes[0]!.standing = { ...doubted, down: true, looksDead: true }
  const [answer] = await cluster.lease([request('k0')])
  assert.equal(answer!.state === 'granted' && answer!.lease.node.id, 'n1')
  assert.equal(nodes[0]!.asks.length, 0)
})

test('what lies on an owner that may have missed changes counts only where no other says more', async () => {
  const { nodes, cluster, failures } = rigCluster()
  nodes[0]!.standing = doubted
  nodes[0]!.leased = changed(1_735_689_600_000)
  nodes[1]!.leased = granted
  const [answer] = await cluster.lease([request('k0')])
  assert.equal(answer!.state === 'granted' && answer!.lease.node.id, 'n1')
  const { refusal } = nodes[1]!
  nodes[1]!.leased = () => ({ state: 'failed', error: refusal })
  const [alone] = await cluster.lease([request('k0')])
  assert.equal(alone!.state === 'changed' && alone!.fetched.node!.id, 'n0')
  assert.deepEqual(failures, ['n1', 'n2'])
  nodes[0]!.standing = behind
  assert.equal((await cluster.lease([request('k0')]))[0]!.state, 'failed')
})

test('where all have missed changes, the newest of what they hold counts', async () => {
  const { nodes, cluster } = rigCluster()
  for (const [nth, node] of nodes.entries()) {
    node.standing = behind
    node.leased = changed(1_735_689_600_000 + (nth === 1 ? 1 : 0))
  }
  const [answer] = await cluster.lease([request('k0')])
  assert.equal(answer!.state === 'changed' && answer!.fetched.node!.id, 'n1')
})

test('without any owner, and past the deadline, a lease has failed, and says so', async () => {
  const { nodes, cluster, clock } = rigCluster()
  const [answer] = await cluster.lease([request('k0')])
  assert.ok(answer!.state === 'failed')
  assert.ok(answer!.error instanceof UnavailableError)
  assert.equal(answer!.error.cause instanceof Error, true)
  assert.deepEqual([nodes[0]!.timeouts, nodes[1]!.timeouts, nodes[2]!.timeouts], [[50], [50], [250]])
  nodes[0]!.leased = () => {
    clock.stall(30)
    return { state: 'failed', error: nodes[0]!.refusal }
  }
  assert.equal((await cluster.lease([request('k0')], { deadlineMs: 30 }))[0]!.state, 'failed')
  assert.equal(nodes[1]!.asks.length, 1)
})

test('leases are given back to the owners that granted them, and nobody hears of a failure', () => {
  const { nodes, cluster, events, failures } = rigCluster()
  nodes[1]!.status = { state: 'failed', error: nodes[1]!.refusal }
  cluster.release([
    { key: 'k0', lease: { token: 5, node: nodes[1]!.node, untilMs: Number.POSITIVE_INFINITY } },
    { key: 'k2', lease: { token: 6, node: nodes[2]!.node, untilMs: Number.POSITIVE_INFINITY } },
  ])
  assert.deepEqual(nodes[1]!.applied, [{ op: 'release', key: 'k0', lease: 5 }])
  assert.deepEqual(nodes[2]!.applied, [{ op: 'release', key: 'k2', lease: 6 }])
  assert.deepEqual([events, failures], [[], []])
})
