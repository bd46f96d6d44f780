import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oneByOne } from './one-by-one.ts'

test('a call is sent once the one before was answered, and each is counted', async () => {
  let under = 0
  let sent = 0
  const { counted, p50Ms, p99Ms } = await oneByOne(async () => {
    assert.equal(++under, 1)
    sent++
    await new Promise((resolve) => setImmediate(resolve))
    under--
  }, 10)
  assert.ok(sent > 1)
  assert.equal(counted, sent)
  assert.ok(p50Ms > 0 && p99Ms >= p50Ms, `${p50Ms}, ${p99Ms}`)
})

test('what a call rejects with ends it', async () => {
  await assert.rejects(
    oneByOne(() => Promise.reject(new Error('no answer')), 20),
    /no answer/,
  )
})
