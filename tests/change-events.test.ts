import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CacheOptions } from '../src/caches/cache-options.ts'
import { createTier } from '../src/create-tier.ts'
import { ClosedError, ConfigurationError, UnsupportedError } from '../src/errors.ts'
import type { Bus, Listener } from '../src/invalidation/bus.ts'
import type { CacheChange } from '../src/invalidation/change-feed.ts'
import { MemoryBus } from '../src/invalidation/memory-bus.ts'
import { memoryNode } from '../src/node/memory-node.ts'
import { memoryStore } from '../src/store/memory-store.ts'
import { cacheAside } from '../src/strategy/cache-aside.ts'
import { readThrough } from '../src/strategy/read-through.ts'
import { FakeClock } from '../src/testing/fake-clock.ts'
import { asNodes, NodeView } from '../src/testing/group-fleet.ts'
import { seededRandom } from '../src/testing/seeded-random.ts'
import type { TierOptions } from '../src/tier-options.ts'

interface Thing {
  readonly name: string
  readonly tags?: readonly string[]
}

const aside: CacheOptions<Thing> = { strategy: cacheAside<Thing>(), ttl: '10m', jitter: 0, tags: ({ tags = [] }) => tags, namespaces: '/' }
const red = { name: 'ball', tags: ['red'] }

/** Two processes on the same nodes, with a cache `n` and another `m` each. */
async function twoProcesses(options: Partial<TierOptions> = {}, cacheOptions: Partial<CacheOptions<Thing>> = {}) {
  const clock = new FakeClock()
  const nodes = options.nodes ?? ['a', 'b', 'c'].map((id) => memoryNode({ id, clock }))
  const tiers = [1, 2].map((seed) => createTier({ clock, random: seededRandom(seed), ...options, nodes }))
  const [one, other] = (await Promise.all(tiers)) as [Awaited<(typeof tiers)[0]>, Awaited<(typeof tiers)[0]>]
  const caches = [one, other].map((tier) => tier.cache<Thing>('n', { ...aside, ...cacheOptions }))
  const close = async () => {
    await Promise.all([one.close(), other.close()])
    await clock.settle()
    assert.equal(clock.pendingTimers, 0)
  }
  await clock.settle()
  return { clock, one, other, writer: caches[0]!, reader: caches[1]!, close }
}

/** What a listener was told, briefly and each once; emptied when it is looked at. */
class Ear {
  #told: CacheChange[] = []
  readonly hear = (change: CacheChange): void => void this.#told.push(change)
  take(): string[] {
    const told = this.#told.map((change) => {
      if (change.event === 'entry:changed') return change.key
      return change.event === 'group:deleted' ? `${change.kind} ${change.name}` : 'missed'
    })
    this.#told = []
    return [...new Set(told)].sort()
  }
  get reasons(): (string | undefined)[] {
    return this.#told.map((change) => (change.event === 'changes:missed' ? change.reason : undefined))
  }
}

/** A bus that loses what a test says it loses. */
class LossyBus implements Bus {
  readonly #bus = new MemoryBus()
  readonly listeners = new Set<Listener>()
  loses = false
  async publish(channel: string, bytes: Uint8Array): Promise<void> {
    if (!this.loses) await this.#bus.publish(channel, bytes)
  }
  async subscribe(channel: string, listener: Listener): Promise<() => Promise<void>> {
    this.listeners.add(listener)
    return this.#bus.subscribe(channel, listener)
  }
  async close(): Promise<void> {
    await this.#bus.close()
  }
}

for (const how of ['by tracking', 'over a bus'] as const) {
  const over = () => (how === 'by tracking' ? {} : { bus: new MemoryBus() })

  test(`who subscribed to keys, tags or a cache is told of those changes, whichever process makes them, ${how}`, async () => {
    const { clock, writer, reader, close } = await twoProcesses(over())
    const [key, tag, all] = [new Ear(), new Ear(), new Ear()]
    await reader.subscribe({ keys: ['a', 'acme/1'], tags: ['red'] }, key.hear)
    await reader.subscribe({ tags: ['red'] }, tag.hear)
    await reader.subscribe({ all: true }, all.hear)
    for (const cache of [writer, reader]) {
      await cache.set('a', red)
      await cache.set('b', { name: 'sky', tags: ['blue'] })
      await clock.settle()
      assert.deepEqual([key.take(), tag.take(), all.take()], [['a'], [], ['a', 'b']])
      await clock.advance(1)
      await cache.delete('a')
      await clock.settle()
      assert.deepEqual([key.take(), tag.take(), all.take()], [['a'], [], ['a']])
      await cache.deleteByTag(['red', 'blue'])
      await clock.settle()
      assert.deepEqual([key.take(), tag.take(), all.take()], [['tag red'], ['tag red'], ['tag blue', 'tag red']])
      await cache.namespace('acme').clear()
      await cache.namespace('beta').clear()
      await clock.settle()
      assert.deepEqual([key.take(), tag.take(), all.take()], [['namespace acme'], [], ['namespace acme', 'namespace beta']])
      await cache.clear()
      await clock.settle()
      assert.deepEqual([key.take(), tag.take(), all.take()], [['all undefined'], ['all undefined'], ['all undefined']])
    }
    await close()
  })

  test(`cache.on and tier.on hear the same changes, of one cache and of all, also of caches made later, ${how}`, async () => {
    const { clock, one, other, writer, reader, close } = await twoProcesses(over())
    const [own, all]: [unknown[], unknown[]] = [[], []]
    const offs = [
      reader.on('entry:changed', (payload) => own.push(payload)),
      reader.on('group:deleted', (payload) => own.push(payload)),
      other.on('entry:changed', ({ cache, key }) => all.push(`${cache} ${key}`)),
      other.on('group:deleted', ({ cache, kind }) => all.push(`${cache} ${kind}`)),
    ]
    const [late] = [one, other].map((tier) => tier.cache<Thing>('m', aside))
    await clock.settle()
    await writer.set('a', { name: 'a' })
    await late!.set('b', { name: 'b' })
    await writer.clear()
    await clock.settle()
    assert.deepEqual(
      own.filter((each, at) => JSON.stringify(each) !== JSON.stringify(own[at - 1])),
      [
        { cache: 'n', key: 'a' },
        { cache: 'n', kind: 'all', name: undefined },
      ],
    )
    assert.deepEqual([...new Set(all)].sort(), ['m b', 'n a', 'n all'])
    for (const off of offs) off()
    const before = own.length + all.length
    await writer.set('a', { name: 'a' })
    await clock.settle()
    assert.equal(own.length + all.length, before)
    await close()
  })

  test(`a tag that is used for the first time, or whose record is mended, is not told as deleted, ${how}`, async () => {
    const { clock, writer, reader, close } = await twoProcesses(over())
    const ear = new Ear()
    await reader.subscribe({ all: true }, ear.hear)
    await writer.set('a', { name: 'a', tags: ['new', 'newer'] })
    await reader.set('acme/a', { name: 'a' })
    await clock.settle()
    assert.deepEqual(ear.take(), ['a', 'acme/a'])
    await writer.deleteByTag('new')
    await clock.settle()
    assert.deepEqual(ear.take(), ['tag new'])
    await writer.set('b', { name: 'b', tags: ['new'] })
    await clock.settle()
    assert.deepEqual(ear.take(), ['b'])
    await close()
  })

  test(`a subscription that was stopped is told nothing more, not even what waits, ${how}`, async () => {
    const { clock, writer, reader, close } = await twoProcesses(over())
    const [gone, stays] = [new Ear(), new Ear()]
    const stop = await reader.subscribe({ keys: ['a'] }, gone.hear)
    await reader.subscribe({ keys: ['a'] }, stays.hear)
    const changed = writer.set('a', red)
    await changed
    stop()
    await clock.settle()
    stop()
    assert.deepEqual([gone.take(), stays.take()], [[], ['a']])
    await close()
  })
}

test('a process that listens to nothing follows no entries, and one that has stopped does not any more', async () => {
  const clock = new FakeClock()
  const views = ['a', 'b', 'c'].map((id) => new NodeView(memoryNode({ id, clock })))
  for (const view of views)
    Object.assign(view, { connect: async () => {}, close: async () => {}, ping: async () => ({ nowMs: clock.now() }) })
  const watched = () => views.map((view) => view.watches.at(-1)!.toSorted())
  const tier = await createTier({ nodes: asNodes(views), clock, random: seededRandom(1) })
  const cache = tier.cache<Thing>('n', aside)
  await clock.settle()
  cache.on('store:failed', () => {})
  cache.on('group:deleted', () => {})
  await cache.subscribe({ tags: ['red'] }, () => {})
  assert.deepEqual(watched(), Array(3).fill(['rt:!group:n:']))
  const stop = await cache.subscribe({ keys: ['a'] }, () => {})
  assert.deepEqual(watched(), Array(3).fill(['rt:!group:n:', 'rt:n:']))
  stop()
  tier.cache<Thing>('m', aside)
  await clock.settle()
  assert.deepEqual(watched(), Array(3).fill(['rt:!group:m:', 'rt:!group:n:']))
  await tier.close()
})

test('a gap in the numbers of the bus is told as missed, to all subscriptions, and empties the near cache', async () => {
  const bus = new LossyBus()
  const { clock, writer, reader, close } = await twoProcesses({ bus }, { near: { maxBytes: 1_048_576 } })
  const [key, all, missed] = [new Ear(), new Ear(), [] as unknown[]]
  await reader.subscribe({ keys: ['z'] }, key.hear)
  await reader.subscribe({ all: true }, all.hear)
  reader.on('changes:missed', (payload) => missed.push(payload))
  await writer.set('a', red)
  await clock.settle()
  for (let times = 0; times < 4; times++) {
    await reader.get('a')
    await clock.settle()
  }
  assert.deepEqual(reader.peek('a'), red)
  all.take()
  bus.loses = true
  await writer.set('a', { name: 'new' })
  await clock.settle()
  assert.deepEqual(all.take(), [])
  bus.loses = false
  await writer.set('b', { name: 'b' })
  await clock.settle()
  assert.deepEqual([key.take(), all.take()], [['missed'], ['b', 'missed']])
  assert.deepEqual(missed, [{ cache: 'n', reason: 'a message on the bus was missed', dropped: undefined }])
  assert.equal(reader.peek('a'), undefined)
  assert.deepEqual(await reader.get('a'), { name: 'new' })
  await close()
})

test('a lost connection of the bus is told when it is lost and when it is back', async () => {
  const bus = new LossyBus()
  const { clock, reader, close } = await twoProcesses({ bus })
  const ear = new Ear()
  await reader.subscribe({ keys: ['a'] }, ear.hear)
  for (const hearing of [false, true]) {
    for (const listener of bus.listeners) listener.lost('cut', hearing)
    await clock.settle()
    assert.deepEqual(ear.take(), ['missed'])
  }
  await close()
})

test('a listener is never run within a call, its own process being the one that changes things', async () => {
  const { clock, writer, close } = await twoProcesses({ bus: new MemoryBus() })
  const stacks: string[] = []
  const note = (): void => void stacks.push(new Error('where').stack!)
  await writer.subscribe({ all: true }, note)
  writer.on('entry:changed', note)
  writer.on('group:deleted', note)
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = 100
  for (const call of [
    () => writer.set('a', red),
    () => writer.get('a'),
    () => writer.update('a', () => red),
    () => writer.setMany([['b', red]]),
    () => writer.delete('a'),
    () => writer.deleteByTag('red'),
  ]) {
    const told = stacks.length
    const done = call()
    assert.equal(stacks.length, told)
    await Promise.all([done, clock.advance(1)])
  }
  await clock.settle()
  Error.stackTraceLimit = before
  assert.ok(stacks.length >= 10)
  for (const stack of stacks) assert.doesNotMatch(stack, /caches|invalidation\/(?!change-feed)|node\/memory/)
  await close()
})

test('rare events too are told after the call that met them, not within it', async () => {
  const clock = new FakeClock()
  const nodes = ['a', 'b', 'c'].map((id) => memoryNode({ id, clock }))
  const tier = await createTier({ nodes, clock, random: seededRandom(1) })
  const [cache, foreign] = ['n', 'm'].map((name) => tier.cache<number>(name, { strategy: readThrough(memoryStore<number>()), ttl: '1m' }))
  const told: string[] = []
  cache!.on('cache:bypassed', ({ cache }) => {
    told.push(cache)
    throw new Error('mine')
  })
  for (const node of nodes) await node.close()
  const reading = [cache!, foreign!].map((each) => each.get('a'))
  assert.deepEqual(told, [])
  await Promise.all(reading)
  await clock.settle()
  assert.deepEqual(told, ['n'])
  await tier.close()
})

test('a listener that is slower than changes come is told how many it missed, and its queue stays bounded', async () => {
  const { clock, writer, reader, close } = await twoProcesses({ bus: new MemoryBus() })
  const gate = Promise.withResolvers<void>()
  const told: CacheChange[] = []
  await reader.subscribe({ all: true }, async (change) => {
    told.push(change)
    await gate.promise
  })
  const missed: unknown[] = []
  const failures: unknown[] = []
  const stuck = reader.on('entry:changed', () => gate.promise)
  reader.on('changes:missed', ({ dropped }) => missed.push(dropped))
  await writer.set('first', red)
  await clock.settle()
  const keys = Array.from({ length: 1_500 }, (_, nth) => `k${nth}`)
  await writer.setMany(keys.map((key) => [key, { name: key }]))
  // The same ones again add nothing to what waits.
  await writer.setMany(keys.slice(1_100).map((key) => [key, { name: key }]))
  await clock.settle()
  gate.resolve()
  await clock.advance(1)
  const [, lost, ...rest] = told
  assert.equal(told[0]!.event === 'entry:changed' && told[0]!.key, 'first')
  assert.equal(lost!.event === 'changes:missed' && lost!.dropped, 1_001)
  assert.equal(rest.length, 499)
  assert.deepEqual(missed, [1_001])
  stuck()
  assert.deepEqual(failures, [])
  await close()
})

test('a listener that throws or rejects is told of, and told on; the others are told all the same', async () => {
  const { clock, writer, reader, other, close } = await twoProcesses()
  const ear = new Ear()
  const failures: unknown[] = []
  const reasons = ['thrown', 'rejected']
  other.on('listener:failed', (payload) => failures.push(payload))
  await reader.subscribe({ keys: ['a'] }, () => {
    throw new Error(reasons[0])
  })
  await reader.subscribe({ keys: ['a'] }, async () => Promise.reject(new Error(reasons[1])))
  await reader.subscribe({ keys: ['a'] }, ear.hear)
  await writer.set('a', red)
  await clock.settle()
  assert.deepEqual(ear.take(), ['a'])
  const told = [...new Set(failures.map((failure) => JSON.stringify(failure)))]
  assert.deepEqual(
    told.map((text) => JSON.parse(text)),
    reasons.map((reason) => ({ event: 'entry:changed', reason: `Error: ${reason}` })),
  )
  await close()
})

test('keys of any text are told as they were given, also those that are no well-formed text', async () => {
  const { clock, writer, reader, close } = await twoProcesses()
  const [some, all] = [new Ear(), new Ear()]
  const odd = ['ü/{x}', 'a b', '\ud800']
  await reader.subscribe({ keys: odd }, some.hear)
  await reader.subscribe({ all: true }, all.hear)
  for (const key of odd) await writer.set(key, red)
  await clock.settle()
  assert.deepEqual(some.take(), odd.toSorted())
  assert.deepEqual(all.take(), ['a b', 'missed', 'ü/{x}'])
  await close()
})

test('subscriptions that cannot be are refused', async () => {
  const { one, writer, close } = await twoProcesses()
  for (const options of [
    {},
    { keys: [] },
    { keys: 'a' },
    { keys: [1] },
    { tags: [''] },
    { tags: ['x'.repeat(300)] },
    { all: false },
    { key: 'a' },
  ]) {
    await assert.rejects(
      writer.subscribe(options as never, () => {}),
      ConfigurationError,
      JSON.stringify(options),
    )
  }
  await assert.rejects(
    writer.subscribe({ keys: ['x'.repeat(2_000)] }, () => {}),
    ConfigurationError,
  )
  await assert.rejects(writer.subscribe({ all: true }, undefined as never), ConfigurationError)
  assert.throws(() => writer.on('node:down' as never, () => {}), /entry:changed/)
  const plain = one.cache<Thing>('p', { strategy: cacheAside<Thing>(), ttl: '1m', keys: 'plain' })
  await assert.rejects(
    plain.subscribe({ all: true }, () => {}),
    UnsupportedError,
  )
  assert.throws(() => plain.on('entry:changed', () => {}), UnsupportedError)
  plain.on('entry:rejected', () => {})
  await close()
  await assert.rejects(
    writer.subscribe({ all: true }, () => {}),
    ClosedError,
  )
})
