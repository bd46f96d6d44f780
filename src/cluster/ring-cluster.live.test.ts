import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../clock.ts'
import { leaseOf } from '../codec/envelope.ts'
import { NO_STAMP } from '../entry.ts'
import { noEmit } from '../events.ts'
import { memoryNode } from '../node/memory-node.ts'
import type { CacheNode } from '../node/node.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { riggedEntry } from '../testing/cluster-rig.ts'
import { connected, LIVE, server, until } from '../testing/live-redis.ts'
import { assertApplied, assertBytes, got, PATIENT } from '../testing/node-subject.ts'
import type { Fetched, PutChange, ReadLevel, Replicated } from './cluster.ts'
import { RingCluster } from './ring-cluster.ts'

const KEY = 'rt:product:B0001'
const MINUTE_MS = 60_000

async function clusterOf(nodes: readonly CacheNode[]) {
  const placement = hashRing()
  await placement.prepare()
  // Tries as patient as the nodes: this is not about deadlines, and may share two cores with many others.
  const parts = { clock: systemClock, emit: noEmit, probeEvery: 0, deadlineMs: 20_000, tryTimeoutMs: 5_000 }
  const cluster = new RingCluster(placement.build(nodes, 3), parts)
  const owners = cluster.ownersOf(KEY)
  return { cluster, owners, primary: owners[0]!, heldBy: () => Promise.all(owners.map((owner) => got(owner, KEY, PATIENT))) }
}

const memoryNodes = async () => ['a', 'b', 'c'].map((id) => memoryNode({ id }))
const redisNodes = async (t: TestContext) =>
  Promise.all(['a', 'b', 'c'].map(async (id) => (await connected(t, (await server(t)).url, { id })).node))

const put = (bytes: Uint8Array): PutChange => ({ op: 'put', key: KEY, bytes, ttlMs: MINUTE_MS })
const reads = (cluster: RingCluster, read: ReadLevel) => new Promise<Fetched>((resolve) => cluster.fetch(KEY, resolve, { read }))
const puts = (cluster: RingCluster, bytes: Uint8Array) => new Promise<Replicated>((resolve) => cluster.put(put(bytes), 'all', resolve))
const leases = async (cluster: RingCluster) => (await cluster.lease([{ key: KEY, leaseMs: MINUTE_MS, seen: NO_STAMP }]))[0]!

for (const [kind, nodesOf] of [
  ['memory nodes', memoryNodes],
  ['Redis nodes', redisNodes],
] as const) {
  test(`on ${kind} one of two leases is granted, and its fill reaches all owners and ends the lease`, LIVE, async (t) => {
    const { cluster, heldBy, primary } = await clusterOf(await nodesOf(t))
    const first = await leases(cluster)
    assert.ok(first.state === 'granted')
    assert.equal(first.lease.node, primary)
    assert.equal((await leases(cluster)).state, 'held')
    const loaded = riggedEntry({ ms: systemClock.now() })
    const filled = await cluster.fill([{ change: put(loaded), lease: first.lease }], 'all')
    assert.deepEqual(filled, [{ state: 'applied' }])
    for (const held of await heldBy()) {
      assertBytes(held, loaded)
      assert.equal(leaseOf(held!).token, 0)
    }
    const again = await cluster.fill([{ change: put(riggedEntry({ ms: systemClock.now() + 1 })), lease: first.lease }], 'all')
    assert.equal(again[0]!.state, 'refused')
    for (const held of await heldBy()) assertBytes(held, loaded)
  })

  test(`on ${kind} a fill whose key was deleted during the load is refused, and reaches nobody`, LIVE, async (t) => {
    const { cluster, heldBy } = await clusterOf(await nodesOf(t))
    const leased = await leases(cluster)
    assert.ok(leased.state === 'granted')
    const tombstone = riggedEntry({ kind: 'tombstone', ms: systemClock.now(), ttlMs: 0 })
    assert.deepEqual(await puts(cluster, tombstone), { state: 'applied' })
    const filled = await cluster.fill([{ change: put(riggedEntry({ ms: systemClock.now() + 1_000 })), lease: leased.lease }], 'all')
    assert.equal(filled[0]!.state, 'refused')
    for (const held of await heldBy()) assertBytes(held, tombstone)
  })

  test(`on ${kind} a lease given back is another's to have, and one with its owner gone is the next owner's to grant`, LIVE, async (t) => {
    const { cluster, primary, owners } = await clusterOf(await nodesOf(t))
    const first = await leases(cluster)
    assert.ok(first.state === 'granted')
    cluster.release([{ key: KEY, lease: first.lease }])
    await until(async () => (await got(primary, KEY, PATIENT)) === undefined)
    assert.equal((await leases(cluster)).state, 'granted')
    await primary.close()
    const next = await leases(cluster)
    assert.ok(next.state === 'granted')
    assert.equal(next.lease.node, owners[1])
  })

  test(`on ${kind} a read at quorum mends the owner that missed a write, also of an entry from long ago`, LIVE, async (t) => {
    const { cluster, owners, heldBy } = await clusterOf(await nodesOf(t))
    const nowMs = systemClock.now()
    const older = riggedEntry({ ms: nowMs - 30 * MINUTE_MS })
    const newer = riggedEntry({ ms: nowMs - 20 * MINUTE_MS })
    for (const [nth, bytes] of [older, newer, newer].entries()) {
      assertApplied(await owners[nth]!.apply([{ ...put(bytes), issuedMs: nowMs }], PATIENT))
    }
    assertBytes((await reads(cluster, 'quorum')).bytes, newer)
    await until(() => cluster.repairs.repaired === 1)
    for (const held of await heldBy()) assertBytes(held, newer)
  })
}
