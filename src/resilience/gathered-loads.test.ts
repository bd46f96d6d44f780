import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { codeOf, failing, guardOf, HeldStore, outcomeOf, settledOf } from '../../tests/support/held-store.ts'
import { DeadlineError, StoreError } from '../errors.ts'
import { noEmit } from '../events.ts'
import type { Store } from '../store/store.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { checkedGuardOptions, guardStore, type StoreGuardOptions } from './guarded-store.ts'

let clock: FakeClock
beforeEach(() => {
  clock = new FakeClock()
})

function guarded(store: Store<number>, options: StoreGuardOptions = {}): Store<number> {
  return guardStore(store, checkedGuardOptions(options, 'stores'), { clock, random: seededRandom(1), emit: noEmit })
}

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

  test('are out of the line when they begin, whatever becomes of them', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1, queue: 2, breaker: false })
    for (let round = 0; round < 5; round++) {
      const loads = [1, 2, 3].map(() => outcomeOf(store.load(['a'])))
      await clock.settle()
      assert.deepEqual(loads.map(codeOf), [undefined, undefined, undefined], `in round ${round}`)
      held.calls[0]!.answer()
      await clock.settle()
      if (round % 2 === 0) held.calls[0]!.answer()
      else held.calls[0]!.fail(new StoreError('refused'))
      await clock.settle()
    }
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
