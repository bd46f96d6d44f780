import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Operation } from './operations.ts'
import { Probe } from './probe.ts'

/** A probe of these operations on a clock of its own, stopped after so many pauses. */
function probeOf(pauses: number, operations: (takes: (ms: number) => Promise<void>) => Operation[]): Probe {
  let nowMs = 0
  let left = pauses
  const takes = async (ms: number) => {
    nowMs += ms
  }
  const probe = new Probe(operations(takes), {
    now: () => nowMs,
    pause: async (ms) => {
      nowMs += ms
      if (--left === 0) probe.stop()
    },
  })
  return probe
}

test('the database is what was done straight, the cache what was done through the tier, and times is how many times quicker that is', async () => {
  const order: string[] = []
  const probe = probeOf(40, (takes) => [
    {
      name: 'product read',
      pick: () => 'p',
      straight: (id) => takes(order.push(`straight ${id}`) && 8),
      cached: (id) => takes(order.push(`cached ${id}`) && 2),
    },
  ])
  await probe.run()
  assert.deepEqual(probe.results(), [{ operation: 'product read', databaseMs: 8, cacheMs: 2, times: 4, samples: 37, failed: 0 }])
  assert.deepEqual(order.slice(0, 4), ['straight p', 'cached p', 'cached p', 'straight p'])
})

test('what comes first changes for each operation, also when their number is even', async () => {
  const firsts: string[] = []
  let pair: string[] = []
  const side = (takes: (ms: number) => Promise<void>, name: string) => () => {
    pair.push(name)
    if (pair.length === 2) firsts.push(pair[0]!)
    if (pair.length === 2) pair = []
    return takes(1)
  }
  const probe = probeOf(4, (takes) =>
    (['product read', 'user profile'] as const).map((name) => ({
      name,
      pick: () => 'x',
      straight: side(takes, `${name} straight`),
      cached: side(takes, `${name} cached`),
    })),
  )
  await probe.run()
  assert.deepEqual(firsts, ['product read straight', 'user profile straight', 'product read cached', 'user profile cached'])
})

test('a pair of which one side fails is in no median, and counted', async () => {
  let turn = 0
  const probe = probeOf(30, (takes) => [
    {
      name: 'user profile',
      pick: () => 'u',
      straight: () => takes(5),
      cached: () => (++turn % 3 === 0 ? Promise.reject(new Error('no answer')) : takes(1)),
    },
  ])
  await probe.run()
  assert.deepEqual(probe.results(), [{ operation: 'user profile', databaseMs: 5, cacheMs: 1, times: 5, samples: 17, failed: 10 }])
})

test('what comes before a pair is not measured, and what there is nothing for yet is left out', async () => {
  const probe = probeOf(20, (takes) => [
    { name: 'product read', pick: () => 'p', before: () => takes(1_000), straight: () => takes(3), cached: () => takes(1) },
    { name: 'user profile', pick: () => undefined, straight: () => takes(1), cached: () => takes(1) },
  ])
  await probe.run()
  assert.deepEqual(
    probe.results().map(({ operation, times }) => [operation, times]),
    [['product read', 3]],
  )
})
