import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Arriving, openLoop, type Turning } from './open-loop.ts'

/** @param call told the number of the call; its answer is right when it is that number */
function arriving(call: (nth: number) => Promise<number | undefined>): Arriving<number | undefined> {
  return { call, isRight: (answer, nth) => answer === nth }
}

/** A turn takes 0.1 ms or what it rests, and as long as calls say that they hold the process up. */
class FakeTurning implements Turning {
  #nowMs = 7_000
  readonly now = (): number => this.#nowMs

  hold(ms: number): void {
    this.#nowMs += ms
  }

  next(turn: () => void, fromMs: number, restMs: number): void {
    setImmediate(() => {
      this.#nowMs = Math.max(this.#nowMs, fromMs + Math.max(restMs, 0.1))
      turn()
    })
  }
}

test('so many arrive a second, and those of the beginning are not counted', async () => {
  let asked = 0
  const call = async (nth: number): Promise<number> => {
    asked++
    return nth
  }
  // By the process's own clock: however long it takes, as many arrive.
  const { rate, counted, failed, overrun } = await openLoop(arriving(call), { rate: 20_000, warmUpMs: 10, ms: 30 })
  assert.deepEqual({ rate, counted, asked, failed, overrun }, { rate: 20_000, counted: 600, asked: 800, failed: 0, overrun: false })
})

test('arrivals are let in when they are due', async () => {
  const turning = new FakeTurning()
  const startMs = turning.now()
  const early: number[] = []
  const call = async (nth: number): Promise<number> => {
    if (turning.now() - startMs < nth / 10 - 1e-9) early.push(nth)
    return nth
  }
  const { counted, p99Ms, lagP99Ms } = await openLoop(arriving(call), { rate: 10_000, warmUpMs: 0, ms: 20 }, turning)
  assert.deepEqual({ counted, early }, { counted: 200, early: [] })
  assert.ok(p99Ms < 0.15 && lagP99Ms < 0.15, `${p99Ms}, ${lagP99Ms}`)
})

test('what was due while the process was held up has waited from then on, and was let in late', async () => {
  for (const restMs of [0, 1]) {
    const turning = new FakeTurning()
    const call = async (nth: number): Promise<number> => {
      if (nth === 100) turning.hold(20)
      return nth
    }
    const { p50Ms, p99Ms, lagP99Ms } = await openLoop(arriving(call), { rate: 10_000, warmUpMs: 0, ms: 100, restMs }, turning)
    // 200 of 1,000 arrivals were due in those 20 ms; all but the 10 that waited longest are within p99.
    assert.ok(p99Ms > 17 && p99Ms <= 20, `p99 is ${p99Ms} ms`)
    assert.ok(lagP99Ms > 17 && lagP99Ms <= 20, `arrivals were late by ${lagP99Ms} ms`)
    assert.ok(p50Ms <= 2, `the others waited for ${p50Ms} ms`)
  }
})

test('arrivals do not wait for answers, and their latency runs from when they were due', async () => {
  for (const restMs of [0, 1]) {
    const { promise: opened, resolve: open } = Promise.withResolvers<void>()
    const call = async (nth: number): Promise<number> => {
      if (nth === 99) open()
      await opened
      return nth
    }
    const { counted, p50Ms, failed } = await openLoop(arriving(call), { rate: 1_000, warmUpMs: 0, ms: 100, restMs }, new FakeTurning())
    assert.deepEqual({ counted, failed }, { counted: 100, failed: 0 })
    assert.ok(p50Ms > 46 && p50Ms < 54, `${p50Ms}`)
  }
})

test('what a loop rests is not waited for', async () => {
  const plan = { rate: 10_000, warmUpMs: 0, ms: 100, restMs: 5 }
  const { p99Ms } = await openLoop(
    arriving(async (nth) => nth),
    plan,
    new FakeTurning(),
  )
  assert.ok(p99Ms < 0.1, `${p99Ms}: what is due in a rest is let in with the turn after it`)
})

test('another answer, or none, has failed, and so has one that is an error', async () => {
  const wrong = arriving(async (nth) => (nth === 3 ? 99 : nth === 4 ? undefined : nth))
  assert.equal((await openLoop(wrong, { rate: 10_000, warmUpMs: 0, ms: 10 })).failed, 2)
  const failing = arriving((nth) => (nth === 5 ? Promise.reject(new Error('no answer')) : Promise.resolve(nth)))
  const { failed, failure } = await openLoop(failing, { rate: 10_000, warmUpMs: 0, ms: 10 })
  assert.deepEqual([failed, failure], [1, 'Error: no answer'])
})

test('what is never answered has failed, and is waited for no longer than 5 s', async () => {
  const turning = new FakeTurning()
  const call = (nth: number): Promise<number> => (nth === 5 ? new Promise(() => {}) : Promise.resolve(nth))
  const startMs = turning.now()
  const { failed, counted } = await openLoop(arriving(call), { rate: 1_000, warmUpMs: 0, ms: 10, restMs: 50 }, turning)
  assert.deepEqual({ failed, counted }, { failed: 1, counted: 9 })
  const tookMs = turning.now() - startMs
  assert.ok(tookMs >= 5_000 && tookMs < 5_200, `${tookMs}`)
})

test('a run in which too many wait is ended early', async () => {
  const waiting: (() => void)[] = []
  const call = (nth: number): Promise<number> =>
    new Promise((resolve) => {
      waiting.push(() => resolve(nth))
      if (waiting.length > 1_000) for (const each of waiting.splice(0)) setImmediate(each)
    })
  const { overrun } = await openLoop(arriving(call), { rate: 10_000, warmUpMs: 0, ms: 60_000 }, new FakeTurning())
  assert.equal(overrun, true)
})
