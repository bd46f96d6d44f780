import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { ConfigurationError, DeadlineError, EncodeError, OverloadError, StoreError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { memoryStore } from '../store/memory-store.ts'
import { shardedReader, shardedStore } from '../store/sharded-store.ts'
import type { Loaded, Removal, Save, SaveStatus, Store, StoreCall } from '../store/store.ts'
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

interface HeldCall {
  readonly keys: readonly string[]
  answer(): void
  fail(error: unknown): void
}

/** A database that answers when it is told to. `a…` and `b…` lie in different shards; it does not hear of aborts. */
class HeldStore implements Store<number> {
  readonly name = 'held'
  readonly versioned = true
  readonly calls: HeldCall[] = []
  most = 0
  begun = 0
  shardOf?: (key: string) => string
  readonly #store = memoryStore<number>()

  load(keys: readonly string[]): Promise<Loaded<number>> {
    return this.#hold(keys, () => ({ rows: new Map(keys.map((key) => [key, { value: key.length, version: 1n }])) }))
  }

  save(saves: readonly Save<number>[]): Promise<SaveStatus[]> {
    return this.#hold(
      saves.map(({ key }) => key),
      () => saves.map(() => ({ state: 'saved', version: 1n })),
    )
  }

  remove(removals: readonly Removal[]): Promise<SaveStatus[]> {
    return this.#hold(
      removals.map(({ key }) => key),
      () => removals.map(() => ({ state: 'saved', version: 1n })),
    )
  }

  stats() {
    return this.#store.stats()
  }

  #hold<T>(keys: readonly string[], work: () => T): Promise<T> {
    this.begun++
    return new Promise<T>((resolve, reject) => {
      const over = () => this.calls.splice(this.calls.indexOf(call), 1)
      const call: HeldCall = {
        keys,
        answer: () => {
          over()
          resolve(work())
        },
        fail: (error) => {
          over()
          reject(error)
        },
      }
      this.calls.push(call)
      this.most = Math.max(this.most, this.calls.length)
    })
  }
}

/** Two databases by the first letter of a key. */
function twoShards(): HeldStore {
  const store = new HeldStore()
  store.shardOf = (key) => key[0]!
  return store
}

const failing = (error: unknown): Store<number> => ({ ...memoryStore<number>(), name: 'failing', versioned: true, ...failingCalls(error) })
const failingCalls = (error: unknown) => ({
  load: () => Promise.reject(error),
  save: async (saves: readonly unknown[]) => saves.map((): SaveStatus => ({ state: 'failed', error: error as StoreError })),
  remove: async (removals: readonly unknown[]) => removals.map((): SaveStatus => ({ state: 'unknown', error: error as StoreError })),
  stats: () => [],
})

/** What a promise came to, once it is settled. */
function outcomeOf(promise: Promise<unknown>): { value?: unknown; error?: unknown } {
  const outcome: { value?: unknown; error?: unknown } = {}
  promise.then(
    (value) => {
      outcome.value = value
    },
    (error) => {
      outcome.error = error
    },
  )
  return outcome
}

/** Saves are not gathered: each has its own place in line. */
const save = (store: Store<number>, key: string, call?: StoreCall) => store.save([{ key, value: 1, floor: 1n }], call)
const codeOfSave = ({ value }: { value?: unknown }) => {
  const status = (value as SaveStatus[] | undefined)?.[0]
  return status?.state === 'failed' && status.error instanceof OverloadError ? status.error.reason : status?.state
}
const codeOf = (outcome: { error?: unknown }) => {
  const { error } = outcome
  return error instanceof OverloadError ? error.reason : (error as { code?: string } | undefined)?.code
}

const guardOf = (store: Store<number>) => guardStats(store)!
const guardStats = (store: Store<number>) => store.stats()[0]?.guard

for (const versioned of [true, false]) {
  storeConformance({
    name: versioned ? 'a guarded store' : 'a guarded store without versions',
    versioned,
    create: async () => ({ store: guarded(memoryStore<unknown>({ versioned })), cleanup: async () => {} }),
  })
}
storeConformance({
  name: 'a guarded sharded store',
  versioned: true,
  create: async () => ({ store: guarded(shardedStore([memoryStore<unknown>(), memoryStore<unknown>()])), cleanup: async () => {} }),
})

describe('what is under way', () => {
  test('is never more than the limit, and who comes above it gets its turn in order', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 3, minConcurrency: 3 })
    const loads = Array.from({ length: 8 }, (_, nth) => outcomeOf(store.load([`a${nth}`])))
    await clock.settle()
    assert.deepEqual(
      held.calls.map(({ keys }) => keys[0]),
      ['a0', 'a1', 'a2'],
    )
    held.calls[1]!.answer()
    await clock.settle()
    assert.deepEqual(
      held.calls.map(({ keys }) => keys[0]),
      ['a0', 'a2', 'a3'],
    )
    while (held.calls.length > 0) {
      held.calls[0]!.answer()
      await clock.settle()
    }
    assert.equal(held.most, 3)
    assert.ok(loads.every(({ value }) => value !== undefined))
    assert.equal(clock.pendingTimers, 0)
  })

  test('is by shard what the sharded store was made with', async () => {
    const held = twoShards()
    const store = guarded(Object.assign(held, { limits: { concurrency: 2, queue: 1 } }), { minConcurrency: 2 })
    const loads = ['a0', 'a1', 'a2', 'a3', 'b0'].map((key) => outcomeOf(store.load([key])))
    await clock.settle()
    assert.deepEqual(
      held.calls.map(({ keys }) => keys[0]),
      ['a0', 'a1', 'b0'],
    )
    assert.deepEqual(loads.map(codeOf), [undefined, undefined, undefined, 'full', undefined])
  })

  test('counts what its callers have given up until it is over, or for half a minute at most', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1, minConcurrency: 1, wait: '1h', breaker: false })
    const patience = new AbortController()
    const left = outcomeOf(store.load(['a'], { signal: patience.signal }))
    await clock.settle()
    patience.abort(new Error('enough'))
    await clock.settle()
    assert.match(String(left.error), /enough/)
    const next = outcomeOf(store.load(['b'], { withinMs: 3_600_000 }))
    await clock.advance(29_999)
    assert.equal(held.calls.length, 1)
    await clock.advance(1)
    assert.deepEqual(
      held.calls.map(({ keys }) => keys[0]),
      ['a', 'b'],
    )
    held.calls[0]!.answer()
    await clock.settle()
    assert.equal(guardOf(store).underWay, 1, 'the place was given back once')
    held.calls[0]!.answer()
    await clock.settle()
    assert.notEqual(next.value, undefined)
    assert.equal(guardOf(store).underWay, 0)
  })
})

test('a place is not lost, whenever its caller gives up', async () => {
  for (let microtasks = 0; microtasks < 12; microtasks++) {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1 })
    store.load(['a'])
    const patience = new AbortController()
    const next = outcomeOf(store.load(['b'], { signal: patience.signal }))
    await clock.settle()
    held.calls[0]!.answer()
    for (let passed = 0; passed < microtasks; passed++) await undefined
    patience.abort(new Error('enough'))
    await clock.settle()
    held.calls[0]?.answer()
    await clock.settle()
    assert.ok(next.value !== undefined || next.error !== undefined)
    assert.equal(guardOf(store).underWay, 0, `after ${microtasks} microtasks`)
  }
})

describe('what cannot be answered in time is shed', () => {
  test('at once when the line is full', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1, queue: 2 })
    const loads = Array.from({ length: 5 }, () => outcomeOf(store.load(['a'])))
    const saves = Array.from({ length: 3 }, () => outcomeOf(save(store, 'a')))
    await clock.settle()
    assert.deepEqual(loads.map(codeOf), [undefined, undefined, undefined, 'full', 'full'])
    assert.deepEqual(saves.map(codeOfSave), [undefined, undefined, 'full'])
    assert.equal(guardOf(store).shed, 3)
  })

  test('after its wait in line, and nothing is asked for it', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1, wait: 500 })
    store.load(['a'])
    const waiting = outcomeOf(save(store, 'b', { withinMs: 1_000 }))
    const hurried = outcomeOf(save(store, 'c', { withinMs: 200 }))
    const load = outcomeOf(store.load(['d'], { withinMs: 1_000 }))
    await clock.advance(200)
    assert.equal(codeOfSave(hurried), 'late')
    await clock.advance(299)
    assert.deepEqual([codeOfSave(waiting), codeOf(load)], [undefined, undefined])
    await clock.advance(1)
    assert.deepEqual([codeOfSave(waiting), codeOf(load)], ['late', 'late'])
    held.calls[0]!.answer()
    await clock.settle()
    assert.equal(held.begun, 1)
    assert.equal(clock.pendingTimers, 0)
  })

  test('at once when its turn is not to be expected in time', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1, wait: 500 })
    const first = store.load(['a'])
    await clock.settle()
    clock.stall(200)
    held.calls[0]!.answer()
    await first
    const saves = Array.from({ length: 6 }, () => outcomeOf(save(store, 'b', { withinMs: 1_000 })))
    await clock.settle()
    // One is asked, two would wait for 200 and 400 ms, another for 600.
    assert.deepEqual(saves.map(codeOfSave), [undefined, undefined, undefined, 'late', 'late', 'late'])
  })

  test('a caller whose deadline comes first is told that it was shed, one that gives up its own reason', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1 })
    store.load(['a'])
    const [deadline, own] = [new AbortController(), new AbortController()]
    const late = outcomeOf(store.load(['b'], { signal: deadline.signal }))
    const left = outcomeOf(store.load(['c'], { signal: own.signal }))
    await clock.settle()
    deadline.abort(new DeadlineError('late'))
    own.abort(new Error('enough'))
    await clock.settle()
    assert.equal(codeOf(late), 'late')
    assert.match(String(left.error), /enough/)
    assert.equal(guardOf(store).waiting, 0)
  })

  test('a save that is shed is failed with an OverloadError, and was not done', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1, queue: 0 })
    store.save([{ key: 'a', value: 1, floor: 1n }])
    await clock.settle()
    const [saved] = await store.save([{ key: 'b', value: 1, floor: 1n }])
    const [removed] = await store.remove([{ key: 'b', floor: 1n }])
    for (const status of [saved!, removed!]) {
      assert.equal(status.state, 'failed')
      assert.ok(status.state === 'failed' && status.error instanceof OverloadError && status.forGood === undefined)
    }
    assert.equal(held.begun, 1)
  })

  test('a flood of reads sheds no saves: they wait in a line of their own, and take turns', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1, queue: 4 })
    const reads = Array.from({ length: 10 }, () => outcomeOf(store.load(['read'])))
    const writes = ['w0', 'w1'].map((key) => outcomeOf(store.save([{ key, value: 1, floor: 1n }])))
    const order: string[] = []
    for (let turn = 0; turn < 4; turn++) {
      await clock.settle()
      order.push(held.calls[0]!.keys[0]!)
      held.calls[0]!.answer()
    }
    await clock.settle()
    assert.deepEqual(order, ['read', 'w0', 'read', 'w1'])
    assert.equal(reads.filter((read) => codeOf(read) === 'full').length, 5)
    assert.ok(writes.every(({ value }) => (value as SaveStatus[])[0]!.state === 'saved'))
  })
})

describe('loads that would wait', () => {
  test('are gathered into one, and each is told of its own keys', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1 })
    const first = store.load(['a'])
    const others = [['b', 'c'], ['c'], ['d']].map((keys) => store.load(keys))
    await clock.settle()
    held.calls[0]!.answer()
    await first
    await clock.settle()
    assert.deepEqual(
      held.calls.map(({ keys }) => keys),
      [['b', 'c', 'd']],
    )
    const [later] = [store.load(['e'])]
    held.calls[0]!.answer()
    const answers = await Promise.all(others)
    assert.deepEqual(
      answers.map(({ rows }) => [...rows.keys()]),
      [['b', 'c'], ['c'], ['d']],
    )
    await clock.settle()
    assert.deepEqual(held.calls[0]!.keys, ['e'], 'who comes when it has begun goes with the next')
    held.calls[0]!.answer()
    await later
    assert.equal(held.begun, 3)
  })

  test('of many keys are several', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1 })
    store.load(['first'])
    for (let nth = 0; nth < 11; nth++) store.load(Array.from({ length: 100 }, (_, at) => `${nth} ${at}`))
    const sizes: number[] = []
    for (let turn = 0; turn < 4; turn++) {
      await clock.settle()
      sizes.push(held.calls[0]!.keys.length)
      held.calls[0]!.answer()
    }
    assert.deepEqual(sizes, [1, 500, 500, 100])
  })

  test('go on for the others when one of their callers leaves, and are given up with the last', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1, breaker: false })
    const patience = [1, 2, 3].map(() => new AbortController())
    store.load(['first'])
    const loads = patience.map(({ signal }, nth) => outcomeOf(store.load([`k${nth}`], { signal })))
    await clock.settle()
    patience[0]!.abort(new Error('enough'))
    await clock.settle()
    assert.match(String(loads[0]!.error), /enough/)
    held.calls[0]!.answer()
    await clock.settle()
    assert.deepEqual(held.calls[0]!.keys, ['k1', 'k2'], 'who left before it began is not asked for')
    patience[1]!.abort(new DeadlineError('late'))
    await clock.settle()
    assert.equal((loads[1]!.error as DeadlineError).code, 'DEADLINE_EXCEEDED')
    assert.equal(guardOf(store).failed, 0, 'another waits still')
    patience[2]!.abort(new DeadlineError('late'))
    await clock.settle()
    assert.equal((loads[2]!.error as DeadlineError).code, 'DEADLINE_EXCEEDED')
    assert.equal(guardOf(store).failed, 1)
    const unwanted = new AbortController()
    const last = outcomeOf(store.load(['x'], { signal: unwanted.signal }))
    await clock.settle()
    unwanted.abort(new Error('enough'))
    held.calls[0]!.answer()
    await clock.settle()
    assert.match(String(last.error), /enough/)
    assert.equal(held.begun, 2, 'what nobody waits for is not begun')
    assert.deepEqual([guardOf(store).underWay, guardOf(store).waiting, clock.pendingTimers], [0, 0, 0])
  })

  test('fail together, and tell each of its own failures', async () => {
    const store = guarded(
      {
        ...failing(new Error()),
        load: async (keys) => ({ rows: new Map(), failed: new Map(keys.map((key) => [key, new StoreError(key)])) }),
      },
      { concurrency: 1 },
    )
    const loads = await Promise.all([['a'], ['b'], ['c']].map((keys) => store.load(keys)))
    assert.deepEqual(
      loads.map(({ failed }) => [...failed!.values()].map(({ message }) => message)),
      [['a'], ['b'], ['c']],
    )
    const away = guarded(failing(new StoreError('away')), { concurrency: 1 })
    const outcomes = await Promise.all([['a'], ['b'], ['c']].map((keys) => settledOf(away.load(keys))))
    assert.deepEqual(outcomes.map(codeOf), ['STORE_FAILED', 'STORE_FAILED', 'STORE_FAILED'])
  })
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
    assert.equal(guardOf(store).state, 'returning')
    assert.equal(held.calls.length, 3)
    assert.deepEqual(probes.map(codeOf), [undefined, undefined, undefined, 'open', 'open'])
    for (const call of [...held.calls]) call.answer()
    await clock.settle()
    assert.deepEqual(told, ['shard:down ', 'shard:up '])
    await clock.advance(5_000)
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

test('whatever comes: the cap holds, every call settles once, and no place is lost', async () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ what: fc.constantFrom('load', 'save'), keys: fc.subarray(['a0', 'a1', 'b0', 'b1'], { minLength: 1 }) }),
    },
    { weight: 4, arbitrary: fc.record({ what: fc.constantFrom('answer', 'answer', 'answer', 'fail'), nth: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constantFrom('abort', 'deadline'), nth: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('wait'), ms: fc.constantFrom(1, 60, 400) }) },
  ) as fc.Arbitrary<{ what: string; keys: string[]; nth: number; ms: number }>
  const law = fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (steps, concurrency) => {
    clock = new FakeClock()
    const held = twoShards()
    const store = guarded(held, { concurrency, queue: 3, wait: 500, breaker: { minimumCalls: 3 } })
    const calls: { settled: number; abort: AbortController }[] = []
    const begin = (work: (call: StoreCall) => Promise<unknown>) => {
      const call = { settled: 0, abort: new AbortController() }
      calls.push(call)
      const count = () => void call.settled++
      work({ signal: call.abort.signal, withinMs: 1_000 }).then(count, count)
    }
    for (const { what, keys, nth, ms } of steps) {
      if (what === 'load') begin((call) => store.load(keys, call))
      else if (what === 'save')
        begin((call) =>
          store.save(
            keys.map((key) => ({ key, value: 1, floor: 1n })),
            call,
          ),
        )
      else if (what === 'answer') held.calls[nth % held.calls.length]?.answer()
      else if (what === 'fail') held.calls[nth % held.calls.length]?.fail(new StoreError('refused'))
      else if (what === 'wait') await clock.advance(ms)
      else calls[nth]?.abort.abort(what === 'abort' ? new Error('enough') : new DeadlineError('late'))
      await clock.settle()
      for (const shard of ['a', 'b']) {
        const underWay = held.calls.filter((call) => call.keys[0]!.startsWith(shard)).length
        assert.ok(underWay <= concurrency, `${underWay} calls at once`)
      }
    }
    for (let left = 400; held.calls.length > 0 && left > 0; left--) {
      held.calls[0]!.answer()
      await clock.settle()
    }
    await clock.advance(60_000)
    assert.ok(calls.every(({ settled }) => settled === 1))
    assert.equal(clock.pendingTimers, 0)
    // Every place is free again: as many calls as ever are under way at once.
    for (let call = 0; call < 20; call++) {
      const load = outcomeOf(store.load(['a0']))
      await clock.advance(1_600)
      held.calls[0]?.answer()
      await clock.settle()
      if (call > 5) assert.notEqual(load.value, undefined)
    }
    assert.equal(held.calls.length, 0)
  })
  await fc.assert(law, { numRuns: 150 })
})

async function settledOf(promise: Promise<unknown>): Promise<{ value?: unknown; error?: unknown }> {
  const outcome = outcomeOf(promise)
  await promise.catch(() => {})
  return outcome
}
