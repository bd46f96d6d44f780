import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byTheClock, oneByOne } from './by-the-clock.ts'

test('calls come at their rate, answered or not, and count from when they came', async () => {
  let open: () => void = () => {}
  const answered = new Promise<void>((resolve) => {
    open = resolve
  })
  let sent = 0
  const measuring = byTheClock(
    () => {
      if (++sent === 100) open()
      return answered
    },
    1_000,
    100,
  )
  const { calls, p50Ms, p99Ms } = await measuring
  assert.deepEqual([calls, sent], [100, 100])
  assert.ok(p50Ms > 20 && p99Ms >= p50Ms, `${p50Ms}, ${p99Ms}`)
})

test('a pause of this process is one that callers see', async () => {
  let sent = 0
  const { p50Ms, lateMs } = await byTheClock(
    async () => {
      if (++sent !== 20) return
      const untilMs = performance.now() + 50
      while (performance.now() < untilMs);
    },
    1_000,
    80,
  )
  assert.ok(p50Ms > 20 && lateMs > 20, `${p50Ms}, ${lateMs}: most of the calls were due meanwhile`)
})

test('what a call rejects with ends the measuring', async () => {
  await assert.rejects(
    byTheClock(() => Promise.reject(new Error('no answer')), 1_000, 20),
    /no answer/,
  )
})

test('one by one, a call is sent once the one before was answered', async () => {
  let under = 0
  const { calls } = await oneByOne(async () => {
    assert.equal(++under, 1)
    await new Promise((resolve) => setImmediate(resolve))
    under--
  }, 10)
  assert.ok(calls > 1)
})
