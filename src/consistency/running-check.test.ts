import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTier } from '../create-tier.ts'
import { ClosedError, ConfigurationError, UnsupportedError } from '../errors.ts'
import { prometheusText } from '../metrics/prometheus.ts'
import { memoryNode } from '../node/memory-node.ts'
import { memoryStore } from '../store/memory-store.ts'
import type { Store } from '../store/store.ts'
import { cacheAside } from '../strategy/cache-aside.ts'
import { readThrough } from '../strategy/read-through.ts'
import { writeAround } from '../strategy/write-around.ts'
import { writeThrough } from '../strategy/write-through.ts'
import { type CheckedTier, checkedTier, type HeldNode } from '../testing/checked-tier.ts'

const LONG = { ttl: '1h', negativeTtl: '1h' } as const
const through = (store: Store<number>) => ({ strategy: writeThrough(store), ...LONG })
const aside = { strategy: cacheAside<number>(), ...LONG }
const K = 'rt:c:k'

/** Long enough for any copy to be found, met by the sweep and proven. */
const PROVEN_MS = 12_000

/** Leaves on one holder of the key what it holds now, whatever `change` puts there. */
async function leaveBehind<V>(checked: CheckedTier<V>, change: () => Promise<unknown>, which = 0): Promise<HeldNode> {
  const holder = (await checked.holders(K))[which]!
  const before = await holder.take(K)
  await change()
  await holder.lay(K, before)
  return holder
}

test('one owner that holds an older version than the row is found, with its key, its node and for how long', async () => {
  const checked = await checkedTier(through(memoryStore<number>()))
  const { cache, clock, check, told, tier } = checked
  await cache.setMany(Array.from({ length: 300 }, (_, nth) => [`other-${nth}`, nth]))
  await cache.set('k', 1)
  const stale = await leaveBehind(checked, () => cache.set('k', 2))
  await clock.advance(PROVEN_MS)
  assert.equal(told.length, 1)
  const [found] = told
  assert.deepEqual([found!.cache, found!.key, found!.node, found!.staleness], ['c', 'k', stale.id, 'overtaken'])
  assert.ok(BigInt(found!.version) < BigInt(found!.newer!))
  assert.ok(found!.ageMs >= 2_000, `${found!.ageMs}`)
  const report = check.report()
  assert.equal(report.findings, 1)
  assert.deepEqual(report.stale, told)
  assert.ok(report.staleCopies >= 1 && report.checkedCopies > 900 && report.consistency < 1)
  assert.equal(report.nines.isLowerBound, false)
  await tier.close()
})

test('whether readers of the first owner are served it is said', async () => {
  const owners = new Set<string>()
  for (const which of [0, 1, 2]) {
    const checked = await checkedTier(through(memoryStore<number>()))
    await checked.cache.set('k', 1)
    const stale = await leaveBehind(checked, () => checked.cache.set('k', 2), which)
    const { node } = await checked.cache.getWithOutcome('k')
    // That read may have been one that looks at a second owner, and mended it.
    await stale.lay(K, await stale.take(K))
    await checked.clock.advance(PROVEN_MS)
    assert.equal(checked.told[0]!.owner, node === stale.id ? 'primary' : 'replica')
    owners.add(checked.told[0]!.owner)
    assert.equal(checked.check.report().stalePrimaries > 0, node === stale.id)
    await checked.tier.close()
  }
  assert.deepEqual([...owners].sort(), ['primary', 'replica'])
})

/** Rows that are given back otherwise than they were saved, under the version that they had. */
function rewriting<V>(rows: Store<V>, rewrite: (value: V) => unknown): Store<V> {
  return {
    ...rows,
    name: rows.name,
    versioned: true,
    stats: () => rows.stats(),
    save: (saves, call) => rows.save(saves, call),
    remove: (removals, call) => rows.remove(removals, call),
    async load(keys, call) {
      const loaded = await rows.load(keys, call)
      return { ...loaded, rows: new Map(Array.from(loaded.rows, ([key, row]) => [key, { ...row, value: rewrite(row.value) as V }])) }
    },
  }
}

test('a row that was changed and kept its version is found in every copy, but not by versions alone', async () => {
  for (const [against, findings] of [
    ['store', 3],
    ['versions', 0],
  ] as const) {
    let byHand = 0
    const store = rewriting<number>(memoryStore<number>(), (value) => value + byHand)
    const { cache, clock, told, check, tier } = await checkedTier(through(store), { against })
    await cache.set('k', 1)
    await clock.advance(PROVEN_MS)
    assert.deepEqual(told, [])
    byHand = 10
    await clock.advance(PROVEN_MS)
    assert.deepEqual(
      told.map(({ staleness, newer }) => [staleness, newer]),
      Array(findings).fill(['different', undefined]),
    )
    assert.equal(check.report().nines.isLowerBound, findings === 0)
    await tier.close()
  }
})

test('a row under one version that is another every time was wrong for less long than the bound', async () => {
  let turn = 0
  const { cache, clock, told, check, tier } = await checkedTier(
    through(rewriting<number>(memoryStore<number>(), (value) => value + ++turn)),
  )
  await cache.set('k', 1)
  await clock.advance(PROVEN_MS)
  assert.deepEqual(told, [])
  assert.ok(check.report().suspicions > 0)
  await tier.close()
})

test('a value that a cache gives back otherwise than it was given, or whose missing parts a store has as null, is no other', async () => {
  interface Item {
    readonly at: Date
    readonly note?: string | null
  }
  const store = rewriting<Item>(memoryStore<Item>(), ({ at }) => ({ at: new Date(at), note: null }))
  const { cache, clock, told, check, tier } = await checkedTier<Item>({ strategy: writeThrough(store), ttl: '1h' })
  await cache.set('k', { at: new Date(0) })
  await clock.advance(PROVEN_MS)
  assert.deepEqual([told, check.report().suspicions, check.report().checkedCopies > 0], [[], 0, true])
  await tier.close()
})

test('a value whose row is gone is found', async () => {
  const checked = await checkedTier(through(memoryStore<number>()))
  await checked.cache.set('k', 1)
  const stale = await leaveBehind(checked, () => checked.cache.delete('k'))
  await checked.clock.advance(PROVEN_MS)
  assert.deepEqual(
    checked.told.map(({ node, staleness }) => [node, staleness]),
    [[stale.id, 'deleted']],
  )
  await checked.tier.close()
})

test('a negative over a row is found', async () => {
  const store = memoryStore<number>()
  const checked = await checkedTier(through(store))
  assert.equal(await checked.cache.get('k'), undefined)
  await store.save([{ key: 'k', value: 1, floor: 1n }])
  await checked.clock.advance(PROVEN_MS)
  assert.ok(checked.told.length >= 1)
  assert.ok(checked.told.every(({ staleness }) => staleness === 'hidden'))
  await checked.tier.close()
})

test('a row that was changed behind the tier is found in a store without versions by its value', async () => {
  const store = memoryStore<{ n: number; left?: undefined }>({ versioned: false })
  const checked = await checkedTier({ strategy: writeThrough(store), ...LONG })
  await checked.cache.set('k', { n: 1, left: undefined })
  assert.deepEqual(await checked.cache.get('k'), { n: 1, left: undefined })
  await checked.clock.advance(PROVEN_MS)
  // What the codec leaves out is no difference.
  assert.deepEqual(checked.told, [])
  await store.save([{ key: 'k', value: { n: 2 }, floor: 0n }])
  await checked.clock.advance(PROVEN_MS)
  assert.deepEqual(new Set(checked.told.map(({ staleness, newer }) => [staleness, newer].join())), new Set(['different,']))
  assert.equal(checked.told.length, 3)
  await checked.tier.close()
})

test('copies of a reader, which carry no versions of rows, are compared by value', async () => {
  const store = memoryStore<number>({ rows: [['k', 1]] })
  const checked = await checkedTier({ strategy: readThrough(store), ...LONG })
  assert.equal(await checked.cache.get('k'), 1)
  await checked.clock.advance(PROVEN_MS)
  assert.deepEqual(checked.told, [])
  await store.save([{ key: 'k', value: 2, floor: 0n }])
  await checked.clock.advance(PROVEN_MS)
  assert.equal(checked.told.length, 3)
  await checked.tier.close()
})

test('owners of a cache without a store are compared with each other, a deleted value among them', async () => {
  const checked = await checkedTier(aside)
  await checked.cache.set('k', 1)
  const behind = await leaveBehind(checked, () => checked.cache.set('k', 2))
  await checked.clock.advance(PROVEN_MS)
  assert.deepEqual(
    checked.told.map(({ node, staleness }) => [node, staleness]),
    [[behind.id, 'overtaken']],
  )
  await checked.cache.set('k', 3)
  const undeleted = await leaveBehind(checked, () => checked.cache.delete('k'))
  await checked.clock.advance(PROVEN_MS)
  assert.deepEqual(
    checked.told.slice(1).map(({ node, staleness }) => [node, staleness]),
    [[undeleted.id, 'deleted']],
  )
  await checked.tier.close()
})

test('against owners, a store is not asked', async () => {
  const store = memoryStore<number>({ rows: [['k', 1]] })
  const checked = await checkedTier(through(store), { against: 'owners' })
  await checked.cache.set('k', 1)
  const { queries } = store.stats()[0]!
  await leaveBehind(checked, () => checked.cache.set('k', 2))
  await checked.clock.advance(PROVEN_MS)
  assert.equal(store.stats()[0]!.queries - queries, 1)
  assert.equal(checked.told.length, 1)
  await checked.tier.close()
})

test('an owner that has nothing, a tombstone or an entry that is over serves nothing old', async () => {
  const store = memoryStore<number>()
  const checked = await checkedTier({ strategy: writeAround(store), ttl: '4s' })
  const { cache, clock, told } = checked
  await cache.set('k', 1)
  assert.equal(await cache.get('k'), 1)
  // The fill reaches the others behind its caller.
  await clock.advance(10)
  const [first, second] = await checked.holders(K)
  await first!.lay(K, undefined)
  // Over, and laid again without an end of its own.
  const old = await second!.take(K)
  await cache.set('k', 2)
  await clock.advance(4_001)
  await second!.lay(K, old)
  await clock.advance(PROVEN_MS)
  assert.deepEqual(told, [])
  await checked.tier.close()
})

test('an entry of a deleted group is served to nobody, and no finding', async () => {
  for (const erase of ['tag', 'clear'] as const) {
    const store = memoryStore<number>()
    const checked = await checkedTier({ ...through(store), tags: () => ['t'] })
    await checked.cache.set('k', 1)
    await leaveBehind(checked, () => checked.cache.set('k', 2))
    await (erase === 'tag' ? checked.cache.deleteByTag('t') : checked.cache.clear())
    await checked.clock.advance(PROVEN_MS)
    assert.deepEqual(checked.told, [])
    await checked.tier.close()
  }
})

test('what is mended within the bound is no finding, and counted as right', async () => {
  const checked = await checkedTier(through(memoryStore<number>()), { sweepEvery: '1h' })
  const { cache, clock, check, told } = checked
  await cache.set('k', 1)
  await leaveBehind(checked, () => cache.set('k', 2))
  await clock.advance(1_000)
  assert.equal(check.report().inDoubt, 1)
  assert.equal(check.report().checkedCopies, 2)
  await cache.set('k', 3)
  await clock.advance(PROVEN_MS)
  assert.deepEqual(told, [])
  assert.equal(check.report().inDoubt, 0)
  assert.equal(check.report().checkedCopies, 3)
  assert.equal(check.report().suspicions, 1)
  await checked.tier.close()
})

test('a row made between the question to the store and those to the owners is no suspicion', async () => {
  const store = memoryStore<number>()
  let loaded: (() => Promise<void>) | undefined
  const watched: Store<number> = {
    name: store.name,
    versioned: true,
    load: async (keys, call) => {
      const rows = await store.load(keys, call)
      await loaded?.()
      return rows
    },
    save: (saves, call) => store.save(saves, call),
    remove: (removals, call) => store.remove(removals, call),
    stats: () => store.stats(),
  }
  const checked = await checkedTier(through(watched), { sweepEvery: '1h' })
  await checked.cache.set('k', 1)
  await checked.cache.delete('k')
  loaded = async () => {
    loaded = undefined
    await checked.cache.set('k', 2)
  }
  await checked.clock.advance(1_000)
  assert.equal(loaded, undefined)
  assert.deepEqual([checked.check.report().suspicions, checked.check.report().checkedCopies], [0, 3])
  await checked.tier.close()
})

test('owners that do not answer are not judged, the others are, and nobody is accused for it', async () => {
  const checked = await checkedTier(through(memoryStore<number>()))
  const { cache, clock, check, told, nodes } = checked
  await cache.setMany(Array.from({ length: 50 }, (_, nth) => [`k${nth}`, nth]))
  nodes[0]!.answers = false
  await clock.advance(PROVEN_MS)
  assert.deepEqual(told, [])
  assert.ok(check.report().unjudged > 0)
  assert.ok(check.report().checkedCopies > 0)
  await checked.tier.close()
})

test('a store that does not answer is no proof, and its copies are not counted as right', async () => {
  const store = memoryStore<number>()
  let fails = false
  const failing: Store<number> = {
    name: 's',
    versioned: true,
    load: (keys, call) => (fails ? Promise.reject(new Error('away')) : store.load(keys, call)),
    save: (saves, call) => store.save(saves, call),
    remove: (removals, call) => store.remove(removals, call),
    stats: () => store.stats(),
  }
  const checked = await checkedTier(through(failing))
  await checked.cache.set('k', 1)
  await leaveBehind(checked, () => checked.cache.set('k', 2))
  fails = true
  await checked.clock.advance(PROVEN_MS)
  assert.deepEqual(checked.told, [])
  assert.equal(checked.check.report().checkedCopies, 0)
  assert.ok(checked.check.report().unjudged >= 3)
  fails = false
  await checked.clock.advance(PROVEN_MS)
  assert.equal(checked.told.length, 1)
  await checked.tier.close()
})

test('what was found is told once and counted at each look, until it is another entry', async () => {
  const checked = await checkedTier(through(memoryStore<number>()))
  await checked.cache.set('k', 1)
  const stale = await leaveBehind(checked, () => checked.cache.set('k', 2))
  await checked.clock.advance(60_000)
  assert.equal(checked.told.length, 1)
  assert.ok(checked.check.report().staleCopies > 5)
  await leaveBehind(
    checked,
    () => checked.cache.set('k', 3),
    (await checked.holders(K)).findIndex(({ id }) => id !== stale.id),
  )
  await checked.clock.advance(PROVEN_MS)
  assert.equal(checked.told.length, 2)
  await checked.tier.close()
})

test('a look mends nothing, fills nothing and leaves no timer when it is stopped', async () => {
  const checked = await checkedTier(through(memoryStore<number>({ rows: [['x', 1]] })), { share: 1 })
  const { cache, clock, check, nodes, tier } = checked
  await cache.set('k', 1)
  await leaveBehind(checked, () => cache.set('k', 2))
  const before = await Promise.all(nodes.map((node) => node.take(K)))
  await clock.advance(30_000)
  assert.deepEqual(await Promise.all(nodes.map((node) => node.take(K))), before)
  assert.deepEqual(await checked.holders('rt:c:x'), [])
  const swept = assert.rejects(check.swept(), ClosedError)
  await check.stop()
  await swept
  await assert.rejects(check.swept(), ClosedError)
  // Its counts stay, and another check may begin.
  assert.equal(tier.metrics().consistency.c!.findings, 1)
  tier.checkConsistency('c')
  await tier.close()
  assert.equal(clock.pendingTimers, 0)
})

test('what a check is asked for is checked', async () => {
  const nodes = ['a', 'b', 'c'].map((id) => memoryNode({ id }))
  const tier = await createTier({ nodes })
  const cache = tier.cache('c', aside)
  tier.cache('p', { strategy: cacheAside<Uint8Array>(), ttl: '1m', keys: 'plain' } as never)
  assert.throws(() => tier.checkConsistency('x'), ConfigurationError)
  assert.throws(() => tier.checkConsistency('p'), UnsupportedError)
  assert.throws(() => tier.checkConsistency(cache, { against: 'store' }), /against: needs a cache with a store/)
  assert.throws(() => tier.checkConsistency(cache, { bound: 5 }), /bound: needs at least 10 ms, but got: 5/)
  assert.throws(() => tier.checkConsistency(cache, { share: 2 }), /share: needs a number from 0 to 1/)
  assert.throws(() => tier.checkConsistency(cache, { share: 0, sweepEvery: false }), /needs a share of the changes or sweeps/)
  assert.throws(() => tier.checkConsistency(cache, { pace: 1 } as never), /pace/)
  const check = tier.checkConsistency(cache)
  assert.throws(() => tier.checkConsistency(cache), /one check at a time/)
  assert.equal(check.cache, 'c')
  await tier.close()
  assert.throws(() => tier.checkConsistency(cache), ClosedError)
})

test('its counts are told to Prometheus', async () => {
  const checked = await checkedTier(through(memoryStore<number>()))
  await checked.cache.set('k', 1)
  await leaveBehind(checked, () => checked.cache.set('k', 2))
  await checked.clock.advance(PROVEN_MS)
  const text = prometheusText(checked.tier.metrics())
  assert.match(text, /ringtail_consistency_copies_total\{cache="c",owner="(?:primary|replica)"\} \d+/)
  assert.match(text, /ringtail_consistency_stale_total\{cache="c",owner="(?:primary|replica)"\} [1-9]/)
  assert.match(text, /ringtail_consistency_findings_total\{cache="c"\} 1/)
  await checked.tier.close()
})
