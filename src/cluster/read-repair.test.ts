import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Change } from '../node/node.ts'
import { type RiggedNode, rigCluster, riggedEntry } from '../testing/cluster-rig.ts'
import type { Fetched, ReadLevel } from './cluster.ts'
import type { RingCluster } from './ring-cluster.ts'

const NOW_MS = 1_735_689_600_000
const MINUTE_MS = 60_000
/** Long enough ago for every owner to have it. */
const PUT_MS = NOW_MS - 1_000

const reads = (cluster: RingCluster, key: string, read: ReadLevel) =>
  new Promise<Fetched>((resolve) => cluster.fetch(key, resolve, { read }))
const putsOn = (node: RiggedNode) => node.applied as (Change & { op: 'put' })[]

test('an owner that a read found to hold something older is given the newest, with the time that remains to it', async () => {
  for (const batch of [false, true]) {
    const { nodes, cluster, events } = rigCluster()
    const newest = riggedEntry({ ms: NOW_MS - 10 * MINUTE_MS, ttlMs: 15 * MINUTE_MS, graceMs: MINUTE_MS })
    nodes[0]!.lay('k0', riggedEntry({ ms: NOW_MS - 20 * MINUTE_MS }))
    nodes[1]!.lay('k0', newest)
    if (batch) await cluster.fetchMany(['k0'], { read: 'quorum' })
    else await reads(cluster, 'k0', 'quorum')
    assert.deepEqual(nodes[0]!.lookUp('k0'), newest)
    assert.equal(putsOn(nodes[0]!)[0]!.ttlMs, 6 * MINUTE_MS)
    assert.equal(putsOn(nodes[0]!)[0]!.issuedMs, NOW_MS)
    assert.equal(putsOn(nodes[1]!).length + putsOn(nodes[2]!).length, 0)
    assert.deepEqual(cluster.repairs, { repaired: 1, overtaken: 0, failed: 0, dropped: 0 })
    assert.deepEqual(events, [{ name: 'replica:repaired', payload: { node: 'n0', keys: 1 } }])
  }
})

test('the reader has its answer before anything is mended', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[0]!.lay('k0', riggedEntry({ ms: PUT_MS - 2 }))
  nodes[1]!.lay('k0', riggedEntry({ ms: PUT_MS - 1 }))
  cluster.fetch('k0', () => assert.equal(nodes[0]!.applied.length, 0), { read: 'quorum' })
  assert.equal(nodes[0]!.applied.length, 1)
})

test('an owner that holds nothing is given only what is younger than a late change may be', async () => {
  for (const [ageMs, copied] of [
    [149_999, true],
    [150_000, false],
  ] as const) {
    const { nodes, cluster } = rigCluster()
    nodes[1]!.lay('k0', riggedEntry({ ms: NOW_MS - ageMs, begun: NOW_MS }))
    await reads(cluster, 'k0', 'quorum')
    assert.equal(nodes[0]!.lookUp('k0') !== undefined, copied, `${ageMs} ms old`)
  }
})

test('what was written just now is left to its writer, and so is what its clock dates slightly ahead', async () => {
  for (const [ageMs, copied] of [
    [-49, false],
    [49, false],
    [50, true],
    [-50, true],
  ] as const) {
    const { nodes, cluster } = rigCluster({ probeEvery: 1 })
    nodes[0]!.lay('k0', riggedEntry({ ms: NOW_MS - MINUTE_MS }))
    nodes[1]!.lay('k0', riggedEntry({ ms: NOW_MS - ageMs }))
    await reads(cluster, 'k0', 'primary')
    assert.equal(putsOn(nodes[0]!).length, copied ? 1 : 0, `${ageMs} ms old`)
  }
})

test('a vacant entry is neither copied nor overwritten', async () => {
  const { nodes, cluster } = rigCluster()
  const vacant = riggedEntry({ kind: 'vacant', ms: 0, ttlMs: 0 })
  nodes[0]!.lay('k0', vacant)
  nodes[1]!.lay('k0', riggedEntry({ ms: PUT_MS - 1 }))
  await reads(cluster, 'k0', 'all')
  assert.deepEqual(nodes[0]!.lookUp('k0'), vacant)
  nodes[1]!.entries.clear()
  nodes[2]!.entries.clear()
  await reads(cluster, 'k0', 'all')
  assert.equal(nodes[1]!.lookUp('k0'), undefined)
})

test('what is dead, or is nobody’s envelope, is not copied; foreign bytes give way, but not those of another release', async () => {
  const { nodes, cluster } = rigCluster()
  nodes[1]!.lay('k0', riggedEntry({ ms: NOW_MS - 1_000, ttlMs: 1_000 }))
  nodes[1]!.lay('k5', Buffer.from('foreign'))
  nodes[0]!.lay('k10', Buffer.from('foreign'))
  nodes[1]!.lay('k10', riggedEntry({ ms: PUT_MS }))
  const ofAnotherRelease = riggedEntry({ ms: PUT_MS })
  ofAnotherRelease[1] = 2
  nodes[0]!.lay('k15', ofAnotherRelease)
  nodes[1]!.lay('k15', riggedEntry({ ms: PUT_MS }))
  await cluster.fetchMany(['k0', 'k5', 'k10', 'k15'], { read: 'quorum' })
  assert.deepEqual(
    putsOn(nodes[0]!).map(({ key }) => key),
    ['k10'],
  )
})

test('a tombstone takes an older value away, for as long as it has left or a late change may take, and a pending entry has no end', async () => {
  for (const [entry, ttlMs] of [
    [riggedEntry({ kind: 'tombstone', ms: NOW_MS - MINUTE_MS, ttlMs: 0 }), 240_000],
    [riggedEntry({ kind: 'tombstone', ms: NOW_MS - 299_000, ttlMs: 0 }), 150_000],
    [riggedEntry({ kind: 'pending', ms: NOW_MS - MINUTE_MS }), 0],
    [riggedEntry({ kind: 'negative', ms: NOW_MS - MINUTE_MS, ttlMs: MINUTE_MS + 5 }), 240_000],
    [riggedEntry({ kind: 'negative', ms: NOW_MS - 10 * MINUTE_MS, ttlMs: 10 * MINUTE_MS + 5 }), 5],
  ] as const) {
    const { nodes, cluster } = rigCluster()
    nodes[0]!.lay('k0', riggedEntry({ ms: NOW_MS - 20 * MINUTE_MS }))
    nodes[1]!.lay('k0', entry)
    await reads(cluster, 'k0', 'quorum')
    assert.equal(putsOn(nodes[0]!)[0]?.ttlMs, ttlMs)
  }
})

test('a copy is bytes of its own', async () => {
  const { nodes, cluster } = rigCluster()
  const newest = riggedEntry({ ms: PUT_MS })
  nodes[1]!.lay('k0', newest)
  await reads(cluster, 'k0', 'quorum')
  newest.fill(0)
  assert.deepEqual(nodes[0]!.lookUp('k0'), riggedEntry({ ms: PUT_MS }))
})

test('a key is mended on a node once at a time, at most 256 copies are under way, and what is above is dropped and counted', async () => {
  const { nodes, cluster } = rigCluster({ replicas: 2 })
  const network: NonNullable<RiggedNode['network']> = []
  for (let key = 0; key < 1_500; key += 5) nodes[1]!.lay(`k${key}`, riggedEntry({ ms: PUT_MS }))
  for (let key = 0; key < 1_500; key += 5) {
    for (let again = 0; again < 2; again++) {
      nodes[0]!.network = []
      const reading = reads(cluster, `k${key}`, 'quorum')
      nodes[0]!.network.shift()!.deliver()
      await reading
      network.push(...nodes[0]!.network)
    }
  }
  assert.equal(network.length, 256)
  assert.equal(cluster.repairs.dropped, 2 * (300 - 256))
  network[0]!.lose(false)
  for (const message of network.slice(1)) message.deliver()
  assert.deepEqual(cluster.repairs, { repaired: 255, overtaken: 0, failed: 1, dropped: 88 })
})

/** What an owner may hold of a key that was written within the last minute. */
const holding = fc.option(
  fc.record({
    kind: fc.constantFrom('value' as const, 'negative' as const, 'tombstone' as const, 'pending' as const),
    age: fc.integer({ min: 0, max: 60 }),
  }),
)

test('after one read of all owners, whatever they held of a young key, they hold the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.tuple(holding, holding, holding), async (holdings) => {
      const { nodes, cluster } = rigCluster()
      for (const [nth, held] of holdings.entries()) {
        // Different kinds do not share a version, as no two writes do.
        if (held !== null) nodes[nth]!.lay('k0', riggedEntry({ kind: held.kind, ms: PUT_MS - held.age * 1_000, counter: held.kind.length }))
      }
      const { bytes } = await reads(cluster, 'k0', 'all')
      for (const node of nodes.slice(0, 3)) assert.deepEqual(node.lookUp('k0'), bytes)
    }),
    { numRuns: 300 },
  )
})

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), level: fc.constantFrom('primary', 'quorum', 'all') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 100_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('deliver' as const), pick: fc.nat() }) },
)

test('an owner that took a delete never holds a deleted value again, however late messages are and readers paused', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('nothing', 'older', 'value'), { minLength: 3, maxLength: 3 }),
      fc.subarray([0, 1, 2], { minLength: 1 }),
      fc.nat({ max: 400_000 }),
      fc.array(step, { maxLength: 15 }),
      fc.array(step, { maxLength: 30 }),
      async (holdings, deleted, afterMs, before, after) => {
        const { nodes, cluster, clock } = rigCluster({ probeEvery: 1 })
        const entryOf = { older: riggedEntry({ ms: PUT_MS - 1 }), value: riggedEntry({ ms: PUT_MS }) }
        for (const [nth, held] of holdings.entries()) if (held !== 'nothing') nodes[nth]!.lay('k0', entryOf[held as 'older'], 3_600_000)
        const network: NonNullable<RiggedNode['network']> = []
        for (const node of nodes) node.network = network
        const take = async (each: (typeof after)[number]): Promise<void> => {
          if (each.do === 'read') cluster.fetch('k0', () => {}, { read: each.level as ReadLevel })
          else if (each.do === 'wait') await clock.advance(each.ms)
          else if (network.length > 0) network.splice(each.pick % network.length, 1)[0]!.deliver()
        }
        for (const each of before) await take(each)
        for (const nth of deleted) nodes[nth]!.lay('k0', riggedEntry({ kind: 'tombstone', ms: clock.now(), counter: 1, ttlMs: 0 }), 300_000)
        await clock.advance(afterMs)
        for (const each of after) {
          await take(each)
          for (const nth of deleted) assert.match(String(nodes[nth]!.lookUp('k0')?.[2]), /^(undefined|4)$/, 'nothing or a tombstone')
        }
      },
    ),
    { numRuns: 800 },
  )
})

test('a reader that was paused between two answers does not bring back what was deleted meanwhile', async () => {
  for (const level of ['quorum', 'primary'] as const) {
    const { nodes, cluster, clock } = rigCluster({ probeEvery: 1 })
    nodes[0]!.lay('k0', riggedEntry({ ms: PUT_MS - 1 }), 3_600_000)
    nodes[1]!.lay('k0', riggedEntry({ ms: PUT_MS }), 3_600_000)
    const network: NonNullable<RiggedNode['network']> = []
    for (const node of nodes) node.network = network
    cluster.fetch('k0', () => {}, { read: level })
    network.shift()!.deliver()
    nodes[0]!.lay('k0', riggedEntry({ kind: 'tombstone', ms: NOW_MS + 1_000, ttlMs: 0 }), 300_000)
    await clock.advance(310_000)
    while (network.length > 0) network.shift()!.deliver()
    assert.equal(nodes[0]!.lookUp('k0'), undefined)
    assert.equal(cluster.repairs.failed, 1)
  }
})
