import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cache } from '../src/caches/cache.ts'
import type { CacheOptions } from '../src/caches/cache-options.ts'
import { createTier } from '../src/create-tier.ts'
import { MemoryBus } from '../src/invalidation/memory-bus.ts'
import { memoryNode } from '../src/node/memory-node.ts'
import { memoryStore } from '../src/store/memory-store.ts'
import { cacheAside } from '../src/strategy/cache-aside.ts'
import { readThrough } from '../src/strategy/read-through.ts'
import { FakeClock } from '../src/testing/fake-clock.ts'
import { seededRandom } from '../src/testing/seeded-random.ts'
import type { TierOptions } from '../src/tier-options.ts'
import { settled } from './support/cache-bench.ts'

interface Thing {
  readonly name: string
}

const near = { maxBytes: 1_048_576 }
const red = { name: 'red' }

/** One cache in each of two processes on the same nodes; what was learnt once of their groups is known. */
async function twoCaches(options: Partial<CacheOptions<Thing>> = {}, tierOptions: Partial<TierOptions> = {}) {
  const clock = new FakeClock()
  const nodes = ['a', 'b', 'c'].map((id) => memoryNode({ id, clock }))
  const tiers = await Promise.all([1, 2].map((seed) => createTier({ nodes, clock, random: seededRandom(seed), ...tierOptions })))
  const caches = tiers.map((tier) => tier.cache<Thing>('n', { strategy: cacheAside<Thing>(), ttl: '10m', jitter: 0, near, ...options }))
  await settled()
  for (const cache of caches) {
    await cache.getOrSet('warm', () => red)
    await settled()
  }
  const close = async () => {
    for (const tier of tiers) await tier.close()
  }
  const [one, other] = caches
  return { clock, nodes, one: one!, other: other!, close }
}

/** Reads a key until it lies near. */
async function readNear(cache: { get(key: string): Promise<unknown> }, key: string): Promise<void> {
  for (let times = 0; times < 3; times++) {
    await cache.get(key)
    await settled()
  }
}

test('a peek answers what lies near, counted as a hit, and asks nobody for what does not', async () => {
  const { one, nodes, close } = await twoCaches()
  await one.set('a', red)
  await readNear(one, 'a')
  for (const node of nodes) {
    node.get = () => assert.fail('a node was asked')
    node.getMany = () => assert.fail('a node was asked')
    node.lease = () => assert.fail('a node was asked')
  }
  const { hits, misses, nearHits } = one.metrics()
  assert.deepEqual(one.peek('a'), red)
  assert.equal(one.peek('a'), one.peek('a'), 'one frozen value for all')
  assert.equal(one.peek('b'), undefined)
  await settled()
  const after = one.metrics()
  assert.deepEqual([after.hits - hits, after.nearHits - nearHits, after.misses - misses], [3, 3, 0])
  await close()
})

test('a peek has nothing where there is no near cache, or where it is known that there is no row', async () => {
  const { one, close } = await twoCaches({ near: undefined })
  await one.set('a', red)
  await readNear(one, 'a')
  assert.equal(one.peek('a'), undefined)
  await close()
  const rows = await twoCaches({ strategy: readThrough(memoryStore<Thing>()) })
  await readNear(rows.one, 'absent')
  const { negativeHits } = rows.one.metrics()
  assert.equal(rows.one.peek('absent'), undefined)
  assert.equal(rows.one.metrics().negativeHits - negativeHits, 1)
  await rows.close()
})

for (const [how, bus] of [
  ['by tracking', () => undefined],
  ['over a bus', () => new MemoryBus()],
] as const) {
  for (const [what, change] of [
    ['set', (cache) => cache.set('a', { name: 'blue' })],
    ['delete', (cache) => cache.delete('a')],
    ['clear', (cache) => cache.clear()],
    ['deleteByTag', (cache) => cache.deleteByTag('red')],
  ] as readonly [string, (cache: Cache<Thing>) => Promise<void>][]) {
    test(`a peek has nothing of what ${what} has changed, here at once and elsewhere once it is heard of ${how}`, async () => {
      const { one, other, clock, close } = await twoCaches({ tags: ({ name }) => [name] }, { bus: bus() })
      await one.set('a', red)
      for (const cache of [one, other]) {
        await readNear(cache, 'a')
        assert.deepEqual(cache.peek('a'), red)
      }
      await clock.advance(1)
      await change(one)
      assert.equal(one.peek('a'), undefined)
      await settled()
      assert.equal(other.peek('a'), undefined)
      await close()
    })
  }
}

test('a peek has nothing once the near ttl is over, or the value is no longer fresh', async () => {
  for (const options of [{ near: { ...near, ttl: '1s' } }, { ttl: '1s', grace: '1h' }] as const) {
    const { one, clock, close } = await twoCaches(options)
    await one.set('a', red)
    await readNear(one, 'a')
    await clock.advance(900)
    assert.deepEqual(one.peek('a'), red)
    await clock.advance(101)
    assert.equal(one.peek('a'), undefined)
    await close()
  }
})
