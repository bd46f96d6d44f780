import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheAside, createTier, memoryNode } from 'ringtail'

const LOOK_UPS = 256

test('hits in the process that are awaited one by one share readings of the clock', async (context) => {
  const tier = await createTier({ nodes: [memoryNode({ id: 'n1' })], replicas: 1 })
  context.after(() => tier.close())
  const cache = tier.cache<number>('product', { strategy: cacheAside(), ttl: '1h', near: { maxBytes: 100_000, ttl: '1h' } })
  await cache.set('a', 1)
  // It is kept from when changes are heard of.
  while (cache.peek('a') === undefined) {
    await cache.get('a')
    await new Promise((resolve) => setImmediate(resolve))
  }
  const now = context.mock.method(performance, 'now')
  const fewest = { readings: Number.POSITIVE_INFINITY }
  // Some rounds may be interrupted, and the first are on trial; most are not.
  for (let round = 0; round < 50; round++) {
    now.mock.resetCalls()
    for (let nth = 0; nth < LOOK_UPS; nth++) await cache.get('a')
    fewest.readings = Math.min(fewest.readings, now.mock.callCount())
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(fewest.readings <= LOOK_UPS / 8, `the clock was read ${fewest.readings} times for ${LOOK_UPS} hits`)
})
