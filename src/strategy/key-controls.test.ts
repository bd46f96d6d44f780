import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheOn, settled } from '../../tests/support/cache-bench.ts'
import { ConfigurationError, LoadError } from '../errors.ts'
import { memoryStore } from '../store/memory-store.ts'
import { cacheAside } from './cache-aside.ts'
import { readThrough } from './read-through.ts'
import { writeThrough } from './write-through.ts'

const times = { ttl: '10s', jitter: 0, earlyRefresh: false } as const
const aside = { strategy: cacheAside<string>(), ...times } as const

test('a loader may say how long its value is fresh, and how long after that it may be served', async () => {
  const { cache, clock } = cacheOn<string>(aside)
  const load = () =>
    cache.getOrSet('a', ({ setTtl }) => {
      setTtl('1m', '30s')
      return 'A'
    })
  await load()
  await settled()
  await clock.advance(59_999)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
  await clock.advance(1)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'stale')
  await clock.advance(30_000)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'miss')
})

test('what a loader says of its ttl stands before what its caller said, and keeps the grace that the caller gave', async () => {
  const { cache, clock } = cacheOn<string>(aside)
  await cache.getOrSet(
    'a',
    (context) => {
      context.setTtl('2s')
      return 'A'
    },
    { ttl: '1h', grace: '5s' },
  )
  await settled()
  await clock.advance(2_000)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'stale')
  await clock.advance(5_000)
  assert.equal((await cache.getWithOutcome('a')).outcome, 'miss')
})

test('a shorter ttl of a newer load takes effect, whoever orders, in the same millisecond too', async () => {
  const store = memoryStore<string>({ rows: [['a', 'A']] })
  for (const strategy of [readThrough(store), writeThrough(store)]) {
    const { cache, cluster, clock } = cacheOn<string>({ strategy, ...times, ttl: '1h' })
    await cache.get('a')
    await settled()
    const { cache: other } = cacheOn<string>({ strategy, ...times, ttl: '1s' }, cluster, clock, 'things', 2)
    await other.refresh('a')
    await settled()
    await clock.advance(999)
    assert.equal((await cache.getWithOutcome('a')).outcome, 'hit')
    await clock.advance(1)
    assert.equal((await cache.getWithOutcome('a')).outcome, 'miss')
  }
})

test('what a loader skips is served to those who wait and kept for nobody', async () => {
  const { cache, cluster } = cacheOn<string>(aside)
  const load = () => cache.getOrSet('a', ({ skip }) => skip('A'))
  assert.deepEqual(await Promise.all([load(), load()]), ['A', 'A'])
  await settled()
  assert.equal(cluster.entries.size, 0)
  assert.equal(await cache.get('a'), undefined)
  assert.equal(await cache.getOrSet('a', ({ skip }) => skip()), undefined)
})

test('a loader that skips leaves a stale value where it is', async () => {
  const { cache, clock } = cacheOn<string>({ ...aside, grace: '1m' })
  await cache.set('a', 'old')
  await clock.advance(11_000)
  assert.equal(await cache.getOrSet('a', ({ skip }) => skip('new')), 'old')
  await settled()
  assert.deepEqual(await cache.getWithOutcome('a'), { value: 'old', outcome: 'stale', node: 'n1' })
})

test('a loader that fails rejects with a LoadError that says why, and nothing is kept', async () => {
  const { cache, cluster } = cacheOn<string>(aside)
  await assert.rejects(
    cache.getOrSet('a', ({ fail }) => fail('upstream said 503')),
    (error) => error instanceof LoadError && error.message === "cache 'things': loader: upstream said 503",
  )
  await settled()
  assert.equal(cluster.entries.size, 0)
})

test('a loader that fails gives the stale value where there is one', async () => {
  const { cache, clock } = cacheOn<string>({ ...aside, grace: '1m', deadlines: { soft: 10 } })
  await cache.set('a', 'old')
  await clock.advance(11_000)
  assert.equal(await cache.getOrSet('a', ({ fail }) => fail('no')), 'old')
})

test('a loader of many marks the keys that failed; the others are served and kept', async () => {
  const { cache } = cacheOn<string>(aside)
  const load = (missing: readonly string[], { of }: { of: (key: string) => { fail: (reason: string) => LoadError } }) => {
    of('b').fail('no such upstream')
    return new Map(missing.map((key) => [key, key.toUpperCase()]))
  }
  await assert.rejects(cache.getOrSetMany(['a', 'b', 'c'], load), /no such upstream/)
  await settled()
  assert.deepEqual(Object.fromEntries(await cache.getMany(['a', 'b', 'c'])), { a: 'A', c: 'C' })
})

test('a loader of many may give each key a ttl of its own, and skip some', async () => {
  const { cache, clock } = cacheOn<string>(aside)
  await cache.getOrSetMany(['a', 'b', 'c'], (missing, { of }) => {
    of('a').setTtl('1s')
    of('b').skip()
    return new Map(missing.map((key) => [key, key.toUpperCase()]))
  })
  await settled()
  assert.deepEqual(Object.fromEntries(await cache.getMany(['a', 'b', 'c'])), { a: 'A', c: 'C' })
  await clock.advance(1_000)
  assert.deepEqual(Object.fromEntries(await cache.getMany(['a', 'b', 'c'])), { c: 'C' })
})

test('a loader is given the value that may still be served, and undefined where there is none', async () => {
  const { cache, clock } = cacheOn<string>({ ...aside, grace: '1m' })
  const seen: (string | undefined)[] = []
  const load = () =>
    cache.getOrSet('a', ({ stale }) => {
      seen.push(stale)
      return 'A'
    })
  await load()
  await settled()
  await clock.advance(10_000)
  await load()
  await settled()
  await clock.advance(71_000)
  await load()
  assert.deepEqual(seen, [undefined, 'A', undefined])
})

test('a ttl or tags that cannot be are refused where the loader gives them', async () => {
  const { cache } = cacheOn<string>(aside)
  for (const [say, message] of [
    [(context: { setTtl: (ttl: never) => void }) => context.setTtl('soon' as never), /loader: setTtl: needs a duration.*but got: "soon"/],
    [(context: { setTags: (tags: never) => void }) => context.setTags('red' as never), /setTags: needs an array of texts.*but got: "red"/],
  ] as const) {
    const loading = cache.getOrSet('a', (context) => {
      say(context as never)
      return 'A'
    })
    await assert.rejects(loading, (error) => error instanceof ConfigurationError && message.test(error.message))
  }
})

test('a tags option that throws, or returns no tags, refuses the write; what was loaded is served, not kept, and told of', async () => {
  for (const tags of [() => 'red' as never, () => assert.fail('boom')]) {
    const store = memoryStore<string>({ rows: [['a', 'A']] })
    const { cache, told } = cacheOn<string>({ strategy: readThrough(store), ...times, tags })
    assert.equal(await cache.get('a'), 'A')
    await settled()
    assert.deepEqual(
      told.map(({ name }) => name),
      ['entry:refused'],
    )
    const { cache: written } = cacheOn<string>({ ...aside, tags })
    await assert.rejects(written.set('a', 'A'), ConfigurationError)
  }
})
