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
  for (let token = 1; token <= 4_097; token++) strays.add(node, { key: KEY, token, leaseMs: 1_000, seen: NO_STAMP })
  await strays.giveBack()
  assert.equal(asked, 4_096)
  await clock.advance(1_000)
  await strays.giveBack()
  assert.equal(asked, 4_096)
})
