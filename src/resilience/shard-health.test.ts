import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { guardOf, HeldStore, outcomeOf, twoShards } from '../../tests/support/held-store.ts'
import { StoreError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { checkedGuardOptions, guardStore, type MadeGuard, type StoreGuardOptions } from './guarded-store.ts'
import { ShardHealth } from './shard-health.ts'

let clock: FakeClock
let told: string[]
let reasons: string[]
beforeEach(() => {
  clock = new FakeClock()
  told = []
  reasons = []
})

const emit: Emit = (name, payload) => {
  if (!name.startsWith('shard:')) return
  const { shard, reason } = payload as { shard: string; reason?: string }
  told.push(`${name.slice('shard:'.length)}${shard === '' ? '' : ` ${shard}`}`)
  if (reason !== undefined) reasons.push(reason)
}

/** A guarded database, each of whose calls comes to what is said of it. */
function shardOf(options: StoreGuardOptions = {}, held = new HeldStore()) {
  const guards: MadeGuard[] = []
  const made = (guard: MadeGuard) => void guards.push(guard)
  const store = guardStore(held, checkedGuardOptions(options, 'stores'), { clock, random: () => 0, emit, made })
  const call = async (end: (held: HeldStore) => void, key = 'a') => {
    const load = outcomeOf(store.load([key]))
    await clock.settle()
    if (held.calls.length > 0) end(held)
    await clock.settle()
    return load
  }
  const answer = (held: HeldStore) => held.calls.at(-1)!.answer()
  const fail = (held: HeldStore) => held.calls.at(-1)!.fail(new StoreError('refused'))
  return {
    close: () => guards.forEach((guard) => void guard.close()),
    state: () => guardOf(store).state,
    calls: async (count: number, failed = 0, key = 'a') => {
      for (let nth = 0; nth < count; nth++) await call(nth < count - failed ? answer : fail, key)
    },
    /** One after the other, each taking so long. */
    timed: async (count: number, tookMs: number) => {
      for (let nth = 0; nth < count; nth++) {
        const load = outcomeOf(store.load(['a']))
        await clock.advance(tookMs)
        held.calls[0]!.answer()
        await clock.settle()
        assert.notEqual(load.value, undefined, 'it is asked as ever')
      }
    },
    held,
    silentTry: () => call(() => {}),
  }
}

function healthOf(): ShardHealth {
  return new ShardHealth({ clock, failureRate: 0.5, windowMs: 5_000, changed: (state) => void told.push(state) })
}

describe('a shard of whose calls a part fails', () => {
  test('is suspect, told of once, asked as ever, and up when nothing has spoken against it for a window', async () => {
    const { calls, state } = shardOf()
    await calls(10, 2)
    assert.deepEqual([told, state()], [[], 'up'], 'two are chance')
    await calls(20, 1)
    assert.deepEqual([told, state()], [['suspect'], 'suspect'])
    assert.deepEqual(reasons, ['3 of 30 calls failed, the last: refused'])
    await calls(8, 1)
    await clock.advance(4_000)
    await calls(10, 1)
    assert.deepEqual(told, ['suspect'])
    await clock.advance(4_999)
    assert.deepEqual([told, state()], [['suspect'], 'suspect'])
    await clock.advance(1)
    assert.deepEqual([told, state()], [['suspect', 'up'], 'up'])
    assert.equal(clock.pendingTimers, 0)
  })

  test('at the edge is not told of again and again: what keeps it suspect would not have made it so', async () => {
    const seven = async ({ calls }: ReturnType<typeof shardOf>) => {
      for (let second = 0; second < 30; second++) {
        await calls(28, 2)
        await clock.advance(1_000)
      }
    }
    const well = shardOf()
    await well.calls(60)
    await seven(well)
    assert.deepEqual(told, [])
    const worse = shardOf()
    await worse.calls(30, 6)
    await seven(worse)
    assert.deepEqual(told, ['suspect'])
    await clock.advance(5_000)
    assert.deepEqual(told, ['suspect', 'up'])
  })

  test('is found so without a breaker, and never down', async () => {
    const { calls, state } = shardOf({ breaker: false })
    await calls(100, 100)
    assert.deepEqual([told, state()], [['suspect'], 'suspect'])
  })

  test('is suspect for as long as a longer window of the breaker', async () => {
    const { calls } = shardOf({ breaker: { window: '1m' } })
    await calls(30, 3)
    for (let tenSeconds = 0; tenSeconds < 12; tenSeconds++) {
      await clock.advance(10_000)
      await calls(8, 1)
    }
    assert.deepEqual(told, ['suspect'])
    await clock.advance(60_000)
    assert.deepEqual(told, ['suspect', 'up'])
  })

  test('is told of alone', async () => {
    const { calls } = shardOf({}, twoShards())
    await calls(20, 0, 'b')
    await calls(20, 4, 'a')
    assert.deepEqual(told, ['suspect a'])
  })

  test('is told of no more once its tier is closed, which leaves no timer', async () => {
    const { calls, close } = shardOf()
    await calls(10, 3)
    assert.equal(clock.pendingTimers, 1)
    close()
    assert.equal(clock.pendingTimers, 0)
    await clock.advance(60_000)
    assert.deepEqual(told, ['suspect'])
    const health = healthOf()
    health.close()
    health.failed(9, 9, '')
    assert.equal(clock.pendingTimers, 0)
    assert.deepEqual(told, ['suspect'], 'those that were under way tell nothing either')
  })
})

describe('a shard that is lost', () => {
  const lose = async () => {
    const shard = shardOf()
    await shard.calls(10, 10)
    return shard
  }

  test('is suspect, down, returning once a try was answered, and up when as many were as close the breaker', async () => {
    const { calls, state } = await lose()
    assert.deepEqual([told, state()], [['suspect', 'down'], 'down'])
    assert.deepEqual(reasons, ['3 of 3 calls failed, the last: refused', '10 of 10 calls failed, the last: refused'])
    await clock.advance(250)
    assert.equal(state(), 'down')
    await calls(1)
    assert.deepEqual([told, state()], [['suspect', 'down', 'returning'], 'returning'])
    await calls(1)
    assert.equal(told.length, 3)
    await calls(1)
    assert.deepEqual([told, state()], [['suspect', 'down', 'returning', 'up'], 'up'])
    await calls(10)
    await clock.advance(60_000)
    assert.equal(told.length, 4)
    assert.equal(clock.pendingTimers, 0)
  })

  test('is down still, and told of no more, however many tries fail or are not answered', async () => {
    const { calls, silentTry, state } = await lose()
    for (let tried = 0; tried < 20; tried++) {
      await clock.advance(750)
      if (tried < 10) await calls(1, 1)
      else await silentTry()
    }
    assert.deepEqual([told, state()], [['suspect', 'down'], 'down'])
  })

  test('is not returning for answers to calls that began before', async () => {
    const { calls, silentTry, state, held } = shardOf({ minConcurrency: 4 })
    for (let begun = 0; begun < 2; begun++) await silentTry()
    const early = [...held.calls]
    await calls(10, 10)
    early[0]!.answer()
    await clock.settle()
    assert.deepEqual(told, ['suspect', 'down'])
    await clock.advance(250)
    await silentTry()
    early[1]!.answer()
    await clock.settle()
    assert.deepEqual([told, state()], [['suspect', 'down'], 'down'])
    held.calls[0]!.answer()
    await clock.settle()
    assert.equal(state(), 'returning')
  })

  test('is not suspect for calls that began before', () => {
    const health = healthOf()
    health.turned({ state: 'open', from: 'closed', failures: 10, calls: 10 }, '')
    health.failed(9, 9, '')
    assert.deepEqual(told, ['down'])
  })

  test('stays returning where some tries fail and some are answered, and is down again when none was for a window', async () => {
    const { calls, state } = await lose()
    for (let tried = 0; tried < 20; tried++) {
      await clock.advance(750)
      await calls(2, 1)
    }
    assert.deepEqual([told, state()], [['suspect', 'down', 'returning'], 'returning'])
    for (let tried = 0; tried < 10; tried++) {
      await clock.advance(750)
      await calls(1, 1)
    }
    assert.deepEqual([told, state()], [['suspect', 'down', 'returning', 'down'], 'down'])
    assert.equal(reasons.at(-1), 'calls that try it are not answered any more, the last: refused')
    await clock.advance(750)
    await calls(3)
    assert.deepEqual(told.slice(4), ['returning', 'up'])
  })
})

describe('a shard that is slow', () => {
  test('is suspect when its calls take far longer than is usual for a second, and up when they do not for a window', async () => {
    const { timed, state } = shardOf()
    await timed(100, 4)
    await timed(4, 300)
    assert.deepEqual(told, [], 'it has only begun')
    await timed(8, 300)
    assert.deepEqual([told, state()], [['suspect'], 'suspect'])
    assert.match(reasons[0]!, /^calls take 300 ms, where \d are usual$/)
    await timed(20, 300)
    // Twice as slow and 10 ms more: would not make it suspect, and keeps it so.
    await timed(500, 20)
    assert.deepEqual(told, ['suspect'])
    await timed(1_500, 4)
    assert.deepEqual([told, state()], [['suspect', 'up'], 'up'])
    await timed(500, 20)
    assert.deepEqual(told, ['suspect', 'up'])
  })

  test('is not one that takes 300 ms always, nor one of which a few calls do', async () => {
    const slow = shardOf()
    await slow.timed(200, 300)
    const mixed = shardOf()
    await mixed.timed(100, 4)
    for (let round = 0; round < 20; round++) {
      await mixed.timed(5, 4)
      await mixed.timed(1, 300)
    }
    assert.deepEqual(told, [])
  })

  const windows = async (health: ShardHealth, forMs: number, medianMs: number, everyMs = 500, calls = 8) => {
    for (let passedMs = 0; passedMs < forMs; passedMs += everyMs) {
      await clock.advance(everyMs)
      health.windowEnded(medianMs, calls)
    }
  }

  test('for good is so as usual, after some minutes', async () => {
    const health = healthOf()
    await windows(health, 30_000, 4)
    await windows(health, 240_000, 300)
    assert.deepEqual(told, ['suspect'])
    await windows(health, 900_000, 300)
    assert.deepEqual(told, ['suspect', 'up'])
  })

  test('is not one that is as busy as ever after a lull, nor is a slow beginning what is usual', async () => {
    const health = healthOf()
    await windows(health, 600_000, 25)
    await windows(health, 60_000, 2)
    await windows(health, 600_000, 25)
    assert.deepEqual(told, [])
    const cold = healthOf()
    await windows(cold, 5_000, 400)
    await windows(cold, 60_000, 4)
    await windows(cold, 2_000, 100)
    assert.deepEqual(told, ['suspect'])
  })

  test('is not one that is asked now and then, for calls far from each other are no row', async () => {
    const health = healthOf()
    await windows(health, 30_000, 4)
    await windows(health, 60_000, 300, 6_000, 1)
    assert.deepEqual(told, [])
    await windows(health, 6_000, 4, 6_000, 1)
    await windows(health, 3_000, 300, 1_000, 1)
    assert.deepEqual(told, [], 'three calls are few')
    await windows(health, 1_000, 300, 1_000, 1)
    assert.deepEqual(told, ['suspect'])
  })
})

test('whatever comes: each change is told once and in turn, and what is well again is up', async () => {
  const step = fc.oneof(
    fc.record({ what: fc.constantFrom('answered', 'failed'), count: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ what: fc.constant('wait'), count: fc.integer({ min: 1, max: 3_000 }) }),
    fc.record({ what: fc.constant('slow'), count: fc.integer({ min: 1, max: 6 }) }),
  )
  const turns = ['up>suspect', 'up>down', 'suspect>up', 'suspect>down', 'down>returning', 'returning>down', 'returning>up']
  const law = fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer(), async (steps, seed) => {
    clock = new FakeClock()
    let state = 'up'
    let sinceMs = 0
    const tell: Emit = (name) => {
      const next = name.slice('shard:'.length)
      assert.ok(turns.includes(`${state}>${next}`), `${state}>${next}`)
      const nowMs = clock.monotonic()
      if (`${state}>${next}` === 'suspect>up' || `${state}>${next}` === 'returning>down')
        assert.ok(nowMs - sinceMs >= 5_000, `${state}>${next}`)
      state = next
      sinceMs = nowMs
    }
    const held = new HeldStore()
    const store = guardStore(held, {}, { clock, random: seededRandom(seed), emit: tell })
    const call = async (isWell: boolean, tookMs = 0) => {
      const load = outcomeOf(store.load(['a']))
      await clock.settle()
      await clock.advance(tookMs)
      if (isWell) held.calls[0]?.answer()
      else held.calls[0]?.fail(new StoreError('refused'))
      await clock.settle()
      assert.ok(load.value !== undefined || load.error !== undefined)
      assert.equal(guardOf(store).state, state)
    }
    for (const { what, count } of steps) {
      if (what === 'wait') await clock.advance(count)
      else for (let nth = 0; nth < count; nth++) await call(what !== 'failed', what === 'slow' ? 400 : 0)
    }
    await clock.advance(750)
    for (let tried = 0; tried < 3; tried++) await call(true)
    await clock.advance(5_000)
    assert.equal(state, 'up')
    assert.equal(guardOf(store).state, 'up')
    assert.equal(clock.pendingTimers, 0)
  })
  await fc.assert(law, { numRuns: 150 })
})
