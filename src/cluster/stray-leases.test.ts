import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { HintingFleet, type HintingProcess } from '../../tests/support/hinting-fleet.ts'
import { NO_STAMP } from '../entry.ts'
import { DeadlineError } from '../errors.ts'
import type { CacheNode, Status, StatusReceiver } from '../node/node.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import type { LeaseAnswer } from './cluster.ts'
import { StrayLeases } from './stray-leases.ts'

const KEY = 'rt:t:0'

let fleet: HintingFleet
beforeEach(() => {
  fleet = new HintingFleet()
})
afterEach(() => fleet.stop())

async function lease({ cluster }: HintingProcess): Promise<LeaseAnswer> {
  const asking = cluster.lease([{ key: KEY, leaseMs: 1_100, seen: NO_STAMP }])
  await fleet.pass(300)
  return (await asking)[0]!
}

test('a lease whose answer did not come is given back, so that nobody waits until it is over', async () => {
  const [one, other] = [await fleet.process(), await fleet.process()]
  const { mishaps } = fleet.server(0).node
  mishaps.script(({ operation }) => (operation === 'lease' ? 'lose-answer' : undefined))
  const [stray] = await Promise.all([one.cluster.lease([{ key: KEY, leaseMs: 1_100, seen: NO_STAMP }]), fleet.pass(60)])
  assert.equal(stray[0]!.state === 'granted' && stray[0]!.lease.node.id, 'n1')
  mishaps.script(undefined)
  const [held] = await Promise.all([other.cluster.lease([{ key: KEY, leaseMs: 1_100, seen: NO_STAMP }]), fleet.pass(1)])
  assert.equal(held[0]!.state, 'held')
  await fleet.pass(400)
  assert.equal((await lease(other)).state, 'granted')
})

test('one that an owner cannot take back yet is given back later', async () => {
  const [one, other] = [await fleet.process(), await fleet.process()]
  const { mishaps } = fleet.server(0).node
  mishaps.script(({ operation }) =>
    operation === 'lease' ? 'lose-answer' : operation === 'apply' || operation === 'change' ? 'fail' : undefined,
  )
  await lease(one)
  await fleet.pass(200)
  mishaps.script(undefined)
  await fleet.pass(400)
  assert.equal((await lease(other)).state, 'granted')
})

test('one that its owner did not hear given back is given back later', async () => {
  const [one, other] = [await fleet.process(), await fleet.process()]
  const { mishaps } = fleet.server(0).node
  const granted = await lease(one)
  assert.equal(granted.state, 'granted')
  mishaps.script(({ operation }) => (operation === 'change' ? 'fail' : undefined))
  one.cluster.release([{ key: KEY, lease: (granted as Extract<LeaseAnswer, { state: 'granted' }>).lease }])
  await fleet.pass(60)
  mishaps.script(undefined)
  await fleet.pass(400)
  assert.equal((await lease(other)).state, 'granted')
})

test('one that is granted after it was first given back is given back once more', async () => {
  const [one, other] = [await fleet.process(), await fleet.process()]
  const { node } = fleet.server(0)
  one.hints.strays.add(KEY, { node, token: 7, untilMs: Number.POSITIVE_INFINITY })
  await one.hints.strays.giveBack()
  // It lay in a connection that the owner reads only now.
  assert.equal((await node.lease([{ key: KEY, token: 7, leaseMs: 60_000, seen: NO_STAMP }]))[0]!.state, 'granted')
  await fleet.pass(400)
  assert.equal((await lease(other)).state, 'granted')
})

for (const mishap of ['lose-answer', 'fail'] as const)
  test(`one whose giving back ends with '${mishap}' is tried again`, async () => {
    const one = await fleet.process()
    const { node } = fleet.server(0)
    let asked = 0
    one.hints.strays.add(KEY, { node, token: 7, untilMs: Number.POSITIVE_INFINITY })
    node.mishaps.script(({ operation }) => {
      if (operation !== 'change') return undefined
      asked++
      return asked <= 3 ? mishap : undefined
    })
    await fleet.pass(3_000)
    assert.equal(asked, 5)
  })

test('what was never sent is none', async () => {
  const one = await fleet.process()
  fleet.server(0).node.mishaps.script(({ operation }) => (operation === 'lease' ? 'fail' : undefined))
  assert.equal((await lease(one)).state, 'granted')
  one.hints.strays.tellQueues((_, queued) => assert.equal(queued, 0))
  fleet.server(0).node.mishaps.script(({ operation }) => (operation === 'lease' ? 'lose-answer' : undefined))
  await Promise.all([one.cluster.lease([{ key: KEY, leaseMs: 1_100, seen: NO_STAMP }]), fleet.pass(50)])
  one.hints.strays.tellQueues((_, queued) => assert.equal(queued, 1))
})

test('one that is over by itself is forgotten, and so is what there is no room for', async () => {
  const clock = new FakeClock()
  const strays = new StrayLeases(clock)
  let asked = 0
  const answer: Status = { state: 'failed', error: new DeadlineError('silent') }
  const change = (_: unknown, receiver: StatusReceiver): void => {
    asked++
    receiver.settled(answer, node)
  }
  const node = { change } as unknown as CacheNode
  const kept = () => {
    let depth = 0
    strays.tellQueues((_, queued) => (depth = queued))
    return depth
  }
  for (let token = 1; token <= 65_537; token++) strays.add(KEY, { node, token, untilMs: 1_000 })
  assert.equal(kept(), 65_536)
  // One that does not answer is asked for some of them only.
  await strays.giveBack()
  assert.deepEqual([asked, kept()], [512, 65_536])
  await clock.advance(1_000)
  await strays.giveBack()
  assert.deepEqual([asked, kept()], [512, 0])
})

test('an owner that answers slowly holds nobody up for long, and the rest is given back the next time', async () => {
  const clock = new FakeClock()
  const strays = new StrayLeases(clock)
  let asked = 0
  const change = (_: unknown, receiver: StatusReceiver): void => {
    if (asked++ % 512 === 0) clock.stall(90)
    receiver.settled({ state: 'applied' }, node)
  }
  const node = { change } as unknown as CacheNode
  for (let token = 1; token <= 2_560; token++) strays.add(KEY, { node, token, untilMs: 60_000 })
  await strays.giveBack()
  assert.equal(asked, 3 * 512)
  for (let nth = 0; nth < 3; nth++) await strays.giveBack()
  assert.equal(asked, 2 * 2_560)
  strays.tellQueues((_, queued) => assert.equal(queued, 0))
})
