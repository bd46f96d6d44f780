import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RingCluster } from '../cluster/ring-cluster.ts'
import { namespacedKey } from '../codec/key.ts'
import { ClosedError, OverloadError } from '../errors.ts'
import { noEmit } from '../events.ts'
import { Deliveries } from '../listener-queue.ts'
import { hashRing } from '../ring/hash-ring.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { asNodes, memoryNodes, NodeView } from '../testing/group-fleet.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { type CacheChange, ChangeFeed } from './change-feed.ts'
import { GroupRecords, recordPut } from './group-records.ts'
import { Tracking } from './tracking.ts'

/** The feed of cache `c` over three nodes, heard by tracking. @param up which of them are */
async function rig({ up = [true, true, true], cacheNodes = 3 } = {}) {
  const clock = new FakeClock()
  const views = (await memoryNodes(up.length, clock)).map((node) => new NodeView(node))
  for (const [at, isUp] of up.entries()) views[at]!.up = isUp
  const tracking = new Tracking({ nodes: asNodes(views), clock, random: seededRandom(7), emit: noEmit })
  const replicas = Math.min(3, cacheNodes)
  const cluster = new RingCluster(hashRing().build(asNodes(views.slice(0, cacheNodes)), replicas), { clock, emit: noEmit })
  const feed = new ChangeFeed({
    cache: 'c',
    keys: namespacedKey('c'),
    separator: '/',
    cluster,
    writes: 'quorum',
    invalidations: tracking,
    deliveries: new Deliveries(clock),
    clock,
    emit: noEmit,
  })
  const told: CacheChange[] = []
  const hear = (change: CacheChange): void => void told.push(change)
  /** What was told since the last look, each once. */
  const take = (): string[] => {
    const names = told.splice(0).map((change) => {
      if (change.event === 'entry:changed') return change.key
      return change.event === 'group:deleted' ? `${change.kind} ${change.name}` : change.reason
    })
    return [...new Set(names)]
  }
  const change = async (key: string, at = 0): Promise<void> => {
    await views[at]!.node.apply([{ op: 'set', key: `rt:c:${key}`, bytes: new Uint8Array(1), ttlMs: 0 }])
    await clock.settle()
  }
  const records = new GroupRecords('c')
  /** A record of the tag on these nodes. */
  const record = async (tag: string, ms: number, deleted: boolean, on = [0, 1, 2]): Promise<void> => {
    const key = records.keyOf({ kind: 'tag', name: tag })
    for (const at of on) await views[at]!.node.apply([recordPut(key, { ms, deleted }, clock.now())])
    await clock.settle()
  }
  return { clock, views, tracking, cluster, feed, hear, take, change, record }
}

test('a subscription is active once all nodes are heard, and is told of no gap before that', async () => {
  const { clock, feed, hear, take, change, tracking } = await rig()
  let active = false
  const subscribing = feed.subscribe({ keys: ['a'] }, hear).then(() => {
    active = true
  })
  assert.equal(tracking.covers('rt:c:'), false)
  await Promise.resolve()
  assert.equal(active, false)
  await subscribing
  assert.equal(tracking.covers('rt:c:'), true)
  await change('a', 0)
  await change('b', 1)
  assert.deepEqual(take(), ['a'])
  assert.equal(clock.pendingTimers, 0)
})

test('with one owner of three silent it is active after a second, without a gap; with two it tells one; and one when more are heard', async () => {
  for (const [up, atFirst] of [
    [[true, true, false], []],
    [[true, false, false], ['not all nodes that are needed are heard yet']],
  ] as const) {
    const { clock, views, feed, hear, take, change } = await rig({ up: [...up] })
    let active = false
    void feed.subscribe({ all: true }, hear).then(() => {
      active = true
    })
    await clock.advance(999)
    assert.equal(active, false)
    await clock.advance(1)
    assert.equal(active, true)
    assert.deepEqual(take(), atFirst)
    await change('unheard', 2)
    assert.deepEqual(take(), [])
    for (const view of views) view.up = true
    await clock.advance(3_000)
    assert.deepEqual(take(), ['more nodes are heard from now on'])
    await change('heard', 2)
    assert.deepEqual(take(), ['heard'])
  }
})

test('a node that is lost is told when it is lost and when it is back, but not one that the cache does not use', async () => {
  const { clock, views, feed, hear, take } = await rig({ up: [true, true, true, true], cacheNodes: 3 })
  await feed.subscribe({ keys: ['a'] }, hear)
  for (const at of [0, 3]) {
    views[at]!.cut()
    await clock.settle()
    assert.deepEqual(take(), at === 0 ? ['cut'] : [])
    views[at]!.mend()
    await clock.settle()
    assert.deepEqual(take(), at === 0 ? ['mended'] : [])
  }
})

test('what was first followed for others is told as a gap to those who were active before', async () => {
  const { clock, feed, hear, take, tracking } = await rig()
  await feed.subscribe({ keys: ['a'] }, hear)
  tracking.follow('rt:other:', { changed() {}, lost() {} })
  await clock.settle()
  const [gap, ...more] = take()
  assert.match(gap!, /more is watched now/)
  assert.deepEqual(more, [])
})

test('a record is told when it is of a delete that was not told yet, and not when it was made or mended', async () => {
  const { clock, views, feed, hear, take, record } = await rig()
  await feed.subscribe({ tags: ['t'] }, hear)
  const now = clock.now()
  await record('t', now - 2_000, false)
  assert.deepEqual(take(), [])
  await record('t', now + 1_000, true, [0, 1])
  assert.deepEqual(take(), ['tag t'])
  // An owner loses it, and is given it again by the reading of what is heard of that.
  await views[2]!.node.apply([{ op: 'set', key: 'rt:!group:c:tag:t', bytes: new Uint8Array(1), ttlMs: 0 }])
  await clock.settle()
  assert.equal((await views[2]!.node.getMany(['rt:!group:c:tag:t']))[0]!.length, 38)
  assert.deepEqual(take(), [])
  await record('t', now + 1_001, true)
  assert.deepEqual(take(), ['tag t'])
  await record('other', now + 1_002, true)
  assert.deepEqual(take(), [])
})

test('a record that too few owners can be asked about is told as deleted', async () => {
  const { clock, views, feed, hear, take, record } = await rig()
  await feed.subscribe({ tags: ['t'] }, hear)
  views[1]!.answering = false
  await record('t', clock.now() - 2_000, false)
  assert.deepEqual(take(), [])
  views[2]!.answering = false
  await record('t', clock.now() - 1_999, false)
  assert.deepEqual(take(), ['tag t'])
})

test('keys are told of every tag unless tags are named, and of their own namespaces and the whole cache', async () => {
  const { clock, feed, hear, take, record, views } = await rig()
  const records = new GroupRecords('c')
  const raise = async (group: Parameters<GroupRecords['keyOf']>[0]): Promise<void> => {
    for (const { node } of views) await node.apply([recordPut(records.keyOf(group), { ms: clock.now() + 1, deleted: true }, clock.now())])
    await clock.settle()
  }
  const stop = await feed.subscribe({ keys: ['acme/1', 'plain'] }, hear)
  await record('t', clock.now() + 1, true)
  await raise({ kind: 'ns', name: 'acme' })
  await raise({ kind: 'ns', name: 'plain' })
  await raise({ kind: 'all' })
  assert.deepEqual(take(), ['tag t', 'namespace acme', 'all undefined'])
  stop()
  await feed.subscribe({ keys: ['plain'], tags: ['u'] }, hear)
  await record('t', clock.now() + 2, true)
  await record('u', clock.now() + 2, true)
  assert.deepEqual(take(), ['tag u'])
})

test('more groups than can wait to be looked at are told as missed', async () => {
  const { clock, views, feed, hear, take, record } = await rig()
  await feed.subscribe({ all: true }, hear)
  const records = new GroupRecords('c')
  for (const view of views) view.heldReads = []
  await record('first', clock.now(), true)
  const puts = Array.from({ length: 4_500 }, (_, nth) =>
    recordPut(records.keyOf({ kind: 'tag', name: `t${nth}` }), { ms: clock.now(), deleted: true }, clock.now()),
  )
  await views[0]!.node.apply(puts)
  await clock.settle()
  assert.deepEqual(take(), ['more groups changed at once than can be looked at'])
})

test('closing refuses who waits to be active, tells nothing more and leaves no timer', async () => {
  const { clock, views, feed, hear, take, change } = await rig({ up: [true, true, false] })
  await clock.settle()
  const waiting = assert.rejects(feed.subscribe({ all: true }, hear), ClosedError)
  await clock.settle()
  const before = clock.pendingTimers
  feed.close()
  await waiting
  await change('a')
  assert.deepEqual(take(), [])
  await clock.settle()
  assert.ok(clock.pendingTimers < before)
  for (const view of views) assert.equal(view.watchers, 0)
})

test('subscriptions of a cache are bounded', async () => {
  const { clock, feed, hear, take, change } = await rig()
  const stops = await Promise.all(Array.from({ length: 10_000 }, (_, nth) => feed.subscribe({ keys: [`k${nth}`] }, hear)))
  await assert.rejects(feed.subscribe({ all: true }, hear), OverloadError)
  stops[0]!()
  await feed.subscribe({ keys: ['k1'] }, hear)
  await change('k1')
  assert.deepEqual(take(), ['k1'])
  assert.equal(clock.pendingTimers, 0)
})
