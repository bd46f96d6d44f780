import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from './fake-clock.ts'
import { seededRandom } from './seeded-random.ts'

test('timers run in the order of their times, each at its own, those set on the way included', async () => {
  const clock = new FakeClock(1_000)
  const ran: [string, number][] = []
  const note = (name: string) => () => void ran.push([name, clock.now()])
  clock.after(30, note('c'))
  clock.after(10, () => {
    note('a')()
    clock.after(5, note('b'))
  })
  clock.after(10, note('a2'))
  clock.after(20, note('cancelled')).cancel()
  clock.after(31, note('later'))
  await clock.advance(30)
  assert.deepEqual(ran, [
    ['a', 1_010],
    ['a2', 1_010],
    ['b', 1_015],
    ['c', 1_030],
  ])
  assert.deepEqual([clock.monotonic(), clock.pendingTimers], [30, 1])
})

test('what a timer sets off settles before the next one runs', async () => {
  const clock = new FakeClock()
  const ran: string[] = []
  clock.after(1, async () => {
    for (let i = 0; i < 10; i++) await Promise.resolve()
    clock.soon(() => clock.soon(() => ran.push('soon')))
  })
  clock.after(2, () => ran.push('next'))
  await clock.advance(2)
  assert.deepEqual(ran, ['soon', 'next'])
})

test('a jump of the wall leaves durations alone', async () => {
  const clock = new FakeClock(1_000)
  clock.jumpWall(-500)
  assert.deepEqual([clock.now(), clock.monotonic()], [500, 0])
})

test('a stall runs nothing until time is advanced, and then what is overdue', async () => {
  const clock = new FakeClock()
  let ranAt: number | undefined
  clock.after(10, () => {
    ranAt = clock.monotonic()
  })
  clock.stall(50)
  await clock.settle()
  assert.equal(ranAt, undefined)
  await clock.advance(0)
  assert.equal(ranAt, 50)
})

test('a seed gives the same numbers again, another seed others, all in [0, 1) and evenly', () => {
  const draw = (seed: number): number[] => {
    const random = seededRandom(seed)
    return Array.from({ length: 10_000 }, random)
  }
  const drawn = draw(1)
  assert.deepEqual(draw(1), drawn)
  assert.notDeepEqual(draw(2), drawn)
  assert.ok(drawn.every((number) => number >= 0 && number < 1))
  for (let decile = 0; decile < 10; decile++) {
    const share = drawn.filter((number) => Math.floor(number * 10) === decile).length / drawn.length
    assert.ok(Math.abs(share - 0.1) < 0.02, `decile ${decile}: ${share}`)
  }
})
