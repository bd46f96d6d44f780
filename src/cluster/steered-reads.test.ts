import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DeadlineError, UnavailableError } from '../errors.ts'
import type { Standing } from '../node/node.ts'
import { type RiggedNode, rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { ClusterCall, Fetched } from './cluster.ts'
import type { RingCluster } from './ring-cluster.ts'

const NOW_MS = 1_735_689_600_000
const older = riggedEntry({ ms: NOW_MS - 2_000 })
const newer = riggedEntry({ ms: NOW_MS - 1_000 })
const young = riggedEntry({ ms: NOW_MS - 10 })

const single = (cluster: RingCluster, key: string, call?: ClusterCall) =>
  new Promise<Fetched>((resolve) => cluster.fetch(key, resolve, call))
const batch = async (cluster: RingCluster, key: string, call?: ClusterCall) => (await cluster.fetchMany([key], call))[0]!
const askedOf = (nodes: readonly RiggedNode[]): number[] => nodes.slice(0, 3).map((node) => node.asked.length)
const avoided: Standing = {
  steered: true,
  avoided: true,
  down: true,
  looksDead: true,
  behind: false,
  emptiedMs: 0,
  share: 1,
  takesRead: () => true,
}
const behind: Standing = { ...avoided, behind: true }
/** So slow that it is asked for none of its reads. */
const relieved: Standing = {
  steered: true,
  avoided: false,
  down: false,
  looksDead: false,
  behind: false,
  emptiedMs: 0,
  share: 0.05,
  takesRead: () => false,
}

for (const [name, reads] of [
  ['a read', single],
  ['a batch', batch],
] as const) {
  test(`${name} asks an owner that looks dead after all others, and all the same where all do`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.standing = avoided
    nodes[1]!.lay('k0', newer)
    assert.equal((await reads(cluster, 'k0')).bytes, newer)
    assert.deepEqual(askedOf(nodes), [0, 1, 0])
    nodes[1]!.reads = 'fail'
    nodes[2]!.reads = 'fail'
    nodes[0]!.lay('k0', older)
    assert.equal((await reads(cluster, 'k0')).bytes, older)
    for (const node of nodes) {
      node.standing = avoided
      node.reads = 'answer'
    }
    const before = askedOf(nodes)
    assert.equal((await reads(cluster, 'k0')).node?.id, 'n0')
    assert.deepEqual(askedOf(nodes), [before[0]! + 1, before[1], before[2]])
  })

  test(`${name} does not ask an owner that is behind, whatever the others do`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.standing = behind
    nodes[0]!.lay('k0', older)
    nodes[1]!.standing = avoided
    nodes[1]!.reads = 'fail'
    nodes[2]!.reads = 'fail'
    const failed = await reads(cluster, 'k0')
    assert.deepEqual([failed.node, askedOf(nodes)], [undefined, [0, 1, 1]])
    assert.ok(failed.failure !== undefined)
  })

  test(`${name} asks all owners where all are behind, and takes the newest`, async () => {
    const { nodes, cluster } = rigCluster()
    for (const node of nodes) node.standing = behind
    nodes[0]!.lay('k0', older)
    nodes[2]!.lay('k0', newer)
    nodes[1]!.reads = 'fail'
    assert.equal((await reads(cluster, 'k0')).bytes, newer)
  })

  test(`${name} whose first owner fails passes over a second one that looks dead`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.reads = 'fail'
    nodes[1]!.standing = avoided
    assert.equal((await reads(cluster, 'k0')).node?.id, 'n2')
    assert.deepEqual(askedOf(nodes), [1, 0, 1])
  })

  test(`${name} at quorum asks owners that look alive`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.standing = avoided
    nodes[2]!.lay('k0', newer)
    assert.equal((await reads(cluster, 'k0', { read: 'quorum' })).bytes, newer)
    assert.deepEqual(askedOf(nodes), [0, 1, 1])
  })

  test(`${name} that a slow first owner is relieved of is answered by the newest of a quorum of the others`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.standing = relieved
    nodes[1]!.lay('k0', older)
    nodes[2]!.lay('k0', newer)
    const fetched = await reads(cluster, 'k0')
    assert.deepEqual([fetched.bytes, fetched.node?.id], [newer, 'n2'])
    assert.deepEqual(askedOf(nodes), [0, 1, 1])
  })

  for (const [what, held] of [
    ['a write that may still be on its way to the first owner', [young, young]],
    ['nothing', [undefined, undefined]],
    ['different values without versions', [Buffer.from('a'), Buffer.from('b')]],
  ] as const) {
    test(`${name} is not answered by others that hold ${what}: the first owner is asked`, async () => {
      const { nodes, cluster } = rigCluster()
      nodes[0]!.standing = relieved
      nodes[0]!.lay('k0', older)
      for (const [at, bytes] of held.entries()) if (bytes !== undefined) nodes[at + 1]!.lay('k0', bytes)
      const fetched = await reads(cluster, 'k0')
      assert.deepEqual([fetched.bytes, fetched.node?.id], [older, 'n0'])
    })
  }

  test(`${name} of a slow owner is answered by it where an other one that is needed fails`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.standing = relieved
    nodes[0]!.lay('k0', newer)
    nodes[1]!.lay('k0', older)
    nodes[2]!.reads = 'fail'
    assert.equal((await reads(cluster, 'k0')).bytes, newer)
  })

  test(`${name} at nearest that a slow owner is relieved of is answered by one other`, async () => {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.standing = relieved
    nodes[1]!.lay('k0', older)
    assert.equal((await reads(cluster, 'k0', { read: 'nearest' })).bytes, older)
    assert.deepEqual(askedOf(nodes), [0, 1, 0])
  })
}

/** A cluster that has made enough reads for a hedge, and whose next read of k0 is kept waiting by its first owner. */
async function lateRead(call?: ClusterCall) {
  const rig = rigCluster()
  for (let nth = 0; nth < 100; nth++) await single(rig.cluster, 'k3')
  rig.nodes[0]!.reads = 'hold'
  let settled = 0
  const reading = new Promise<Fetched>((resolve) => {
    rig.cluster.fetch(
      'k0',
      (fetched) => {
        settled++
        resolve(fetched)
      },
      call,
    )
  })
  const [held] = rig.nodes[0]!.waiting
  const answer = (bytes: Uint8Array | undefined): void => held!.receiver.answered(bytes, rig.nodes[0]!.node)
  return { ...rig, reading, late: () => held!.receiver.late!(), answer, held: held!, times: () => settled }
}

test('a read that is late is asked of the others, the first answer counts, and the other one is ignored', async () => {
  const { nodes, late, reading, answer, times } = await lateRead()
  nodes[1]!.lay('k0', newer)
  nodes[2]!.lay('k0', older)
  late()
  const fetched = await reading
  assert.deepEqual([fetched.bytes, fetched.node?.id], [newer, 'n1'])
  answer(older)
  assert.equal(times(), 1)
  assert.equal(fetched.bytes, newer)
})

test('a late read that the first owner answers before the others is its', async () => {
  const { nodes, late, reading, answer, times } = await lateRead()
  nodes[1]!.lay('k0', newer)
  nodes[2]!.reads = 'hold'
  late()
  answer(older)
  assert.equal((await reading).bytes, older)
  nodes[2]!.waiting[0]!.receiver.answered(newer, nodes[2]!.node)
  assert.equal(times(), 1)
})

test('a late read whose first owner fails meanwhile goes on to the next, and ends once', async () => {
  const { nodes, late, reading, held, times } = await lateRead()
  nodes[1]!.reads = 'hold'
  nodes[2]!.lay('k0', newer)
  late()
  held.receiver.failed(new DeadlineError('late'), nodes[0]!.node)
  for (const { receiver } of nodes[1]!.waiting) receiver.answered(newer, nodes[1]!.node)
  assert.equal((await reading).bytes, newer)
  assert.equal(times(), 1)
})

test('a late read at nearest is asked of one other owner', async () => {
  const { nodes, late, reading } = await lateRead({ read: 'nearest' })
  nodes[1]!.lay('k0', older)
  late()
  assert.equal((await reading).bytes, older)
  assert.equal(nodes[2]!.asked.length, 0)
})

test('what others hold and a late first owner does not is mended behind the reader', async () => {
  const { nodes, late, reading, clock } = await lateRead()
  nodes[1]!.lay('k0', older)
  nodes[2]!.lay('k0', newer)
  late()
  await reading
  await clock.settle()
  assert.deepEqual(nodes[1]!.lookUp('k0'), newer)
})

test('a batch that is late at one node is answered by others', async () => {
  const { nodes, cluster } = rigCluster()
  for (let nth = 0; nth < 100; nth++) await single(cluster, 'k3')
  nodes[0]!.network = []
  for (const node of nodes.slice(1, 3)) node.lay('k0', newer)
  nodes[1]!.lay('k1', older)
  const reading = cluster.fetchMany(['k0', 'k1'])
  nodes[0]!.late[0]!()
  assert.deepEqual(
    (await reading).map(({ bytes, node }) => [bytes, node?.id]),
    [
      [newer, 'n1'],
      [older, 'n1'],
    ],
  )
  nodes[0]!.network![0]!.deliver()
})

test('hedges never come to more than 5 % of the reads, however many are late', async () => {
  const law = fc.asyncProperty(fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.boolean()), { maxLength: 40 }), async (phases) => {
    const { nodes, cluster } = rigCluster()
    let reads = 0
    for (const [count, isLate] of phases) {
      nodes[0]!.reads = isLate ? 'hold' : 'answer'
      for (let nth = 0; nth < count; nth++) {
        reads++
        cluster.fetch('k0', () => {})
        for (const { receiver } of nodes[0]!.waiting.splice(0)) {
          receiver.late!()
          receiver.answered(undefined, nodes[0]!.node)
        }
        const extra = nodes[1]!.asked.length + nodes[2]!.asked.length
        assert.ok(extra <= reads * 0.05, `${extra} extra requests for ${reads} reads`)
      }
    }
  })
  await fc.assert(law, { numRuns: 100 })
})

test('tries that failed after they were sent are made again for a tenth of the reads, beyond a reserve; those never sent always', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[0]!.reads = 'hold'
  let failed = 0
  const read = (error: DeadlineError | undefined): void => {
    cluster.fetch('k0', ({ failure }) => {
      if (failure instanceof UnavailableError) failed++
    })
    for (const { receiver } of nodes[0]!.waiting.splice(0)) receiver.failed(error ?? nodes[0]!.refusal, nodes[0]!.node)
  }
  for (let nth = 0; nth < 1_000; nth++) read(undefined)
  assert.equal(failed, 0)
  for (let nth = 0; nth < 1_000; nth++) read(new DeadlineError('late'))
  const tried = 1_000 - failed
  assert.ok(tried >= 300 && tried <= 256 + 100 + 1, `${tried} tried again`)
})

test('a hot key read at nearest goes to its owners in turn; others, and at primary all, to the first', async () => {
  const { nodes, cluster } = rigCluster({ probeEvery: 16 })
  const ask = async (read: 'nearest' | 'primary', key: string, count: number) => {
    for (const node of nodes) node.asked.length = 0
    for (let nth = 0; nth < count; nth++) await single(cluster, key, { read })
    return askedOf(nodes)
  }
  await ask('primary', 'k0', 320)
  assert.deepEqual(
    cluster.hotKeys.map(({ key }) => key),
    ['k0'],
  )
  const atNearest = await ask('nearest', 'k0', 300)
  assert.ok(
    atNearest.every((count) => count >= 100 && count <= 120),
    `${atNearest}`,
  )
  assert.equal((await ask('primary', 'k0', 160))[0], 160)
  nodes[1]!.standing = avoided
  nodes[2]!.load = 100
  assert.ok((await ask('nearest', 'k0', 160))[0]! >= 160, 'past one that looks dead, and one with more than its part to do')
})
