import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RoundClock } from './round-clock.ts'
import { FakeClock } from './testing/fake-clock.ts'

/** A clock that counts how often it is read, and how often it is to tell of a round's end. */
class CountedClock extends FakeClock {
  readings = 0
  rounds = 0

  override monotonic(): number {
    this.readings++
    return super.monotonic()
  }

  override soon(task: () => void): void {
    this.rounds++
    super.soon(task)
  }
}

/** Look-ups that are awaited one by one, each `workMs` after the one before. @returns how late each was told the time, ms */
async function lookUp(clock: RoundClock, base: FakeClock, count: number, workMs: number): Promise<number[]> {
  const late: number[] = []
  for (let nth = 0; nth < count; nth++) {
    late.push(FakeClock.prototype.monotonic.call(base) - clock.monotonic())
    base.stall(workMs)
    await Promise.resolve()
  }
  return late
}

test('of many look-ups in a round, sixteen share a reading, and the end of the round ends that', async () => {
  const base = new CountedClock()
  const clock = new RoundClock(base)
  for (let round = 0; round < 5; round++) {
    const late = await lookUp(clock, base, 250, 0.01)
    assert.ok(late.every((ms, nth) => Math.abs(ms - (nth % 16) * 0.01) < 1e-9))
    assert.deepEqual([base.readings, base.rounds], [16 * (round + 1), round + 1])
    base.stall(5)
    await base.settle()
  }
})

test('rounds that have few are told the time itself, but for one in ever more look-ups', async () => {
  const base = new CountedClock()
  const clock = new RoundClock(base)
  let late = 0
  for (let round = 0; round < 20_000; round++) {
    late += (await lookUp(clock, base, 2, 0.1)).filter((ms) => ms > 0).length
    await base.settle()
  }
  // Pauses of 16, 32 … 4,096 look-ups, and then of 4,096 each.
  const tries = 9 + Math.floor((40_000 - 8_192) / 4_096)
  assert.ok(Math.abs(base.rounds - tries) <= 2, `${base.rounds} ends of rounds were asked for`)
  assert.equal(late, base.rounds)
})

test('a process that has many again is noticed', async () => {
  const base = new CountedClock()
  const clock = new RoundClock(base)
  for (let round = 0; round < 100; round++) {
    await lookUp(clock, base, 1, 0)
    await base.settle()
  }
  for (let round = 0; round < 40; round++) {
    await lookUp(clock, base, 256, 0)
    await base.settle()
  }
  const before = base.readings
  await lookUp(clock, base, 256, 0)
  assert.equal(base.readings - before, 16)
})

test('with long work between look-ups the time is late for fifteen of them, and then for none in a while', async () => {
  const base = new CountedClock()
  const clock = new RoundClock(base)
  const shared = Array.from({ length: 16 }, (_, nth) => nth * 50)
  for (const pause of [16, 32, 64]) {
    const late = await lookUp(clock, base, 16 + 1 + pause, 50)
    assert.deepEqual(late.slice(0, 16), shared)
    assert.deepEqual(late.slice(16), new Array(1 + pause).fill(0))
  }
  // A round that has many, and then one that has few: the pause is the first again.
  await lookUp(clock, base, 64, 0)
  await base.settle()
  await lookUp(clock, base, 1, 0)
  await base.settle()
  const late = await lookUp(clock, base, 18, 0.01)
  assert.deepEqual(
    late.map((ms) => ms > 0),
    Array.from({ length: 18 }, (_, nth) => nth === 17),
  )
})

test("a round's end that is never told keeps no reading for longer than sixteen look-ups", async () => {
  const base = new FakeClock()
  base.soon = () => {}
  const clock = new RoundClock(base)
  for (let nth = 0; nth < 64; nth++) clock.monotonic()
  base.stall(60_000)
  const late = await lookUp(clock, base, 64, 1_000)
  assert.ok(late.slice(16).every((ms) => ms === 0 || ms <= 15_000))
  assert.ok(late.filter((ms) => ms === 0).length >= 32, String(late))
})

test('wall time is that of the clock behind it', () => {
  const base = new FakeClock()
  const clock = new RoundClock(base)
  clock.monotonic()
  base.stall(7)
  assert.equal(clock.now(), base.now())
})
