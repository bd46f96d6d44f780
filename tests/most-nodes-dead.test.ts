import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTier } from '../src/create-tier.ts'
import { memoryNode } from '../src/node/memory-node.ts'
import type { CacheNode } from '../src/node/node.ts'
import { hashRing } from '../src/ring/hash-ring.ts'
import { cacheAside } from '../src/strategy/cache-aside.ts'
import { FakeClock } from '../src/testing/fake-clock.ts'
import { flakyNode } from '../src/testing/flaky-node.ts'

const IDS = ['n0', 'n1', 'n2', 'n3', 'n4']

test('with three of five nodes dead, and no store, every key that has an owner left is answered', async (t) => {
  const clock = new FakeClock()
  const nodes = IDS.map((id) => flakyNode(memoryNode({ id, clock }), { clock }))
  const within = async <T>(promise: Promise<T>): Promise<T | 'failed' | 'late'> => {
    let outcome: T | 'failed' | 'late' = 'late'
    promise.then(
      (value) => {
        outcome = value
      },
      () => {
        outcome = 'failed'
      },
    )
    for (let ms = 0; ms < 300 && outcome === 'late'; ms++) await clock.advance(1)
    return outcome
  }
  const making = createTier({ nodes, clock, replicas: 3 })
  await clock.advance(1_000)
  const tier = await making
  t.after(async () => {
    for (const { mishaps } of nodes) mishaps.up()
    await within(tier.close())
    for (const { mishaps } of nodes) mishaps.close()
  })
  // Of this name the record of when the whole cache was last deleted has an owner that stays, too: without one nothing would be current.
  const cache = tier.cache<string>('t', { strategy: cacheAside(), ttl: '10m' })
  const keys = Array.from({ length: 200 }, (_, nth) => `k${nth}`)
  for (const key of keys) await within(cache.set(key, 'v'))
  const dead = IDS.slice(0, 3)
  const ring = hashRing().build<CacheNode>(nodes, 3)
  for (const [nth, { mishaps }] of nodes.entries()) if (nth < dead.length) mishaps.down()
  await clock.advance(3_000)
  const alive = keys.filter((key) => !ring.ownersOf(`rt:t:${key}`).every(({ id }) => dead.includes(id)))
  assert.ok(alive.length > 100 && alive.length < keys.length, `${alive.length}`)
  for (const key of alive) assert.equal(await within(cache.get(key)), 'v')
  const many = await within(cache.getMany(alive))
  assert.equal(many instanceof Map ? many.size : many, alive.length)
})
