import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import {
  type Cache,
  type CacheNode,
  type CacheOptions,
  cacheAside,
  createTier,
  memoryNode,
  memoryStore,
  writeThrough,
} from '../src/index.ts'
import { FakeClock, type FlakyNode, flakyNode, flakyStore, seededRandom } from '../src/testing/index.ts'
import { HeldStore, outcomeOf } from './support/held-store.ts'

/** What becomes of calls, hints and timers when a tier is closed; `shutdown-servers.test.ts` closes one under load. */

const CLOSED = { code: 'CLOSED' }
let clock: FakeClock
let nodes: FlakyNode[]
beforeEach(() => {
  clock = new FakeClock()
  nodes = ['a', 'b', 'c'].map((id) => flakyNode(memoryNode({ id, clock }), { clock }))
})

/** A tier's own connections to nodes that outlive it. */
function connections(): CacheNode[] {
  return nodes.map((node) => {
    const closed = memoryNode({ id: node.id })
    void closed.close()
    let to: CacheNode = node
    const close = async (): Promise<void> => {
      to = closed
    }
    return new Proxy<CacheNode>(node, {
      get: (_, name) => {
        if (name === 'close') return close
        const value: unknown = Reflect.get(to, name, to)
        return typeof value === 'function' ? value.bind(to) : value
      },
    })
  })
}

async function tierOf<V>(options: CacheOptions<V>) {
  const tier = await createTier({ nodes: connections(), clock, random: seededRandom(3) })
  return { tier, cache: tier.cache<V>('n', options) }
}

/** What lies on the nodes, for who asks no store. */
async function copies(): Promise<Cache<number>> {
  const { cache } = await tierOf<number>({ strategy: cacheAside(), ttl: '1h' })
  return cache
}

/** The keys that `node` is known to have missed. */
async function hintsFor(node: string): Promise<string> {
  const kept = await Promise.all(nodes.map((each) => each.getMany([`rt:!hints:${node}`]).catch(() => [undefined])))
  return kept.map(([bytes]) => Buffer.from(bytes ?? '').toString()).join()
}

const rows = () => flakyStore(memoryStore<number>({ clock }), { clock })

test('a write that the store takes while its tier closes is acknowledged, and on the nodes', async () => {
  const store = rows()
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(store), ttl: '1h' })
  await cache.set('k', 1)
  store.mishaps.script(({ operation }) => (operation === 'save' ? { lateMs: 400 } : undefined))
  const written = cache.set('k', 2)
  await clock.settle()
  const closing = tier.close()
  await clock.advance(400)
  await written
  await closing
  assert.equal(clock.pendingTimers, 0)
  assert.equal(await (await copies()).get('k'), 2)
})

test('a write that its caller has given up, and the store takes all the same, is on the nodes before they are closed', async () => {
  const store = rows()
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(store), ttl: '1h' })
  await cache.set('k', 1)
  store.mishaps.script(({ operation }) => (operation === 'save' ? { lateMs: 400 } : undefined))
  const written = outcomeOf(cache.set('k', 2, { deadline: '100ms' }))
  await clock.advance(100)
  assert.deepEqual((written.error as { code: string }).code, 'DEADLINE_EXCEEDED')
  const closing = tier.close()
  await clock.advance(300)
  await closing
  assert.equal(await (await copies()).get('k'), 2)
})

test('of a row of which it is not known whether it was saved no copy stays, whatever it is of', async () => {
  const store = rows()
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(store), ttl: '1h' })
  await cache.set('k', 1)
  store.mishaps.next({ lateMs: 1_500 })
  const written = outcomeOf(cache.set('k', 2))
  await clock.advance(1_000)
  assert.equal((written.error as { code: string }).code, 'STORE_FAILED')
  await (await copies()).set('k', 3)
  await clock.advance(10)
  await tier.close()
  assert.equal(await (await copies()).get('k'), undefined)
})

test('every call after close is refused at once, also where the near cache has the answer, and reaches neither nodes nor store', async () => {
  const store = rows()
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(store), ttl: '1h', near: { maxBytes: 1_048_576 }, namespaces: '.' })
  await cache.set('near', 1)
  await cache.get('near')
  assert.equal(cache.peek('near'), 1)
  store.mishaps.script(({ operation }) => (operation === 'save' ? { lateMs: 400 } : undefined))
  const held = cache.set('held', 1)
  await clock.settle()
  const closing = tier.close()
  const before = [...nodes, store].map(({ mishaps }) => mishaps.counts.calls)
  assert.equal(cache.peek('near'), undefined)
  await assert.rejects(cache.get('near'), CLOSED)
  await assert.rejects(cache.getWithOutcome('near'), CLOSED)
  await assert.rejects(cache.getMany(['near', 'k']), CLOSED)
  await assert.rejects(cache.has('k'), CLOSED)
  await assert.rejects(
    cache.getOrSet('k', () => 1),
    CLOSED,
  )
  await assert.rejects(
    cache.getOrSetMany(['k'], () => new Map()),
    CLOSED,
  )
  await assert.rejects(cache.refresh('k'), CLOSED)
  await assert.rejects(cache.set('k', 1), CLOSED)
  await assert.rejects(cache.set('k', 1, { ttl: 1 }), CLOSED)
  const results = await cache.setMany([['k', 1]])
  assert.equal((results.get('k') as { error: { code: string } }).error.code, 'CLOSED')
  await assert.rejects(
    cache.update('k', () => 1),
    CLOSED,
  )
  await assert.rejects(cache.delete('k'), CLOSED)
  await assert.rejects(cache.applyChanges([{ key: 'k', op: 'update', version: undefined, rising: false, committedMs: 0 }]), CLOSED)
  await assert.rejects(cache.touch('k'), CLOSED)
  await assert.rejects(cache.deleteByTag('t'), CLOSED)
  await assert.rejects(cache.clear(), CLOSED)
  await assert.rejects(cache.namespace('x').clear(), CLOSED)
  await assert.rejects(cache.namespace('x').get('k'), CLOSED)
  await assert.rejects(
    cache.subscribe({ all: true }, () => {}),
    CLOSED,
  )
  assert.throws(() => tier.cache('other', { strategy: cacheAside(), ttl: 1 }), CLOSED)
  assert.deepEqual(
    [...nodes, store].map(({ mishaps }) => mishaps.counts.calls),
    before,
  )
  await clock.advance(400)
  await Promise.all([held, closing, tier.close()])
})

test('an owner that misses a write after it was acknowledged is hinted before the nodes are closed', async () => {
  const { tier, cache } = await tierOf<number>({ strategy: cacheAside(), ttl: '1h' })
  await cache.set('k', 0)
  nodes[2]!.mishaps.script(({ operation }) => (operation === 'change' ? { outcome: 'lose-call', delayMs: 100 } : undefined))
  let acknowledged = ''
  for (let nth = 0; acknowledged === ''; nth++) {
    const written = outcomeOf(cache.set(`k${nth}`, 1))
    await clock.settle()
    if ('value' in written) acknowledged = `k${nth}`
  }
  const closing = tier.close()
  await clock.advance(100)
  await closing
  assert.match(await hintsFor('c'), new RegExp(`"rt:n:${acknowledged}"`))
})

test('hints that nobody would keep are told once more when the tier closes', async () => {
  const { tier, cache } = await tierOf<number>({ strategy: cacheAside(), ttl: '1h' })
  nodes[2]!.mishaps.script(({ operation }) => (operation === 'change' ? 'fail' : undefined))
  for (const node of nodes.slice(0, 2))
    node.mishaps.script(({ operation, keys }) => (operation === 'run' && keys[0] === 'rt:!hints:c' ? 'fail' : undefined))
  await cache.set('k', 1)
  await clock.settle()
  assert.equal(await hintsFor('c'), ',,')
  for (const { mishaps } of nodes.slice(0, 2)) mishaps.script(({ operation }) => (operation === 'run' ? { delayMs: 50 } : undefined))
  const closed = outcomeOf(tier.close())
  await clock.advance(49)
  assert.deepEqual(closed, {})
  await clock.advance(1)
  assert.deepEqual(closed, { value: undefined })
  assert.match(await hintsFor('c'), /"rt:n:k"/)
})

test('hints that nobody answers for are not waited for longer than 2 s', async () => {
  nodes = ['a', 'b', 'c', 'd', 'e'].map((id) => flakyNode(memoryNode({ id, clock }), { clock }))
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(rows()), ttl: '1h' })
  for (const { id, mishaps } of nodes)
    mishaps.script(({ operation }) => {
      if (operation === 'run') return { delayMs: 60_000 }
      return 'cde'.includes(id) && (operation === 'change' || operation === 'apply') ? 'fail' : undefined
    })
  const written = cache.setMany(Array.from({ length: 50 }, (_, nth) => [`k${nth}`, 1]))
  await clock.advance(400)
  await written
  const closed = outcomeOf(tier.close())
  await clock.advance(1_999)
  assert.deepEqual(closed, {})
  await clock.advance(1)
  assert.deepEqual(closed, { value: undefined })
})

test('changes that no owner took, and that stand, are made once more when the tier closes', async () => {
  const store = rows()
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(store), ttl: '1h' })
  const keys = Array.from({ length: 1_200 }, (_, nth) => `k${nth}`)
  await cache.setMany(keys.map((key) => [key, 1]))
  for (const { mishaps } of nodes) mishaps.script(({ operation }) => (operation === 'apply' ? 'fail' : undefined))
  await cache.setMany(keys.map((key) => [key, 2]))
  for (const { mishaps } of nodes) mishaps.script(undefined)
  await tier.close()
  const found = await (await copies()).getMany(keys)
  assert.deepEqual([...new Set(found.values())], [2])
})

test('closing ends within its bound where neither nodes nor store answer', async () => {
  const store = rows()
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(store), ttl: '1h' })
  await cache.set('k', 1)
  for (const { mishaps } of [...nodes, store]) mishaps.down('silent')
  const calls = [cache.set('k', 2), cache.get('other'), cache.delete('gone')].map(outcomeOf)
  await clock.settle()
  const closed = outcomeOf(tier.close())
  await clock.advance(8_000)
  assert.deepEqual(closed, { value: undefined })
  assert.ok(calls.every(({ error }) => error instanceof Error))
})

test('a call that never ends does not keep a tier open', async () => {
  const { tier, cache } = await tierOf<number>({ strategy: cacheAside(), ttl: '1h' })
  void cache.update('k', () => new Promise<number>(() => {})).catch(() => {})
  await clock.settle()
  const closed = outcomeOf(tier.close())
  await clock.advance(4_000)
  assert.deepEqual(closed, { value: undefined })
  assert.equal(clock.pendingTimers, 0)
})

test('places that were left to a statement are no timers once the tier is closed', async () => {
  const store = new HeldStore()
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(store), ttl: '1h' })
  const read = outcomeOf(cache.get('k'))
  await clock.advance(1_000)
  assert.equal((read.error as { code: string }).code, 'DEADLINE_EXCEEDED')
  await tier.close()
  assert.equal(clock.pendingTimers, 0)
  store.calls[0]!.answer()
  await clock.settle()
})

test('calls that could not be made are none that closing waits for', async () => {
  const store = rows()
  const { tier, cache } = await tierOf<number>({ strategy: writeThrough(store), ttl: '1h', near: { maxBytes: 1_048_576 } })
  const { tier: bare, cache: other } = await tierOf<number>({ strategy: cacheAside(), ttl: '1h' })
  const outcomes = []
  for (const key of [5 as never, undefined as never, 'x'.repeat(100_000)]) {
    for (const each of [cache, other]) {
      const calls = [each.get(key), each.getMany([key]), each.set(key, 1), each.delete(key), each.touch(key), each.update(key, () => 1)]
      outcomes.push(...(await Promise.allSettled(calls)))
    }
  }
  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  await Promise.all([tier.close(), bare.close()])
})
