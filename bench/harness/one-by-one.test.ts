import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oneByOne } from './one-by-one.ts'

test('a call is sent once the one before was answered, and each is counted, until the time is up', async () => {
  let nowMs = 5_000
  let under = 0
  let sent = 0
  const call = async (): Promise<void> => {
    assert.equal(++under, 1)
    // Nine are answered within 1 ms, the last within 4.
    nowMs += ++sent === 10 ? 4 : 1
    await new Promise((resolve) => setImmediate(resolve))
    under--
  }
  const { counted, p50Ms, p99Ms } = await oneByOne(call, 10, () => nowMs)
  assert.deepEqual({ counted, sent, nowMs }, { counted: 10, sent: 10, nowMs: 5_013 })
  assert.ok(Math.abs(p50Ms - 1) < 0.1 && Math.abs(p99Ms - 4) < 0.4, `${p50Ms}, ${p99Ms}`)
})

test('what a call rejects with ends it', async () => {
  await assert.rejects(
    oneByOne(() => Promise.reject(new Error('no answer')), 20),
    /no answer/,
  )
})
