/**
 * Changes of the ring whose calls are lost, whose operator is held up or cut off, and whose nodes die: what was acknowledged stays, everybody goes
 * by one ring, and whatever was begun can be ended.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChangeProgress, TopologyError } from '../src/index.ts'
import { flakyNode, seededRandom } from '../src/testing/index.ts'
import { HeldProcess } from './support/held-process.ts'
import { type Process, RingFleet } from './support/ring-fleet.ts'

const idsOf = ({ tier }: Process): string[] => tier.topology().members.map(({ id }) => id)
const standingOf = ({ tier }: Process): string => `${tier.topology().phase} ${tier.topology().members.map(({ id }) => id)}`
const OLD = ['n1', 'n2', 'n3', 'n4']

for (const seed of [26, 28, 46]) {
  test(`an answer lost as the ring is switched costs no update that was acknowledged (seed ${seed})`, async () => {
    const fleet = await RingFleet.start({ nodes: 3, tiers: 3 })
    const [a, b] = fleet.processes as [Process, Process, Process]
    const random = seededRandom(seed)
    const keys = Array.from({ length: 40 }, (_, nth) => `k${nth}`)
    for (const key of keys) await fleet.until(b.cache.set(key, 0), 0)
    await fleet.clock.advance(seed * 13)
    let isSwitching = false
    let isLost = false
    // The operator does not reach one node, and does not hear that the other took its record.
    const meets =
      (outcome: 'lose-answer' | 'fail', of: string) => (met: { readonly operation: string; readonly keys: readonly string[] }) => {
        const isMet = isSwitching && !isLost && met.operation.startsWith(of) && met.keys[0] === 'topology'
        if (isMet && outcome === 'lose-answer') isLost = true
        return isMet ? outcome : undefined
      }
    a.way('n2').mishaps.script(meets('lose-answer', 'control.compareAndSet'))
    a.way('n3').mishaps.script(meets('fail', 'control'))
    const turnedMs: number[] = []
    for (const { tier } of fleet.processes)
      tier.on('topology:changed', ({ phase }) => void (phase === 'switched' && turnedMs.push(fleet.clock.monotonic())))
    const acknowledged = new Map<string, number>()
    const updates: Promise<void>[] = []
    const load = (): void => {
      if (!isSwitching) return
      for (const { cache } of fleet.processes) {
        const key = keys[Math.floor(random() * keys.length)]!
        const done = (): void => void acknowledged.set(key, (acknowledged.get(key) ?? 0) + 1)
        updates.push(cache.update(key, (count) => Number(count ?? 0) + 1).then(done, () => {}))
      }
    }
    const onProgress = ({ step }: ChangeProgress): void => {
      if (step === 'switching') isSwitching = true
      if (step === 'checking') isSwitching = false
    }
    await fleet.until(a.tier.changeRing({ add: [a.way('n4')] }, { onProgress }), 5, load)
    await fleet.until(Promise.all(updates))
    assert.ok(isLost && acknowledged.size > 30)
    for (const [key, count] of acknowledged)
      assert.ok(Number(await fleet.until(b.cache.get(key), 0)) >= count, `${key} lost some of ${count}`)
    assert.equal(turnedMs.length, 3)
    assert.ok(Math.max(...turnedMs) - Math.min(...turnedMs) < 1, `turned at ${turnedMs}`)
    await fleet.close()
  })
}

/** A fleet with an operator that is held up at this call while it switches. */
async function held(at: 'get' | 'compareAndSet') {
  const fleet = await RingFleet.start({ nodes: 4, tiers: 2 })
  const process = new HeldProcess()
  const operator = await fleet.join(OLD, process.through)
  for (let nth = 0; nth < 60; nth++) await fleet.until(operator.cache.set(`k${nth}`, nth), 0)
  let locks = 0
  const onProgress = ({ step }: ChangeProgress): void => {
    if (step !== 'switching' || locks > 0) return
    process.holdAt((name, record) => {
      if (name === 'compareAndSet' && record === 'topology-lock') locks++
      return locks >= 5 && name === at && record === 'topology'
    })
  }
  const changing = operator.tier.changeRing({ add: [operator.way('n5')], remove: ['n1'] }, { by: 'the slow', onProgress })
  const outcome = changing.then(
    () => 'changed',
    (thrown: unknown) => thrown,
  )
  for (let turns = 0; !process.isHeld; turns++) {
    assert.ok(turns < 1_000)
    await fleet.clock.advance(20)
  }
  await fleet.clock.advance(11_000)
  return { fleet, process, operator, outcome, b: fleet.processes[0]!, c: fleet.processes[1]! }
}

for (const at of ['get', 'compareAndSet'] as const) {
  test(`an operator held up before its ${at} changes nothing once another has rolled its change back`, async () => {
    const { fleet, process, operator, outcome, b, c } = await held(at)
    await fleet.until(b.tier.rollBackRingChange({ by: 'the quick' }))
    process.goOn()
    const thrown = await fleet.until(outcome)
    assert.ok(thrown instanceof TopologyError, String(thrown))
    assert.equal(thrown.reason, 'busy')
    const late = await fleet.join(OLD)
    await fleet.clock.advance(3_000)
    for (const each of [operator, b, c, late]) assert.equal(standingOf(each), `settled ${OLD}`)
    await fleet.until(c.tier.changeRing({ remove: ['n4'] }))
    for (const each of [operator, b, c, late]) assert.equal(standingOf(each), 'settled n1,n2,n3')
    await fleet.close()
  })

  test(`an operator held up before its ${at} does not switch a change that another has begun`, async () => {
    const { fleet, process, operator, outcome, b, c } = await held(at)
    await fleet.until(b.tier.rollBackRingChange())
    let isDead = false
    const onProgress = ({ step }: ChangeProgress): void => {
      if (step !== 'copying' || isDead) return
      isDead = true
      for (const id of [...OLD, 'n6']) c.way(id).mishaps.down('refusing')
    }
    await assert.rejects(fleet.until(c.tier.changeRing({ add: [c.way('n6')] }, { by: 'the dead', onProgress })))
    await fleet.clock.advance(11_000)
    process.goOn()
    const thrown = await fleet.until(outcome)
    assert.ok(thrown instanceof TopologyError, String(thrown))
    assert.deepEqual([thrown.reason, thrown.by], ['busy', 'the dead'])
    for (const each of [operator, b]) {
      assert.equal(each.tier.topology().phase, 'moving')
      assert.deepEqual(idsOf(each), [...OLD, 'n6'])
    }
    await fleet.close()
  })
}

test('nodes that die as they join keep nobody from going back, with or without the operator', async () => {
  for (const isOperatorDead of [false, true]) {
    const fleet = await RingFleet.start({ nodes: 3 })
    const [a, b] = fleet.processes as [Process, Process]
    const joining = ['n4', 'n5', 'n6', 'n7']
    const lost = isOperatorDead ? ['n1', 'n2', 'n3', ...joining] : joining
    const onProgress = ({ step }: ChangeProgress): void => {
      if (step !== 'copying') return
      for (const id of joining) b.way(id).mishaps.down('refusing')
      for (const id of lost) a.way(id).mishaps.down('refusing')
    }
    await fleet.until(a.cache.set('k', 1))
    await assert.rejects(fleet.until(a.tier.changeRing({ add: joining.map((id) => a.way(id)) }, { onProgress })), { reason: 'unreachable' })
    if (isOperatorDead) {
      assert.equal(b.tier.topology().phase, 'moving')
      await fleet.clock.advance(11_000)
      await fleet.until(b.tier.rollBackRingChange())
    }
    assert.equal(standingOf(b), 'settled n1,n2,n3')
    await fleet.close()
  }
})

test('a switched ring is settled without the nodes that have left', async () => {
  const fleet = await RingFleet.start({ nodes: 3 })
  const [a, b] = fleet.processes as [Process, Process]
  const leaving = ['n1', 'n2', 'n3']
  const coming = ['n4', 'n5', 'n6']
  const onProgress = ({ step }: ChangeProgress): void => {
    if (step !== 'checking') return
    for (const id of [...leaving, ...coming]) a.way(id).mishaps.down('refusing')
    for (const id of leaving) b.way(id).mishaps.down('refusing')
  }
  await assert.rejects(fleet.until(a.tier.changeRing({ add: coming.map((id) => a.way(id)), remove: leaving }, { onProgress })))
  assert.equal(b.tier.topology().phase, 'switched')
  await fleet.clock.advance(11_000)
  await fleet.until(b.tier.resumeRingChange())
  assert.equal(standingOf(b), `settled ${coming}`)
  await fleet.close()
})

for (const cutMs of [1_200, 2_500, 4_000]) {
  test(`an operator that is cut off for ${cutMs} ms while it copies ends its change, forward or back`, async () => {
    const fleet = await RingFleet.start({ nodes: 4 })
    const [a, b] = fleet.processes as [Process, Process]
    for (let nth = 0; nth < 200; nth++) await fleet.until(a.cache.set(`k${nth}`, nth), 0)
    await fleet.clock.advance(10_000)
    const all = [...OLD, 'n5', 'n6']
    let isCut = false
    const onProgress = ({ step }: ChangeProgress): void => {
      if (step !== 'copying' || isCut) return
      isCut = true
      for (const id of all) a.way(id).mishaps.down('refusing')
      fleet.clock.after(cutMs, () => {
        for (const id of all) a.way(id).mishaps.up()
      })
    }
    const outcome = await fleet.until(
      a.tier.changeRing({ add: [a.way('n5'), a.way('n6')] }, { onProgress }).then(
        () => 'changed',
        (thrown: unknown) => String(thrown),
      ),
    )
    assert.doesNotMatch(outcome, /unfinished/)
    for (const each of [a, b]) assert.equal(standingOf(each), `settled ${outcome === 'changed' ? all : OLD}`, outcome)
    await fleet.close()
  })
}

test('a node that never joined is let go of at once, and another of its id may join', async () => {
  const fleet = await RingFleet.start({ nodes: 5 })
  const [a, b] = fleet.processes as [Process, Process]
  const dead = a.way('n9')
  const calls = { made: 0 }
  dead.mishaps.script(() => {
    calls.made++
    return 'fail'
  })
  await assert.rejects(fleet.until(a.tier.changeRing({ add: [dead] })), { reason: 'unreachable' })
  const before = dead.mishaps.counts.calls
  await fleet.clock.advance(10_000)
  assert.equal(dead.mishaps.counts.calls, before)
  assert.ok(calls.made > 0)
  // One that is down for good is enough for those who catch up; two would not be.
  for (const { tier } of [a, b]) assert.equal((await tier.nodes()).length, 5)
  a.way('n5').mishaps.down('refusing')
  await fleet.clock.advance(2_000)
  a.way('n1').mishaps.down('refusing')
  await fleet.clock.advance(2_000)
  a.way('n1').mishaps.up()
  await fleet.clock.advance(20_000)
  assert.equal((await a.tier.nodes()).find(({ id }) => id === 'n1')?.state, 'up')
  a.way('n5').mishaps.up()
  await fleet.clock.advance(2_000)
  const alive = flakyNode(fleet.node('n9'))
  await fleet.until(a.tier.changeRing({ add: [alive] }))
  assert.ok(alive.mishaps.counts.calls > 0)
  assert.equal(standingOf(b), 'settled n1,n2,n3,n4,n5,n9')
  await fleet.close()
})

test('a node that two operators add is not taken from the one who has the ring', async () => {
  const fleet = await RingFleet.start({ nodes: 4 })
  const [a, b] = fleet.processes as [Process, Process]
  const first = a.tier.changeRing({ add: [a.way('n5')] }, { by: 'first' })
  const second = a.tier.changeRing({ add: [a.way('n5')] }, { by: 'second' })
  const outcomes = await fleet.until(Promise.allSettled([first, second]))
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  for (const each of [a, b]) assert.equal(standingOf(each), 'settled n1,n2,n3,n4,n5')
  await fleet.until(a.cache.set('k', 1))
  assert.equal(await fleet.until(b.cache.get('k')), 1)
  assert.ok((await a.tier.nodes()).every(({ state }) => state === 'up'))
  await fleet.close()
})

for (const at of ['cleaning', 'moving', 'copying', 'switching', 'checking', 'settling'] as const) {
  test(`a tier that is closed while ${at} leaves no timer and no lock, and its change can be ended`, async () => {
    const fleet = await RingFleet.start({ nodes: 4, tiers: 1 })
    const [a] = fleet.processes.splice(0) as [Process]
    for (let nth = 0; nth < 300; nth++) await fleet.until(a.cache.set(`k${nth}`, nth), 0)
    let closing: Promise<void> | undefined
    const onProgress = ({ step }: ChangeProgress): void => {
      if (step === at) closing ??= a.tier.close()
    }
    const changing = a.tier.changeRing({ add: [a.way('n5')] }, { onProgress, rate: 500 })
    const outcome = changing.then(
      () => 'changed',
      ({ code, reason }: TopologyError) => `${code} ${reason}`,
    )
    for (let turns = 0; closing === undefined; turns++) {
      assert.ok(turns < 1_000)
      await fleet.clock.advance(20)
    }
    const beganMs = fleet.clock.monotonic()
    await fleet.until(closing, 5)
    assert.ok(fleet.clock.monotonic() - beganMs <= 2_100)
    await fleet.clock.settle()
    assert.equal(fleet.clock.pendingTimers, 0)
    assert.equal(await outcome, 'TOPOLOGY aborted')
    await assert.rejects(a.tier.changeRing({ remove: ['n1'] }), { code: 'CLOSED' })
    const late = await fleet.join(OLD)
    const isSwitched = ['checking', 'settling'].includes(at)
    if (isSwitched) await fleet.until(late.tier.resumeRingChange())
    await fleet.clock.advance(3_000)
    assert.equal(standingOf(late), `settled ${isSwitched ? [...OLD, 'n5'] : OLD}`)
    for (let nth = 0; nth < 300; nth++) assert.equal(await fleet.until(late.cache.get(`k${nth}`), 0), nth)
    await fleet.close()
    assert.equal(fleet.clock.pendingTimers, 0)
  })
}
