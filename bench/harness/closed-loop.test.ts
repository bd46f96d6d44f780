import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Caller, closedLoop } from './closed-loop.ts'

/** One turn of the event loop, in which the timer that ends a run can fire. */
const answered = () => new Promise<void>((resolve) => setImmediate(resolve))

test('so many callers are in flight at once, and a turn counts once it was answered', async () => {
  let inFlight = 0
  let most = 0
  let taken = 0
  const caller: Caller = async (turns) => {
    while (!turns.over) {
      turns.taken++
      taken++
      most = Math.max(most, ++inFlight)
      await answered()
      inFlight--
    }
  }
  const startMs = performance.now()
  const { rate, cpuUs } = await closedLoop(caller, 7, 20)
  const seconds = (performance.now() - startMs) / 1_000
  assert.equal(most, 7)
  assert.equal(inFlight, 0)
  assert.ok(rate >= taken / seconds, `${taken} turns in less than ${seconds} s, but got: ${rate} a second`)
  assert.ok(cpuUs > 0)
})

test("one caller's failure ends the others and is thrown once they have ended", async () => {
  let ended = 0
  const caller: Caller = async (turns) => {
    if (turns.taken++ === 1) throw new Error('wrong product')
    while (!turns.over) await answered()
    ended++
  }
  await assert.rejects(closedLoop(caller, 3, 60_000), { message: 'wrong product' })
  assert.equal(ended, 2)
})
