import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from './testing/fake-clock.ts'
import { TurnClock } from './turn-clock.ts'

/** A clock that counts how often it is read. */
class CountedClock extends FakeClock {
  readings = 0
  offsetMs = 1_000

  override monotonic(): number {
    this.readings++
    return super.monotonic()
  }
}

test('what happens together is told one time, for one reading', async () => {
  const base = new CountedClock()
  const clock = new TurnClock(base)
  const woken: number[] = []
  const waiting = Array.from({ length: 4 }, () => Promise.resolve().then(() => woken.push(clock.monotonic())))
  assert.equal(clock.monotonic(), 0)
  base.stall(7)
  assert.equal(clock.now(), 1_000)
  await Promise.all(waiting)
  assert.deepEqual(woken, [0, 0, 0, 0])
  assert.equal(base.readings, 1)
})

test('what comes after it is told its own time', async () => {
  const base = new CountedClock()
  const clock = new TurnClock(base)
  clock.monotonic()
  base.stall(7)
  await Promise.resolve()
  assert.equal(clock.monotonic(), 7)
  assert.equal(clock.now(), 1_007)
})

test('after a reading that served one question alone, some are made for one each, and then one is shared again', async () => {
  const base = new CountedClock()
  const clock = new TurnClock(base)
  clock.monotonic()
  await Promise.resolve()
  for (let nth = 1; nth <= 15; nth++) {
    base.stall(1)
    assert.equal(clock.monotonic(), nth)
  }
  base.stall(1)
  const shared = clock.monotonic()
  base.stall(1)
  assert.deepEqual([shared, clock.monotonic(), base.readings], [16, 16, 17])
  await Promise.resolve()
  assert.equal(clock.monotonic(), 17)
})

test('a turn that goes on beyond a reading is not alone', async () => {
  const base = new CountedClock()
  const clock = new TurnClock(base)
  for (let asking = 0; asking < 17; asking++) clock.monotonic()
  await Promise.resolve()
  await Promise.resolve()
  for (let asking = 0; asking < 16; asking++) clock.monotonic()
  assert.equal(base.readings, 3)
})

test('a turn that goes on for long does not stand still', () => {
  const base = new CountedClock()
  const clock = new TurnClock(base)
  const told: number[] = []
  for (let asking = 0; asking < 64; asking++) {
    told.push(clock.monotonic())
    base.stall(1)
  }
  for (const [asking, ms] of told.entries()) assert.ok(ms <= asking && asking - ms < 16, `asked at ${asking} ms, told ${ms} ms`)
})

test('timers are those of the clock behind it', async () => {
  const base = new CountedClock()
  const clock = new TurnClock(base)
  const ran: string[] = []
  clock.soon(() => ran.push('soon'))
  clock.after(5, () => ran.push('after'))
  clock.after(5, () => ran.push('cancelled')).cancel()
  await base.advance(5)
  assert.deepEqual(ran, ['soon', 'after'])
})
