import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CacheOptions } from '../src/caches/cache-options.ts'
import { createTier } from '../src/create-tier.ts'
import { ConfigurationError, UnsupportedError } from '../src/errors.ts'
import { MemoryBus } from '../src/invalidation/memory-bus.ts'
import { memoryNode } from '../src/node/memory-node.ts'
import { memoryStore } from '../src/store/memory-store.ts'
import { cacheAside } from '../src/strategy/cache-aside.ts'
import { writeThrough } from '../src/strategy/write-through.ts'
import { FakeClock } from '../src/testing/fake-clock.ts'
import { seededRandom } from '../src/testing/seeded-random.ts'
import type { TierOptions } from '../src/tier-options.ts'
import { settled } from './support/cache-bench.ts'

interface Thing {
  readonly name: string
  readonly tags?: readonly string[]
}

const aside: CacheOptions<Thing> = { strategy: cacheAside<Thing>(), ttl: '10m', jitter: 0, tags: ({ tags = [] }) => tags }
const near = { maxBytes: 1_048_576 }
const red = { name: 'ball', tags: ['red'] }

/** Two processes on the same nodes. */
async function twoProcesses(options: Partial<TierOptions> = {}, first?: Partial<TierOptions>) {
  const clock = new FakeClock()
  const nodes = ['a', 'b', 'c'].map((id) => memoryNode({ id, clock }))
  const one = await createTier({ nodes, clock, random: seededRandom(1), ...options, ...first })
  const other = await createTier({ nodes, clock, random: seededRandom(2), ...options })
  const close = async () => {
    await one.close()
    await other.close()
    await settled()
    assert.equal(clock.pendingTimers, 0)
  }
  return { one, other, nodes, clock, close }
}

/** One cache in each of two processes, warm: whatever is learnt once was learnt. */
async function twoCaches(options: Partial<CacheOptions<Thing>> = {}, tierOptions: Partial<TierOptions> = {}) {
  const bench = await twoProcesses(tierOptions)
  const [one, other] = [bench.one, bench.other].map((tier) => tier.cache<Thing>('n', { ...aside, ...options }))
  await settled()
  for (const cache of [one!, other!, one!, other!]) {
    await cache.set('warm', { name: 'warm', tags: ['red', 'blue'] })
    await settled()
    await cache.get('warm')
    await settled()
  }
  return { ...bench, tiers: [bench.one, bench.other] as const, one: one!, other: other! }
}

for (const bus of [undefined, 'bus'] as const) {
  const over = () => ({ bus: bus === undefined ? undefined : new MemoryBus() })
  const how = bus === undefined ? 'by tracking' : 'over a bus'

  test(`what another process sets, deletes or updates is not answered from the near cache once it was heard of ${how}`, async () => {
    const { one, other, close } = await twoCaches({ near }, over())
    for (const change of [
      () => one.set('k', { name: 'set' }),
      () => one.update('k', () => ({ name: 'updated' })),
      () => one.delete('k'),
      () => one.setMany([['k', { name: 'set again' }]]),
    ]) {
      await other.get('k')
      await settled()
      await change()
      await settled()
      assert.deepEqual(await other.get('k'), await one.get('k'))
    }
    await close()
  })

  test(`a deleted tag takes what it has from the near caches of all processes, in batches and alone, heard of ${how}`, async () => {
    const { one, other, clock, close } = await twoCaches({ near }, over())
    await one.setMany([
      ['a', red],
      ['b', { name: 'sky', tags: ['blue'] }],
    ])
    await settled()
    for (const cache of [one, other]) assert.equal((await cache.getMany(['a', 'b'])).size, 2)
    assert.ok(other.peek('a'))
    await clock.advance(1)
    await one.deleteByTag('red')
    await settled()
    for (const cache of [one, other]) {
      assert.equal(cache.peek('a'), undefined)
      assert.deepEqual([...(await cache.getMany(['a', 'b'])).keys()], ['b'])
    }
    await close()
  })

  test(`clear empties a cache for all processes, and what is written after it is there, heard of ${how}`, async () => {
    const { one, other, clock, close } = await twoCaches({ near }, over())
    await one.set('a', red)
    await other.get('a')
    await clock.advance(1)
    await one.clear()
    await settled()
    assert.equal(await other.get('a'), undefined)
    await other.set('a', { name: 'new' })
    await settled()
    assert.deepEqual(await one.get('a'), { name: 'new' })
    await close()
  })
}

test('a hit of the near cache asks no node, is counted, and is one frozen value for all', async () => {
  const { one, nodes, close } = await twoCaches({ near })
  await one.set('a', red)
  await settled()
  await one.get('a')
  for (const node of nodes) node.get = () => assert.fail('a node was asked')
  const before = one.metrics().nearHits
  const value = await one.get('a')
  assert.equal(one.peek('a'), value)
  assert.equal((await one.getMany(['a'])).get('a'), value)
  assert.deepEqual(await one.getWithOutcome('a'), { value, outcome: 'hit', node: undefined })
  assert.equal(one.metrics().nearHits - before, 4)
  assert.ok(Object.isFrozen(value) && Object.isFrozen(value!.tags))
  await close()
})

test('with near.copy every reader has a copy of its own', async () => {
  const { one, close } = await twoCaches({ near: { ...near, copy: true } })
  await one.set('a', red)
  await settled()
  const [read, again] = [await one.get('a'), await one.get('a')]
  assert.deepEqual(again, read)
  assert.notEqual(again, read)
  assert.equal(Object.isFrozen(again), false)
  await close()
})

test('a call that names whom to ask, or a session that knows of something newer, is not answered from the near cache', async () => {
  const { one, tiers, close } = await twoCaches({ near })
  await one.set('a', red)
  await settled()
  await one.get('a')
  const session = tiers[0].session()
  assert.equal((await one.getWithOutcome('a', { session })).node, undefined)
  assert.notEqual((await one.getWithOutcome('a', { reads: 'quorum' })).node, undefined)
  session.wrote('rt:n:a', 2n ** 62n)
  const before = one.metrics().nearHits
  assert.equal(await one.get('a', { session }), undefined)
  assert.equal((await one.getMany(['a'], { session })).size, 0)
  assert.equal(one.metrics().nearHits, before)
  await close()
})

test('a missing row is remembered near, and an insert by another process clears that', async () => {
  const { one: a, other: b, close } = await twoProcesses()
  const store = memoryStore<Thing>()
  const [one, other] = [a, b].map((tier) => tier.cache<Thing>('n', { strategy: writeThrough(store), ttl: '10m', near }))
  await settled()
  for (let times = 0; times < 4; times++) {
    await other!.get('k')
    await settled()
  }
  assert.deepEqual(await other!.getWithOutcome('k'), { value: undefined, outcome: 'negative', node: undefined })
  await one!.set('k', red)
  await settled()
  assert.deepEqual(await other!.get('k'), red)
  await close()
})

test('a sliding value that is read from the near cache lives on', async () => {
  const { one, other, clock, close } = await twoCaches({ ttl: '10s', sliding: true, near })
  await one.set('a', red)
  for (let seconds = 0; seconds < 60; seconds++) {
    await clock.advance(1_000)
    assert.deepEqual(await other.get('a'), red)
    await settled()
  }
  await close()
})

test('a tagged hit asks one node one key, once the tag is known', async () => {
  const { one, nodes, close } = await twoCaches()
  await one.set('a', red)
  await settled()
  let calls = 0
  for (const node of nodes) {
    const [get, getMany] = [node.get.bind(node), node.getMany.bind(node)]
    node.get = (...args) => {
      calls++
      get(...args)
    }
    node.getMany = (...args) => {
      calls++
      return getMany(...args)
    }
  }
  for (let read = 1; read <= 10; read++) assert.deepEqual(await one.get('a'), red)
  assert.equal(calls, 10)
  await close()
})

test('a tag deleted during a load leaves nothing that is served to who comes after, here or elsewhere', async () => {
  const { one, other, clock, close } = await twoCaches({ near })
  const loaded = Promise.withResolvers<Thing>()
  const early = one.getOrSet('a', () => loaded.promise)
  await settled()
  await clock.advance(5)
  await other.deleteByTag('red')
  const late = one.getOrSet('a', () => ({ name: 'after', tags: ['red'] }))
  await settled()
  loaded.resolve(red)
  assert.deepEqual(await early, red)
  assert.deepEqual(await late, { name: 'after', tags: ['red'] })
  await settled()
  for (const cache of [one, other]) assert.deepEqual(await cache.get('a'), { name: 'after', tags: ['red'] })
  await close()
})

test('what was loaded again and again right after a delete does not outlive the next delete', async () => {
  const store = memoryStore<Thing>({ rows: [['a', red]] })
  const { one, close } = await twoCaches({ strategy: writeThrough(store) })
  await one.clear()
  for (let times = 0; times < 4; times++) await one.refresh('a')
  await settled()
  assert.equal((await one.getWithOutcome('a')).outcome, 'hit')
  await one.clear()
  await settled()
  assert.equal((await one.getWithOutcome('a')).outcome, 'miss')
  await close()
})

test('update goes on from nothing after clear and deleteByTag', async () => {
  const { one, clock, close } = await twoCaches()
  await one.set('a', red)
  await clock.advance(1)
  await one.deleteByTag('red')
  const updated = one.update('a', (current) => ({ name: String(current) }))
  const done = assert.doesNotReject(updated)
  await clock.advance(2_000)
  await done
  assert.deepEqual(await one.get('a'), { name: 'undefined' })
  await close()
})

test('a namespace is cleared alone, in every process, and its calls are those of the cache', async () => {
  const { one, other, clock, close } = await twoCaches({ near, namespaces: '/' })
  const [acme, beta] = [one.namespace('acme'), one.namespace('beta')]
  await acme.set('k', red)
  await beta.set('k', { name: 'beta' })
  await settled()
  assert.deepEqual(Object.fromEntries(await other.getMany(['acme/k', 'beta/k', 'k'])), { 'acme/k': red, 'beta/k': { name: 'beta' } })
  assert.deepEqual(await acme.getMany(['k']), new Map([['k', red]]))
  await clock.advance(1)
  await acme.clear()
  await settled()
  assert.equal(await other.get('acme/k'), undefined)
  assert.deepEqual(await other.get('beta/k'), { name: 'beta' })
  assert.equal(acme.peek('k'), undefined)
  await assert.rejects(acme.getMany('k'), ConfigurationError)
  await close()
})

test('with a bus a process without a near cache tells those that have one', async () => {
  const { one: a, other: b, close } = await twoProcesses({ bus: new MemoryBus() })
  const [one, other] = [a.cache<Thing>('n', aside), b.cache<Thing>('n', { ...aside, near })]
  await settled()
  await one.set('k', red)
  await settled()
  for (let times = 0; times < 3; times++) {
    await other.get('k')
    await settled()
  }
  assert.ok(other.peek('k'))
  await one.set('k', { name: 'new' })
  await settled()
  assert.deepEqual(await other.get('k'), { name: 'new' })
  await close()
})

test('a bad key of a batch fails alone where there is a near cache, too', async () => {
  const { one, close } = await twoCaches({ near })
  const results = await one.setMany([
    ['x'.repeat(2_000), red],
    ['ok', red],
  ])
  const done = Array.from(results.values(), ({ ok }) => ok)
  assert.deepEqual(done, [false, true])
  await assert.rejects(one.set('x'.repeat(2_000), red), ConfigurationError)
  await close()
})

test('plain values refuse what they have no place for, and say so', async () => {
  const { one: tier, close } = await twoProcesses()
  const cache = tier.cache<Thing>('n', { strategy: cacheAside<Thing>(), ttl: '1m', keys: 'plain' })
  for (const [call, message] of [
    [() => cache.deleteByTag('red'), /plain values have no tags/],
    [() => cache.deleteByTag('red', { deadline: '1h' }), /plain values have no tags/],
    [() => cache.clear(), /plain values have no generations/],
    [async () => cache.namespace('x'), /plain values have no namespaces/],
    [() => cache.touch('a'), /plain values have no times of their own/],
    [() => cache.update('a', () => red), /plain values have no versions/],
    [() => cache.set('a', red, { tags: ['red'] }), /plain values have no tags/],
    [() => cache.set('a', red, { grace: '1m' }), /plain values have no grace/],
    [() => cache.get('a', { session: tier.session() }), /plain values have no versions, so a session/],
  ] as const) {
    await assert.rejects(call, (error) => error instanceof UnsupportedError && message.test(error.message))
  }
  await close()
})
