import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { codeOf, codeOfSave, guardOf, HeldStore, outcomeOf, save, twoShards } from '../../tests/support/held-store.ts'
import { DeadlineError, OverloadError, StoreError } from '../errors.ts'
import { noEmit } from '../events.ts'
import type { SaveStatus, Store, StoreCall } from '../store/store.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { checkedGuardOptions, guardStore, type MadeGuard, type StoreGuardOptions } from './guarded-store.ts'

let clock: FakeClock
beforeEach(() => {
  clock = new FakeClock()
})

function guarded(store: Store<number>, options: StoreGuardOptions = {}, made?: (guard: MadeGuard) => void): Store<number> {
  return guardStore(store, checkedGuardOptions(options, 'stores'), { clock, random: seededRandom(1), emit: noEmit, made })
}

/** So many keys that no other load goes with them. */
const statementOf = (key: string): string[] => Array.from({ length: 500 }, (_, nth) => (nth === 0 ? key : `${key}-${nth}`))

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

  test('counts what an answered call has left running until that is over, and for no longer than 30 s', async () => {
    const left = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const running = left.values()
    const leaving = async (saves: readonly unknown[], call?: StoreCall): Promise<SaveStatus[]> => {
      call?.leftRunning?.(running.next().value!.promise)
      return saves.map(() => ({ state: 'saved', version: 1n }))
    }
    const store = guarded(Object.assign(new HeldStore(), { save: leaving }), { concurrency: 2, minConcurrency: 2 })
    for (const key of ['a', 'b']) assert.equal((await save(store, key))[0]!.state, 'saved')
    await clock.advance(29_999)
    assert.equal(guardOf(store).underWay, 2)
    left[0]!.resolve()
    await clock.settle()
    assert.equal(guardOf(store).underWay, 1)
    await clock.advance(1)
    assert.equal(guardOf(store).underWay, 0)
    assert.equal(clock.pendingTimers, 0)
  })

  test('is left alone when the tier is closed: who waits is refused, nobody comes after, and no timer stays', async () => {
    const held = new HeldStore()
    const guards: MadeGuard[] = []
    const store = guarded(held, { concurrency: 2, minConcurrency: 2 }, (guard) => guards.push(guard))
    const left = new AbortController()
    outcomeOf(save(store, 'left', { signal: left.signal }))
    const underWay = outcomeOf(save(store, 'under way'))
    const waiting = save(store, 'waiting')
    await clock.settle()
    left.abort(new DeadlineError('late'))
    await clock.settle()
    assert.ok(clock.pendingTimers > 0)
    for (const guard of guards) guard.close()
    assert.equal(clock.pendingTimers, 0)
    for (const refused of [(await waiting)[0]!, (await save(store, 'late'))[0]!])
      assert.equal(refused.state === 'failed' && refused.error.code, 'CLOSED')
    held.calls.find(({ keys }) => keys[0] === 'under way')!.answer()
    await clock.settle()
    assert.equal((underWay.value as SaveStatus[])[0]!.state, 'saved')
    assert.equal(guardOf(store).underWay, 0)
  })

  test('becomes more while nothing has been answered, at once and again a window later, for who is in line', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 16 })
    for (let nth = 0; nth < 30; nth++) outcomeOf(store.load(statementOf(`a${nth}`)))
    await clock.settle()
    assert.equal(held.calls.length, 8)
    await clock.advance(250)
    assert.equal(held.calls.length, 16)
    await clock.advance(2_000)
    assert.equal(held.calls.length, 16)
    for (const call of [...held.calls]) call.answer()
    await clock.settle()
    assert.equal(clock.pendingTimers, 0)
  })

  test('is one more for a removal that is sent again, up to the cap, while others wait', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 10 })
    for (let nth = 0; nth < 30; nth++) outcomeOf(store.load(statementOf(`a${nth}`)))
    await clock.settle()
    const before = held.calls.length
    assert.ok(before < 10)
    for (let nth = before; nth < 12; nth++) outcomeOf(store.remove([{ key: `r${nth}`, floor: 1n, ifOlder: true, again: true }]))
    outcomeOf(store.remove([{ key: 'plain', floor: 1n }]))
    await clock.settle()
    assert.equal(held.calls.length, 10)
    assert.deepEqual(
      held.calls.slice(before).map(({ keys }) => keys[0]![0]),
      Array(10 - before).fill('r'),
    )
    while (held.calls.length > 0) {
      held.calls[0]!.answer()
      await clock.settle()
    }
    assert.equal(held.most, 10)
    assert.equal(clock.pendingTimers, 0)
  })

  test('is by shard what the sharded store was made with', async () => {
    const held = twoShards()
    const store = guarded(Object.assign(held, { limits: { concurrency: 2, queue: 1 } }), { minConcurrency: 2 })
    const loads = ['a0', 'a1', 'a2', 'a3', 'b0'].map((key) => outcomeOf(store.load(statementOf(key))))
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
    const loads = Array.from({ length: 5 }, () => outcomeOf(store.load(statementOf('a'))))
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
    assert.deepEqual([codeOfSave(waiting), codeOf(load)], [undefined, 'late'])
    // A write waits for as long as its caller.
    await clock.advance(500)
    assert.equal(codeOfSave(waiting), 'late')
    held.calls[0]!.answer()
    await clock.settle()
    assert.equal(held.begun, 1)
    assert.equal(clock.pendingTimers, 0)
  })

  test('at once when its turn is not to be expected in time', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1 })
    const first = store.load(['a'])
    await clock.settle()
    clock.stall(200)
    held.calls[0]!.answer()
    await first
    const saves = Array.from({ length: 6 }, () => outcomeOf(save(store, 'b', { withinMs: 700 })))
    await clock.settle()
    // One is asked, two would wait for 200 and 400 ms and take 200 more, another for 600.
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
    const reads = Array.from({ length: 10 }, () => outcomeOf(store.load(statementOf('read'))))
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

  test('but not who has its turn soon, however many of the other kind are in line', async () => {
    const held = new HeldStore()
    const store = guarded(held, { concurrency: 1 })
    const first = store.load(['a'])
    await clock.settle()
    clock.stall(100)
    held.calls[0]!.answer()
    await first
    const saves = Array.from({ length: 6 }, () => outcomeOf(save(store, 'b', { withinMs: 1_000 })))
    await clock.settle()
    // Half of a caller's time is enough for the call under way and one more, not for six; and of two reads the second would have three before it.
    const reads = Array.from({ length: 2 }, () => outcomeOf(store.load(statementOf('read'), { withinMs: 600 })))
    await clock.settle()
    assert.deepEqual([...reads.map(codeOf), ...saves.map(codeOfSave)], [undefined, 'late', ...Array.from({ length: 6 }, () => undefined)])
    const order: string[] = []
    for (let turn = 0; turn < 3; turn++) {
      order.push(held.calls[0]!.keys[0]!)
      held.calls[0]!.answer()
      await clock.settle()
    }
    assert.ok(order.includes('read'), `asked were ${order}`)
  })
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
