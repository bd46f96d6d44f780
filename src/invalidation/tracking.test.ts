import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CacheNode } from '../node/node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { asNodes, memoryNodes, NodeView } from '../testing/group-fleet.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import type { Follower } from './invalidation.ts'
import { Tracking } from './tracking.ts'

class Ear implements Follower {
  readonly keys: string[] = []
  readonly losses: (string | undefined)[] = []
  changed(keys: readonly string[]): void {
    this.keys.push(...keys)
  }
  lost(_reason: string, node: CacheNode | undefined): void {
    this.losses.push(node?.id)
  }
}

async function rig() {
  const clock = new FakeClock()
  const views = (await memoryNodes(3, clock)).map((node) => new NodeView(node))
  const told: string[] = []
  const tracking = new Tracking({
    nodes: asNodes(views),
    clock,
    random: seededRandom(7),
    emit: (name) => told.push(name),
  })
  const change = async (key: string, at = 0) => {
    await views[at]!.node.apply([{ op: 'set', key, bytes: new Uint8Array(1), ttlMs: 0 }])
    await clock.settle()
  }
  return { clock, views, tracking, told, change }
}

test('a follower hears of every key with its prefix, from any node, and of no other', async () => {
  const { clock, tracking, change } = await rig()
  const [a, ab, none] = [new Ear(), new Ear(), new Ear()]
  tracking.follow('rt:a:', a)
  tracking.follow('rt:ab:', ab)
  tracking.follow('', none)
  await clock.settle()
  await change('rt:a:1', 0)
  await change('rt:a:2', 1)
  await change('rt:ab:1', 2)
  await change('x', 0)
  assert.deepEqual(a.keys, ['rt:a:1', 'rt:a:2'])
  assert.deepEqual(ab.keys, ['rt:ab:1'])
  assert.deepEqual(none.keys, ['rt:a:1', 'rt:a:2', 'rt:ab:1', 'x'])
})

test('what is followed in one turn is one watch a node', async () => {
  const { clock, tracking, views } = await rig()
  for (const prefix of ['rt:a:', 'rt:b:', 'rt:c:']) tracking.follow(prefix, new Ear())
  assert.equal(tracking.covers('rt:a:'), false)
  await clock.settle()
  for (const view of views) assert.deepEqual(view.watches, [['rt:a:', 'rt:b:', 'rt:c:']])
  assert.equal(tracking.covers('rt:a:'), true)
  assert.equal(tracking.covers('rt:d:'), false)
})

test('a prefix that comes later is covered once the wider watch is up; what was heard before goes on, after one loss', async () => {
  const { clock, tracking, views, change } = await rig()
  const [a, b] = [new Ear(), new Ear()]
  tracking.follow('rt:a:', a)
  await clock.settle()
  for (const view of views) view.watch = holding(view)
  tracking.follow('rt:b:', b)
  await clock.settle()
  assert.equal(tracking.covers('rt:b:'), false)
  assert.equal(tracking.covers('rt:a:'), true)
  await change('rt:a:1')
  assert.ok(a.keys.includes('rt:a:1'))
  assert.deepEqual(a.losses, [])
  for (const open of gates.splice(0)) open()
  await clock.settle()
  assert.equal(tracking.covers('rt:b:'), true)
  assert.deepEqual(a.losses, ['n0', 'n1', 'n2'])
  for (const view of views) assert.equal(view.watchers, 1)
  await change('rt:b:1')
  assert.deepEqual(b.keys, ['rt:b:1'])
})

const gates: (() => void)[] = []
/** A view whose next watch is up only when its gate is opened. */
function holding(view: NodeView): NodeView['watch'] {
  return async (prefixes, watcher) => {
    await new Promise<void>((resolve) => gates.push(resolve))
    return NodeView.prototype.watch.call(view, prefixes, watcher)
  }
}

test('a node that is not heard leaves its own keys uncovered, says so twice, and is covered again afterwards', async () => {
  const { clock, tracking, views } = await rig()
  const ear = new Ear()
  tracking.follow('rt:a:', ear)
  await clock.settle()
  const [n0, n1, n2] = asNodes(views)
  views[0]!.cut()
  assert.deepEqual(ear.losses, ['n0'])
  assert.equal(tracking.covers('rt:a:', [n1!, n2!]), true)
  assert.equal(tracking.covers('rt:a:', [n0!, n1!]), false)
  assert.equal(tracking.covers('rt:a:', [n0!, n1!], 1), true)
  assert.equal(tracking.covers('rt:a:'), false)
  views[0]!.mend()
  assert.deepEqual(ear.losses, ['n0', 'n0'])
  assert.equal(tracking.covers('rt:a:'), true)
})

test('a node that cannot be watched is tried again, later each time, until it can', async () => {
  const { clock, tracking, views } = await rig()
  views[0]!.up = false
  let tries = 0
  views[0]!.watch = (prefixes, watcher) => {
    tries++
    return NodeView.prototype.watch.call(views[0]!, prefixes, watcher)
  }
  tracking.follow('rt:a:', new Ear())
  await clock.advance(20_000)
  assert.ok(tries > 10 && tries < 40, `${tries} tries in 20 s`)
  assert.equal(tracking.covers('rt:a:', asNodes(views.slice(1))), true)
  views[0]!.up = true
  await clock.advance(2_000)
  assert.equal(tracking.covers('rt:a:'), true)
  assert.equal(clock.pendingTimers, 0)
})

test('a follower that throws harms no other', async () => {
  const { clock, tracking, change, told } = await rig()
  const ear = new Ear()
  tracking.follow('rt:a:', {
    changed: () => {
      throw new Error('mine')
    },
    lost: () => {
      throw new Error('mine')
    },
  })
  tracking.follow('rt:a:', ear)
  await clock.settle()
  await change('rt:a:1')
  assert.deepEqual(ear.keys, ['rt:a:1'])
  assert.deepEqual(told, ['listener:failed'])
})

test('nobody followed is nothing watched, and closing leaves neither watch nor timer', async () => {
  const { clock, tracking, views, change } = await rig()
  const ear = new Ear()
  const stop = tracking.follow('rt:a:', ear)
  await clock.settle()
  stop()
  await clock.settle()
  for (const view of views) assert.equal(view.watchers, 0)
  await change('rt:a:1')
  assert.deepEqual(ear.keys, [])
  views[1]!.up = false
  tracking.follow('rt:a:', ear)
  await clock.settle()
  assert.equal(clock.pendingTimers, 1)
  await tracking.close()
  assert.equal(clock.pendingTimers, 0)
  for (const view of views) assert.equal(view.watchers, 0)
})
