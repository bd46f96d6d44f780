import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryNode } from '../node/memory-node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { flakyNode } from '../testing/flaky-node.ts'
import { CacheRings } from './cache-rings.ts'

const RECORD = 'topology-caches'
const HOUR_MS = 3_600_000
const USUAL = { placed: false, plain: false }
const CART = { replicas: 2, nodes: ['n1', 'n2'], placed: false, plain: false }

async function rig() {
  const clock = new FakeClock()
  const nodes = ['n1', 'n2'].map((id) => flakyNode(memoryNode({ id, clock })))
  await Promise.all(nodes.map((node) => node.connect({ clock })))
  const rings = () => new CacheRings(clock, () => 0, nodes)
  return { clock, nodes, rings }
}

test('what one process says of a cache others know, and a node that lost it, or was not there, is told again', async () => {
  const { clock, nodes, rings } = await rig()
  nodes[1]!.mishaps.down('refusing')
  const service = rings()
  service.add('cart', CART)
  await clock.settle()
  nodes[1]!.mishaps.up()
  await nodes[0]!.apply([{ op: 'drop', key: `rt:!${RECORD}` }])
  await service.look(false)
  for (const { control } of nodes) assert.notEqual(await control.get(RECORD), undefined)
  const operator = rings()
  await operator.look(true)
  const { replicas, nodes: named, placed } = operator.ofOthers().get('cart')!
  assert.deepEqual([replicas, named, placed], [2, ['n1', 'n2'], false])
  assert.deepEqual([...service.ofOthers()], [])
})

test('of two sayings the later holds, also where the clock of its process is behind, and an earlier one is not said again', async () => {
  const { clock, nodes, rings } = await rig()
  const [service, operator] = [rings(), rings()]
  service.add('cart', CART)
  await clock.settle()
  const behind = new CacheRings(new FakeClock(clock.now() - 60_000), () => 0, nodes)
  await behind.look(true)
  behind.add('cart', { replicas: 1, placed: false, plain: false })
  await clock.settle()
  await service.look(false)
  await operator.look(true)
  assert.equal(operator.ofOthers().get('cart')!.replicas, 1)
})

test('caches on the ring of the tier are not spoken of, and who has no other does not look again', async () => {
  const { clock, nodes, rings } = await rig()
  const usual = rings()
  await usual.look(false)
  usual.add('item', { placed: false, plain: false })
  usual.add('constructor', { placed: false, plain: true })
  await clock.settle()
  for (const { control } of nodes) assert.equal(await control.get(RECORD), undefined)
  const before = nodes[0]!.mishaps.counts.calls
  await usual.look(false)
  assert.equal(nodes[0]!.mishaps.counts.calls, before)
})

test('who was answered by no node looks again', async () => {
  const { clock, nodes, rings } = await rig()
  rings().add('cart', CART)
  await clock.settle()
  for (const node of nodes) node.mishaps.down('refusing')
  const operator = rings()
  await operator.look(false)
  for (const node of nodes) node.mishaps.up()
  await operator.look(false)
  assert.deepEqual([...operator.ofOthers().keys()], ['cart'])
})

test('what lies there and is no record counts as none, and is written over', async () => {
  const { nodes, rings } = await rig()
  const strange = ['{', '{"cart":1}', '[["cart",null]]', '[["cart",{"replicas":-1,"placed":false,"plain":false,"sinceMs":1}]]', '[1]']
  for (const text of strange) {
    await nodes[0]!.apply([{ op: 'drop', key: `rt:!${RECORD}` }])
    await nodes[0]!.control.compareAndSet(RECORD, undefined, Buffer.from(text))
    const operator = rings()
    await operator.look(true)
    assert.deepEqual([...operator.ofOthers()], [], text)
  }
})

test('what nobody has said for a day is dropped everywhere; what a process goes on having stays, at one write in an hour', async () => {
  const { clock, nodes, rings } = await rig()
  const [gone, service, operator] = [rings(), rings(), rings()]
  gone.add('old', { ...USUAL, placed: true })
  gone.add('cart', { replicas: 3, ...USUAL })
  await clock.settle()
  await operator.look(true)
  assert.deepEqual([...operator.ofOthers().keys()], ['cart', 'old'])
  service.add('cart', CART)
  await clock.settle()
  const written = new Set<string>()
  for (let half = 0; half < 47; half++) {
    await service.look(false)
    written.add(Buffer.from((await nodes[0]!.control.get(RECORD))!).toString())
    await clock.advance(HOUR_MS / 2)
  }
  assert.ok(written.size > 20 && written.size <= 25, `${written.size}`)
  await operator.look(true)
  assert.deepEqual([...operator.ofOthers().keys()], ['cart', 'old'])
  await clock.advance(HOUR_MS / 2)
  await operator.look(true)
  assert.deepEqual(
    Array.from(operator.ofOthers(), ([cache, { replicas }]) => [cache, replicas]),
    [['cart', 2]],
  )
  for (const { control } of nodes) assert.doesNotMatch(Buffer.from((await control.get(RECORD))!).toString(), /old/)
})

test('what has ended hides nothing that is earlier and lasts', async () => {
  const { clock, nodes, rings } = await rig()
  const service = rings()
  service.add('cart', CART)
  await clock.advance(1)
  rings().add('cart', { ...USUAL, placed: true })
  await clock.settle()
  await service.look(false)
  assert.match(Buffer.from((await nodes[0]!.control.get(RECORD))!).toString(), /"placed":true/)
  await clock.advance(24 * HOUR_MS)
  await service.look(false)
  const operator = rings()
  await operator.look(true)
  assert.equal(operator.ofOthers().get('cart')?.replicas, 2)
})

test('who has the cache by the ring of the tier contradicts what was said before he made it, though he reads it later', async () => {
  const { clock, nodes, rings } = await rig()
  rings().add('cart', { ...USUAL, placed: true })
  await clock.advance(1)
  for (const node of nodes) node.mishaps.down('refusing')
  const [later, operator] = [rings(), rings()]
  await later.look(false)
  later.add('cart', USUAL)
  await clock.settle()
  for (const node of nodes) node.mishaps.up()
  await later.look(false)
  await operator.look(true)
  assert.equal(operator.ofOthers().get('cart')!.placed, false)
  await clock.advance(1)
  rings().add('cart', CART)
  await clock.settle()
  await later.look(false)
  await operator.look(true)
  assert.equal(operator.ofOthers().get('cart')!.replicas, 2)
})
