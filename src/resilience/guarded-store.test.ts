import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { codeOf, codeOfSave, failing, guardOf, HeldStore, outcomeOf, save, settledOf, twoShards } from '../../tests/support/held-store.ts'
import { ConfigurationError, DeadlineError, EncodeError, OverloadError, StoreError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { memoryStore } from '../store/memory-store.ts'
import { shardedReader, shardedStore } from '../store/sharded-store.ts'
import type { Loaded, SaveStatus, Store } from '../store/store.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { storeConformance } from '../testing/store-conformance.ts'
import { checkedGuardOptions, guardStore, type StoreGuardOptions } from './guarded-store.ts'

let clock: FakeClock
let told: string[]
beforeEach(() => {
  clock = new FakeClock()
  told = []
})

const emit: Emit = (name, payload) => {
  if (name === 'shard:down' || name === 'shard:up') told.push(`${name} ${(payload as { shard: string }).shard}`)
}
const parts = () => ({ clock, random: seededRandom(1), emit })

function guarded<V>(store: Store<V>, options: StoreGuardOptions = {}): Store<V> {
  return guardStore(store, checkedGuardOptions(options, 'stores'), parts())
}

for (const versioned of [true, false]) {
  storeConformance({
    name: versioned ? 'a guarded store' : 'a guarded store without versions',
    versioned,
    remembersRemovals: versioned,
    create: async () => ({ store: guarded(memoryStore<unknown>({ versioned })), cleanup: async () => {} }),
  })
}
storeConformance({
  name: 'a guarded sharded store',
  versioned: true,
  remembersRemovals: true,
  create: async () => ({ store: guarded(shardedStore([memoryStore<unknown>(), memoryStore<unknown>()])), cleanup: async () => {} }),
})

describe('a shard that fails', () => {
  const breaker = { failureRate: 0.5, window: 5_000, minimumCalls: 4 }

  test('is not asked any more, is told of once, and tried after a pause until it answers', async () => {
    const held = new HeldStore()
    const store = guarded(held, { breaker, minConcurrency: 4 })
    for (let call = 0; call < 4; call++) {
      const load = outcomeOf(store.load(['a']))
      await clock.settle()
      held.calls[0]!.fail(new StoreError('refused'))
      await clock.settle()
      assert.equal(codeOf(load), 'STORE_FAILED')
    }
    assert.deepEqual(told, ['shard:down '])
    assert.equal(guardOf(store).state, 'down')
    assert.equal(codeOf(await settledOf(store.load(['a']))), 'open')
    const [status] = await store.save([{ key: 'a', value: 1, floor: 1n }])
    assert.ok(status?.state === 'failed' && status.error instanceof OverloadError && status.error.reason === 'open')
    assert.equal(held.begun, 4)
    await clock.advance(250)
    const failed = outcomeOf(store.load(['a']))
    await clock.settle()
    held.calls[0]!.fail(new StoreError('refused'))
    await clock.settle()
    assert.equal(codeOf(failed), 'STORE_FAILED')
    assert.deepEqual(told, ['shard:down '], 'it is down still, which was told')
    await clock.advance(500)
    const probes = Array.from({ length: 5 }, () => outcomeOf(store.load(['a'])))
    await clock.settle()
    assert.equal(guardOf(store).state, 'down', 'none of those that try it was answered')
    assert.equal(held.calls.length, 3)
    assert.deepEqual(probes.map(codeOf), [undefined, undefined, undefined, 'open', 'open'])
    for (const call of [...held.calls]) call.answer()
    await clock.settle()
    assert.deepEqual(told, ['shard:down ', 'shard:up '])
    assert.equal(guardOf(store).state, 'up')
  })

  test('sheds at once whoever waits for it', async () => {
    const held = new HeldStore()
    const store = guarded(held, { breaker, concurrency: 4, minConcurrency: 4 })
    const deadline = new AbortController()
    for (let call = 0; call < 4; call++) store.load(['a'], { signal: deadline.signal }).catch(() => {})
    const waiting = [1, 2, 3].map(() => outcomeOf(store.load(['a'])))
    await clock.settle()
    deadline.abort(new DeadlineError('late'))
    await clock.settle()
    assert.equal(held.calls.length, 4, 'the places are taken still')
    assert.deepEqual(waiting.map(codeOf), ['open', 'open', 'open'])
  })

  test('is tried by others where a try that waited for its turn was shed', async () => {
    const held = new HeldStore()
    const store = guarded(held, { breaker, concurrency: 1, wait: 100 })
    for (let call = 0; call < 4; call++) {
      const load = settledOf(store.load(['a']))
      await clock.settle()
      held.calls[0]!.fail(new StoreError('refused'))
      await load
    }
    await clock.advance(250)
    const probes = [1, 2, 3].map(() => outcomeOf(save(store, 'a')))
    await clock.advance(100)
    assert.deepEqual(probes.map(codeOfSave), [undefined, 'late', 'late'])
    const others = [1, 2, 3].map(() => outcomeOf(save(store, 'a')))
    await clock.settle()
    assert.deepEqual(others.map(codeOfSave), [undefined, undefined, 'open'])
  })

  test('takes no other shard with it', async () => {
    const held = twoShards()
    const store = guarded(held, { breaker, minConcurrency: 4 })
    for (let call = 0; call < 4; call++) {
      store.load(['a']).catch(() => {})
      await clock.settle()
      held.calls[0]!.fail(new StoreError('refused'))
    }
    await clock.settle()
    assert.deepEqual(told, ['shard:down a'])
    const load = store.load(['a', 'b'])
    await clock.settle()
    held.calls[0]!.answer()
    const { rows, failed } = await load
    assert.deepEqual([...rows.keys()], ['b'])
    assert.equal(failed?.get('a')?.code, 'OVERLOADED')
  })

  test('is one that runs into deadlines, too; callers who give up and rows that are refused say nothing', async () => {
    const silent = guarded(new HeldStore(), { breaker, minConcurrency: 8 })
    for (const [reason, downs] of [
      [new Error('enough'), 0],
      [new DeadlineError('late'), 1],
    ] as const) {
      for (let call = 0; call < 4; call++) {
        const patience = new AbortController()
        const load = outcomeOf(silent.load(['a'], { signal: patience.signal }))
        await clock.settle()
        patience.abort(reason)
        await clock.settle()
        assert.equal(load.error, reason)
      }
      assert.equal(told.length, downs)
    }
    const innocent = [new EncodeError('x'), new ConfigurationError('x'), new StoreError('row', { ofRow: true }), new OverloadError('x')]
    for (const error of innocent) {
      const store = guarded(failing(error), { breaker })
      for (let call = 0; call < 8; call++) await settledOf(store.load(['a']))
      assert.equal((await settledOf(store.load(['a']))).error, error)
    }
    const store = guarded(
      { ...failing(new StoreError('x')), save: async () => [{ state: 'failed', error: new StoreError('x'), forGood: true }] },
      { breaker },
    )
    for (let call = 0; call < 8; call++) await store.save([{ key: 'a', value: 1, floor: 1n }])
    assert.equal((await store.save([{ key: 'a', value: 1, floor: 1n }]))[0]!.state, 'failed')
    assert.equal(told.length, 1)
  })

  test('is found by failed saves and by partial failures as well', async () => {
    const call = { key: 'a', value: 1, floor: 1n }
    const operations: ((store: Store<number>) => Promise<unknown>)[] = [
      (store) => store.save([call]),
      (store) => store.remove([call]),
      (store) => store.load(['a', 'a']),
    ]
    const error = new StoreError('refused')
    const partly = async (keys: readonly string[]) => ({ rows: new Map(), failed: new Map(keys.map((key) => [key, error])) })
    for (const operation of operations) {
      const store = guarded({ ...failing(error), load: partly }, { breaker })
      for (let tried = 0; tried < 4; tried++) await operation(store)
    }
    assert.equal(told.length, 3)
  })

  test('is asked all the same without a breaker', async () => {
    const store = guarded(failing(new StoreError('refused')), { breaker: false })
    for (let call = 0; call < 100; call++) assert.equal(codeOf(await settledOf(store.load(['a']))), 'STORE_FAILED')
  })
})

describe('a slow shard', () => {
  test('leaves the others’ rows to a batch whose deadline has come', async () => {
    const held = twoShards()
    const store = guarded(held)
    const deadline = new AbortController()
    const load = outcomeOf(store.load(['a', 'b'], { signal: deadline.signal }))
    await clock.settle()
    held.calls[1]!.answer()
    await clock.settle()
    assert.equal(load.value, undefined)
    deadline.abort(new DeadlineError('late'))
    await clock.settle()
    const { rows, failed } = load.value as unknown as Loaded<number>
    assert.deepEqual([...rows.keys()], ['b'])
    assert.equal(failed?.get('a')?.code, 'DEADLINE_EXCEEDED')
  })

  test('makes only its own saves unknown, and those that were not begun are failed', async () => {
    const held = twoShards()
    const store = guarded(held, { concurrency: 1 })
    store.load(['c'])
    const deadline = new AbortController()
    const saves = ['a', 'b', 'c'].map((key) => ({ key, value: 1, floor: 1n }))
    const saving = outcomeOf(store.save(saves, { signal: deadline.signal }))
    await clock.settle()
    held.calls.find(({ keys }) => keys[0] === 'b')!.answer()
    await clock.settle()
    deadline.abort(new DeadlineError('late'))
    await clock.settle()
    assert.deepEqual(
      (saving.value as SaveStatus[]).map(({ state }) => state),
      ['unknown', 'saved', 'failed'],
    )
  })
})

test('a guarded reader reads, and saves nothing', async () => {
  const reader = guardStore(shardedReader<number>([memoryStore({ rows: [['a', 1]] })]), {}, parts())
  assert.equal((await reader.load(['a'])).rows.get('a')?.value, 1)
  assert.ok(!('save' in reader))
  assert.equal(reader.stats()[0]?.guard?.state, 'up')
})

test('options that cannot work are refused', () => {
  const wrong = [
    { concurrency: 0 },
    { minConcurrency: 5, concurrency: 4 },
    { queue: -1 },
    { wait: 'soon' },
    { breaker: { failureRate: 0 } },
    { breaker: { window: 1 } },
    { breaker: true },
    { size: 1 },
  ]
  for (const options of wrong)
    assert.throws(() => checkedGuardOptions(options as StoreGuardOptions, 'stores'), ConfigurationError, JSON.stringify(options))
})
