import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../testing/fake-clock.ts'
import { Fitness } from './fitness.ts'

function rig({ cutOff = false, awaited = true } = {}) {
  const clock = new FakeClock()
  const now = { cutOff, awaited, asked: 0, handedOver: 0 }
  const fitness = new Fitness({ clock, isCutOff: () => now.cutOff })
  const follow = () =>
    fitness.follow({
      isAwaited: async () => {
        now.asked++
        return now.awaited
      },
      handOver: () => void now.handedOver++,
    })
  return { clock, now, fitness, follow }
}

test('a follower that looks cut off hands over within 300 ms, once', async () => {
  const { clock, now, follow } = rig()
  follow()
  await clock.advance(60_000)
  assert.deepEqual([now.asked, now.handedOver], [0, 0])
  now.cutOff = true
  await clock.advance(300)
  assert.equal(now.handedOver, 1)
  await clock.advance(60_000)
  assert.deepEqual([now.asked, now.handedOver], [1, 1])
})

test('it stays where nobody waits, and hands over as soon as somebody does', async () => {
  const { clock, now, follow } = rig({ awaited: false })
  follow()
  now.cutOff = true
  await clock.advance(60_000)
  assert.equal(now.handedOver, 0)
  now.awaited = true
  await clock.advance(100)
  assert.equal(now.handedOver, 1)
})

test('it stays where all connections were lost for a moment only', async () => {
  const { clock, now, follow } = rig()
  follow()
  for (let times = 0; times < 10; times++) {
    now.cutOff = true
    await clock.advance(200)
    now.cutOff = false
    await clock.advance(100)
  }
  assert.deepEqual([now.asked, now.handedOver], [0, 0])
})

test('it stays where its nodes answer again while the database is asked', async () => {
  const { clock, now, fitness } = rig()
  let answer = (_: boolean) => {}
  const handedOver: number[] = []
  fitness.follow({
    isAwaited: () => new Promise((resolve) => (answer = resolve)),
    handOver: () => void handedOver.push(clock.monotonic()),
  })
  now.cutOff = true
  await clock.advance(400)
  now.cutOff = false
  await clock.advance(100)
  answer(true)
  await clock.advance(100)
  assert.deepEqual(handedOver, [])
})

test('a database that cannot be asked leaves the place where it is, and is asked again', async () => {
  const { clock, now, fitness } = rig()
  let asked = 0
  fitness.follow({
    isAwaited: async () => {
      if (++asked === 1) throw new Error('the connection was closed')
      return true
    },
    handOver: () => void now.handedOver++,
  })
  now.cutOff = true
  await clock.advance(300)
  assert.deepEqual([asked, now.handedOver], [1, 0])
  await clock.advance(100)
  assert.deepEqual([asked, now.handedOver], [2, 1])
})

test('a process hands over once in ten seconds, and no stretch that has ended', async () => {
  const { clock, now, follow } = rig()
  follow()
  now.cutOff = true
  await clock.advance(300)
  assert.equal(now.handedOver, 1)
  const end = follow()
  await clock.advance(9_000)
  assert.equal(now.handedOver, 1)
  end()
  await clock.advance(9_000)
  assert.equal(now.handedOver, 1)
  follow()
  await clock.advance(100)
  assert.equal(now.handedOver, 2)
})

test('one that was cut off is fit again after a second of being well', async () => {
  const { clock, now, fitness } = rig({ cutOff: true })
  assert.equal(fitness.isFit, false)
  await clock.advance(500)
  now.cutOff = false
  await clock.advance(900)
  assert.equal(fitness.isFit, false)
  await clock.advance(200)
  assert.equal(fitness.isFit, true)
  now.cutOff = true
  await clock.advance(100)
  assert.equal(fitness.isFit, false)
})

test('one that is fit takes a free place at once, one that is not when it was free for five seconds', async () => {
  const { clock, now, fitness } = rig()
  assert.equal(fitness.mayTake(clock.monotonic()), true)
  now.cutOff = true
  await clock.advance(100)
  const freeSinceMs = clock.monotonic()
  await clock.advance(4_900)
  assert.equal(fitness.mayTake(freeSinceMs), false)
  await clock.advance(100)
  assert.equal(fitness.mayTake(freeSinceMs), true)
})

test('one that was stopped leaves no timer and hands nothing over', async () => {
  const { clock, now, fitness, follow } = rig()
  follow()
  now.cutOff = true
  await clock.advance(150)
  fitness.stop()
  await clock.advance(10_000)
  assert.deepEqual([clock.pendingTimers, now.handedOver], [0, 0])
})
