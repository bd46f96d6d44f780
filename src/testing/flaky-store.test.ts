import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../clock.ts'
import { StoreError } from '../errors.ts'
import { memoryStore } from '../store/memory-store.ts'
import { shardedStore } from '../store/sharded-store.ts'
import { FakeClock } from './fake-clock.ts'
import { flakyReader, flakyStore } from './flaky-store.ts'
import type { FlakyOptions } from './mishap.ts'
import { storeConformance } from './store-conformance.ts'

for (const versioned of [true, false]) {
  const kind = versioned ? '' : ' without versions'
  storeConformance({
    name: `a flaky store${kind} that has no mishaps`,
    versioned,
    remembersRemovals: versioned,
    create: async () => ({ store: flakyStore(memoryStore<unknown>({ versioned })), cleanup: async () => {} }),
  })
  storeConformance({
    name: `a flaky store${kind} whose answers come a little late`,
    versioned,
    remembersRemovals: versioned,
    create: async () => {
      const store = flakyStore(memoryStore<unknown>({ versioned }), { script: () => ({ lateMs: 0.01 }), clock: systemClock })
      return { store, cleanup: async () => store.mishaps.close() }
    },
  })
}

function flaky(options: FlakyOptions = {}) {
  const clock = new FakeClock()
  const store = memoryStore<number>()
  return { clock, store, flaky: flakyStore(store, { clock, ...options }) }
}

const one = (value: number) => [{ key: 'k', value, floor: 1n }]

describe('a flaky store', () => {
  test('fails a statement without making it, for this time or for good', async () => {
    const { flaky: store } = flaky()
    store.mishaps.next('fail', 'fail', 'refuse', 'refuse', 'fail')
    await assert.rejects(store.load(['k']), StoreError)
    const [failed, refused] = [await store.save(one(1)), await store.save(one(1))]
    assert.ok(failed[0]!.state === 'failed' && failed[0]!.forGood === undefined)
    assert.ok(refused[0]!.state === 'failed' && refused[0]!.forGood === true)
    await assert.rejects(store.load(['k']), StoreError)
    assert.equal((await store.remove([{ key: 'k', floor: 1n }]))[0]!.state, 'failed')
    assert.equal((await store.load(['k'])).rows.size, 0)
  })

  test('loses an answer after the commit, and a statement before it; both are unknown', async () => {
    const { flaky: store } = flaky()
    store.mishaps.next('lose-answer', 'lose-call', 'lose-answer')
    assert.equal((await store.save(one(1)))[0]!.state, 'unknown')
    assert.equal((await store.save(one(2)))[0]!.state, 'unknown')
    await assert.rejects(store.load(['k']), StoreError)
    assert.equal((await store.load(['k'])).rows.get('k')?.value, 1)
  })

  test('a late statement commits though its caller has given up, and is told to who counts what runs', async () => {
    const { flaky: store, clock } = flaky()
    store.mishaps.next({ delayMs: 500 }, { delayMs: 500 })
    const giveUp = new AbortController()
    const left: Promise<unknown>[] = []
    const call = { signal: giveUp.signal, leftRunning: (work: Promise<unknown>) => void left.push(work) }
    const [saving, loading] = [store.save(one(1), call), store.load(['k'], call)]
    await clock.advance(100)
    const reason = new Error('given up')
    giveUp.abort(reason)
    assert.equal((await saving)[0]!.state, 'unknown')
    await assert.rejects(loading, reason)
    let isOver = false
    const over = Promise.all(left).then(() => {
      isOver = true
    })
    await clock.advance(399)
    assert.deepEqual([left.length, isOver, (await store.load(['k'])).rows.size], [2, false, 0])
    await clock.advance(1)
    await over
    assert.equal((await store.load(['k'])).rows.get('k')?.value, 1)
    assert.equal(clock.pendingTimers, 0)
  })

  test('a statement that hangs ends with the timeout, as unknown', async () => {
    const { flaky: store, clock } = flaky({ timeout: '2s' })
    store.mishaps.down('silent')
    const saving = store.save(one(1))
    const loading = assert.rejects(store.load(['k']), /no answer within 2000 ms/)
    await clock.advance(2_000)
    assert.equal((await saving)[0]!.state, 'unknown')
    await loading
    store.mishaps.up()
    assert.equal((await store.load(['k'])).rows.size, 0)
  })

  test('a shard that is down leaves the others', async () => {
    const [up, down] = [flaky().flaky, flaky().flaky]
    const store = shardedStore([up, down], { shardOf: (key) => (key < 'm' ? 0 : 1) })
    await store.save(['a', 'z'].map((key) => ({ key, value: 1, floor: 1n })))
    down.mishaps.down()
    const { rows, failed } = await store.load(['a', 'z'])
    assert.deepEqual([[...rows.keys()], [...(failed?.keys() ?? [])]], [['a'], ['z']])
    down.mishaps.up()
    assert.equal((await store.load(['a', 'z'])).rows.size, 2)
  })

  test('keeps the name, the versions and the shards of what it decorates', () => {
    const inner = {
      ...memoryStore({ name: 'inner', versioned: false }),
      name: 'inner',
      versioned: false,
      shardOf: (key: string) => key[0]!,
    }
    const store = flakyStore(inner as unknown as ReturnType<typeof memoryStore>)
    assert.deepEqual([store.name, store.versioned, store.shardOf?.('xy')], ['inner', false, 'x'])
    assert.equal(flakyStore(memoryStore()).shardOf, undefined)
  })

  test('a reader alone can be flaky too', async () => {
    const reader = flakyReader(memoryStore({ rows: [['k', 1]] }))
    reader.mishaps.next('fail')
    await assert.rejects(reader.load(['k']), StoreError)
    assert.equal((await reader.load(['k'])).rows.get('k')?.value, 1)
    assert.equal(reader.stats()[0]!.queries, 1)
    assert.deepEqual(reader.mishaps.counts, { calls: 2, failed: 1, lostCalls: 0, lostAnswers: 0, delayed: 0, late: 0, down: 0 })
  })
})
