import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnavailableError } from '../errors.ts'
import type { Standing } from '../node/node.ts'
import { type RigOptions, rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { Fetched } from './cluster.ts'

/** Reads of a process that has not heard for long which nodes have missed changes. */

const older = riggedEntry({ ms: 1_735_689_600_000 })
const newer = riggedEntry({ ms: 1_735_689_600_005 })
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

/** The first owner of `k0` does not answer, and the second has missed what the third has. */
function rig(parts: RigOptions = {}) {
  const rigged = rigCluster({ isUninformed: () => true, ...parts })
  const [first, second, third] = rigged.nodes
  first!.reads = 'fail'
  second!.lay('k0', older)
  third!.lay('k0', newer)
  const read = async (): Promise<readonly Fetched[]> => {
    const { promise, resolve } = Promise.withResolvers<Fetched>()
    rigged.cluster.fetch('k0', resolve)
    return [await promise, (await rigged.cluster.fetchMany(['k0']))[0]!]
  }
  return { ...rigged, read }
}

test('no other owner stands in for the first alone: what more than half of the owners say counts', async () => {
  const { read, nodes } = rig()
  for (const { bytes, node } of await read()) assert.deepEqual([bytes, node?.id], [newer, 'n2'])
  nodes[0]!.standing = down
  for (const { bytes, node } of await read()) assert.deepEqual([bytes, node?.id], [newer, 'n2'])
})

test('where too few are left, the read says so', async () => {
  const { read, nodes } = rig()
  nodes[2]!.reads = 'fail'
  for (const { node, failure } of await read()) {
    assert.equal(node, undefined)
    assert.ok(failure instanceof UnavailableError)
  }
})

test('a first owner that answers does so alone, and so does any where the level lets it', async () => {
  const { nodes, cluster, read } = rig()
  nodes[0]!.reads = 'answer'
  nodes[0]!.lay('k0', older)
  for (const { node } of await read()) assert.equal(node?.id, 'n0')
  assert.deepEqual([nodes[1]!.asked, nodes[2]!.asked], [[], []])
  nodes[0]!.reads = 'fail'
  const near = await cluster.fetchMany(['k0'], { read: 'nearest' })
  assert.deepEqual([near[0]!.bytes, near[0]!.node?.id], [older, 'n1'])
})

test('who is held up while owners that owe answers are let be knows that too, when it asks again', async () => {
  let isUninformed = false
  const { nodes, clock, cluster } = rig({ isUninformed: () => isUninformed })
  nodes[0]!.standing = down
  for (const node of nodes) node.reads = 'owe'
  const told: Fetched[] = []
  cluster.fetch('k0', (fetched) => told.push(fetched))
  const many = cluster.fetchMany(['k0'])
  await clock.advance(10)
  isUninformed = true
  for (const node of nodes.slice(1)) node.reads = 'answer'
  await clock.advance(10)
  for (const { bytes, node } of [told[0], (await many)[0]] as Fetched[]) assert.deepEqual([bytes, node?.id], [newer, 'n2'])
})

test('while it is known who has missed changes, the next owner is enough', async () => {
  const { read } = rig({ isUninformed: () => false })
  for (const { bytes, node } of await read()) assert.deepEqual([bytes, node?.id], [older, 'n1'])
})
