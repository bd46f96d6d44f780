import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeError, UnsupportedError } from '../errors.ts'
import { memoryStore } from '../store/memory-store.ts'
import type { Store } from '../store/store.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { checkedTier } from '../testing/checked-tier.ts'

const through = (store: Store<number>) => ({ strategy: writeThrough(store), ttl: '1h' }) as const
const K = 'rt:c:k'

test('a changed key of the sample is looked at a bound after the change, and no sooner', async () => {
  const checked = await checkedTier(through(memoryStore<number>()), { share: 1, sweepEvery: false })
  const { cache, clock, check, told } = checked
  await clock.advance(100)
  await cache.set('k', 1)
  const [stale] = await checked.holders(K)
  const old = await stale!.take(K)
  await cache.set('k', 2)
  await stale!.lay(K, old)
  await clock.advance(1_900)
  assert.equal(check.report().checkedKeys, 0)
  await clock.advance(200)
  assert.equal(check.report().checkedKeys, 1)
  await clock.advance(5_000)
  assert.deepEqual(
    told.map(({ node }) => node),
    [stale!.id],
  )
  await assert.rejects(check.swept(), UnsupportedError)
  await checked.tier.close()
})

test('no more keys a second are looked at than may be', async () => {
  const checked = await checkedTier(through(memoryStore<number>()), { keysPerSecond: 200, share: 1 })
  await checked.cache.setMany(Array.from({ length: 2_000 }, (_, nth) => [`k${nth}`, nth]))
  await checked.clock.advance(5_000)
  const { checkedKeys } = checked.check.report()
  assert.ok(checkedKeys > 500 && checkedKeys <= 1_000 + 128, `${checkedKeys}`)
  await checked.tier.close()
})

test('a sweep looks at each key once, on whichever of its owners it is met', async () => {
  const checked = await checkedTier(through(memoryStore<number>()), { sweepEvery: '1h' })
  const { cache, check, clock } = checked
  await cache.setMany(Array.from({ length: 500 }, (_, nth) => [`k${nth}`, nth]))
  // One is left on its last owner alone.
  const held = await checked.holders('rt:c:k7')
  for (const each of held.slice(1)) await each.lay('rt:c:k7', undefined)
  const swept = check.swept()
  await clock.advance(5_000)
  const report = await swept
  assert.equal(report.checkedKeys, 500)
  assert.equal(report.checkedCopies, 499 * 3 + 1)
  assert.equal(report.sweeps, 1)
  assert.deepEqual([report.sweep.node, report.sweep.nodesDone, report.sweep.missed], [undefined, 4, []])
  await checked.tier.close()
})

test('a paused check asks nothing, and goes on where it was', async () => {
  const checked = await checkedTier(through(memoryStore<number>()), { sweepEvery: '1h', keysPerSecond: 128 })
  const { cache, clock, check, nodes } = checked
  await cache.setMany(Array.from({ length: 600 }, (_, nth) => [`k${nth}`, nth]))
  await clock.advance(2_500)
  check.pause()
  await clock.advance(1)
  const { keys } = check.report().sweep
  const asked = nodes.map((node) => node.asked.length)
  await clock.advance(60_000)
  assert.deepEqual(
    nodes.map((node) => node.asked.length),
    asked,
  )
  assert.ok(keys > 0 && keys < 3 * 600, `${keys}`)
  const swept = check.swept()
  check.resume()
  await clock.advance(60_000)
  assert.equal((await swept).checkedKeys, 600)
  await checked.tier.close()
})

test('a node whose keys cannot be walked is tried three times, left out and named', async () => {
  const checked = await checkedTier(through(memoryStore<number>()), { sweepEvery: '1h' })
  const { cache, clock, check, nodes } = checked
  await cache.setMany(Array.from({ length: 100 }, (_, nth) => [`k${nth}`, nth]))
  let walks = 0
  // Some keys were left to it by the node before it.
  nodes[1]!.scan = async function* () {
    walks++
    yield []
    throw new NodeError('broken off', 'b')
  }
  const swept = check.swept()
  await clock.advance(10_000)
  const report = await swept
  assert.equal(walks, 3)
  assert.deepEqual(report.sweep.missed, ['b'])
  // It answers, and the others hold copies of all that it holds.
  assert.equal(report.checkedKeys, 100)
  await checked.tier.close()
})

test('a change that is heard during a pause is looked at when it is over', async () => {
  const checked = await checkedTier(through(memoryStore<number>()), { share: 1, sweepEvery: false })
  const { cache, check, clock } = checked
  await clock.advance(10)
  check.pause()
  await cache.set('k', 1)
  await clock.advance(10_000)
  assert.equal(check.report().checkedKeys, 0)
  check.resume()
  await clock.advance(10)
  assert.equal(check.report().checkedKeys, 1)
  await checked.tier.close()
})
