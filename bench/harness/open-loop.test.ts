import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Arriving, openLoop } from './open-loop.ts'

/** @param call told the number of the call; its answer is right when it is that number */
function arriving(call: (nth: number) => Promise<number | undefined>): Arriving<number | undefined> {
  return { call, isRight: (answer, nth) => answer === nth }
}

test('so many arrive a second, and those of the beginning are not counted', async () => {
  let asked = 0
  const call = async (nth: number): Promise<number> => {
    asked++
    return nth
  }
  const { rate, counted, failed, overrun } = await openLoop(arriving(call), { rate: 20_000, warmUpMs: 10, ms: 30 })
  assert.deepEqual({ rate, counted, asked, failed, overrun }, { rate: 20_000, counted: 600, asked: 800, failed: 0, overrun: false })
})

test('what was due while the process was held up has waited from then on, and was let in late', async () => {
  const call = async (nth: number): Promise<number> => {
    if (nth === 100) for (const untilMs = performance.now() + 20; performance.now() < untilMs; ) {}
    return nth
  }
  for (const restMs of [0, 1]) {
    const { p99Ms, lagP99Ms } = await openLoop(arriving(call), { rate: 10_000, warmUpMs: 0, ms: 100, restMs })
    // 200 of 1,000 arrivals were due in those 20 ms.
    assert.ok(p99Ms >= 15, `p99 is ${p99Ms} ms`)
    assert.ok(lagP99Ms >= 15, `arrivals were late by ${lagP99Ms} ms`)
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
    const { counted, p50Ms, failed } = await openLoop(arriving(call), { rate: 1_000, warmUpMs: 0, ms: 100, restMs })
    assert.deepEqual({ counted, failed }, { counted: 100, failed: 0 })
    assert.ok(p50Ms > 20, `${p50Ms}`)
  }
})

test('what a loop rests is not waited for', async () => {
  const { p50Ms } = await openLoop(
    arriving(async (nth) => nth),
    { rate: 10_000, warmUpMs: 0, ms: 100, restMs: 5 },
  )
  assert.ok(p50Ms < 2.5, `${p50Ms}: half of the arrivals were due in the middle of a rest, or before`)
})

test('another answer, or none, has failed, and so has one that is an error', async () => {
  const wrong = arriving(async (nth) => (nth === 3 ? 99 : nth === 4 ? undefined : nth))
  assert.equal((await openLoop(wrong, { rate: 10_000, warmUpMs: 0, ms: 10 })).failed, 2)
  const failing = arriving((nth) => (nth === 5 ? Promise.reject(new Error('no answer')) : Promise.resolve(nth)))
  const { failed, failure } = await openLoop(failing, { rate: 10_000, warmUpMs: 0, ms: 10 })
  assert.deepEqual([failed, failure], [1, 'Error: no answer'])
})

test('a run in which too many wait is ended early', async () => {
  const waiting: (() => void)[] = []
  const call = (nth: number): Promise<number> =>
    new Promise((resolve) => {
      waiting.push(() => resolve(nth))
      if (waiting.length > 1_000) for (const each of waiting.splice(0)) setImmediate(each)
    })
  const { overrun } = await openLoop(arriving(call), { rate: 10_000, warmUpMs: 0, ms: 60_000 })
  assert.equal(overrun, true)
})
