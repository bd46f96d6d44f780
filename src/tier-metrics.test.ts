import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTier } from './create-tier.ts'
import { memoryNode } from './node/memory-node.ts'
import type { QueueName, TierQueues } from './queues.ts'
import { memoryStore } from './store/memory-store.ts'
import { writeThrough } from './strategy/write-through.ts'
import { FakeClock } from './testing/fake-clock.ts'
import { seededRandom } from './testing/seeded-random.ts'

const filled = (queues: TierQueues): Partial<Record<QueueName, string>> =>
  Object.fromEntries(Object.entries(queues).flatMap(([name, { depth, bound }]) => (depth > 0 ? [[name, `${depth} of ${bound}`]] : [])))

test('how much waits, and how much may by the options, is told while it does; at rest nothing does', async () => {
  const clock = new FakeClock()
  const rows = memoryStore<number>()
  const gate = Promise.withResolvers<void>()
  const load = rows.load.bind(rows)
  rows.load = async (keys) => {
    await gate.promise
    return load(keys)
  }
  const nodes = ['a', 'b', 'c'].map((id) => memoryNode({ id }))
  const stores = { concurrency: 2, minConcurrency: 2, queue: 7 }
  const tier = await createTier({ nodes, clock, random: seededRandom(7), stores })
  const cache = tier.cache<number>('n', { strategy: writeThrough(rows), ttl: '1m' })
  assert.deepEqual(filled(tier.metrics().queues), {})
  const reads: Promise<unknown>[] = []
  for (let nth = 0; nth < 5; nth++) {
    reads.push(cache.get(`k${nth}`), cache.get(`k${nth}`))
    await clock.settle()
  }
  const writes = ['k0', 'k1', 'k2'].map((key) => cache.set(key, 1))
  await clock.settle()
  assert.deepEqual(filled(tier.metrics().queues), {
    calls: '13 of 131072',
    loads: '5 of 65536',
    saves: '3 of 65536',
    storeUnderWay: '2 of 2',
    storeWaiting: '3 of 7',
    storeReadsWaiting: '3 of 65536',
  })
  gate.resolve()
  await clock.settle()
  await Promise.all([...reads, ...writes])
  await clock.advance(100)
  assert.deepEqual(filled(tier.metrics().queues), {})
  const { bound } = tier.metrics().queues.eventsWaiting
  tier.on('node:down', () => {})
  assert.deepEqual([bound, tier.metrics().queues.eventsWaiting.bound], [0, 1_000])
  await tier.close()
})
