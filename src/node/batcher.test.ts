import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeError } from '../errors.ts'
import { batcherRig } from '../testing/batcher-rig.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import type { Sink } from './batch.ts'

test('each answer reaches the slot that asked, and null is told as undefined', async () => {
  const b = batcherRig()
  b.ask('a')
  b.ask('b')
  await b.clock.settle()
  b.batcher.land(b.flying[0]!, [null, 'B'])
  assert.deepEqual(
    b.told.map(({ slot, reply }) => [slot, reply]),
    [
      [0, undefined],
      [1, 'B'],
    ],
  )
})

test('a batch holds at most maxBatchKeys items and maxBatchBytes bytes, and an item larger than that goes alone', async () => {
  const b = batcherRig({ maxBatchKeys: 3, maxBatchBytes: 1_000, maxFlights: 100 })
  for (const key of ['a', 'b', 'c', 'd']) b.ask(key)
  b.ask('large', { bytes: 5_000 })
  b.ask('e', { bytes: 600 })
  b.ask('f', { bytes: 600 })
  await b.clock.settle()
  assert.deepEqual(b.sent, [['a', 'b', 'c'], ['d'], ['large'], ['e'], ['f']])
})

test('a lane that has learnt that its replies are large sends fewer keys at a time, of batches already waiting too', async () => {
  const b = batcherRig()
  let limit = 128
  const lane = b.batcher.lane<string, string>(b.send, { keysPerBatch: () => limit })
  for (const key of ['a', 'b', 'c', 'd', 'e']) b.ask(key, { lane })
  limit = 2
  await b.clock.settle()
  assert.deepEqual(b.sent, [
    ['a', 'b'],
    ['c', 'd'],
  ])
  await b.land()
  assert.deepEqual(b.sent[2], ['e'])
  await b.land()
  await b.land()
  assert.deepEqual(
    b.told.map(({ reply }) => reply),
    ['=a', '=b', '=c', '=d', '=e'],
  )
})

test('lanes take turns, and a lane of one flight leaves the other to the rest', async () => {
  const b = batcherRig({ maxBatchKeys: 1 })
  const bulk = b.batcher.lane<string, string>(b.send, { maxFlights: 1 })
  for (const key of ['B1', 'B2', 'B3']) b.ask(key, { lane: bulk })
  for (const key of ['a', 'b']) b.ask(key)
  await b.clock.settle()
  assert.deepEqual(b.sent.flat(), ['a', 'B1'])
  await b.land()
  assert.deepEqual(b.sent.flat(), ['a', 'B1', 'b'], 'small beside large')
  await b.land()
  assert.deepEqual(b.sent.flat(), ['a', 'B1', 'b', 'B2'], 'large is not starved either')
})

test('past maxQueue waiting items an item is refused at once with OverloadError', async () => {
  const b = batcherRig({ maxQueue: 3 })
  for (const key of ['a', 'b', 'c', 'd']) b.ask(key)
  assert.deepEqual(
    b.told.map(({ slot, error, sent }) => [slot, error?.code, sent]),
    [[3, 'OVERLOADED', false]],
  )
  await b.clock.settle()
  b.ask('e')
  assert.equal(b.told.length, 1, 'what was sent waits no longer')
})

test('past maxQueueBytes waiting bytes a write is refused, while one write of any size is taken', async () => {
  const b = batcherRig({ maxQueueBytes: 1_000 })
  const writes = b.batcher.lane<string, string>(b.send, { holdsBytes: true })
  b.ask('a', { lane: writes, bytes: 5_000 })
  b.ask('b', { lane: writes, bytes: 1 })
  b.ask('read', { bytes: 5_000 })
  assert.deepEqual(
    b.told.map(({ slot, error }) => [slot, error?.code]),
    [[1, 'OVERLOADED']],
  )
  await b.clock.settle()
  b.ask('c', { lane: writes, bytes: 900 })
  assert.equal(b.told.length, 1)
})

test('sent and waiting items fail with DeadlineError when their timeout is over, not before, and say which were sent', async () => {
  const b = batcherRig({ maxFlights: 1 })
  b.ask('sent')
  await b.clock.settle()
  b.ask('waiting')
  await b.clock.advance(49)
  assert.equal(b.told.length, 0)
  await b.clock.advance(1)
  assert.deepEqual(
    b.told.map(({ slot, error, sent, atMs }) => [slot, error?.code, sent, atMs]),
    [
      [0, 'DEADLINE_EXCEEDED', true, 50],
      [1, 'NODE_FAILED', false, 50],
    ],
  )
})

test('a waiting item whose own timeout is over is failed as not sent, and is never sent', async () => {
  const b = batcherRig({ maxFlights: 1 })
  b.ask('a')
  await b.clock.settle()
  b.ask('short', { timeoutMs: 5 })
  b.ask('long')
  await b.clock.advance(5)
  assert.deepEqual(
    b.told.map(({ slot, error, sent }) => [slot, error?.code, sent]),
    [[1, 'DEADLINE_EXCEEDED', false]],
  )
  await b.land()
  assert.deepEqual(b.sent, [['a'], ['long']])
})

test('timeouts shorter and longer than the usual one hold for their items alone', async () => {
  const b = batcherRig()
  b.ask('long', { timeoutMs: 300 })
  b.ask('usual')
  b.ask('short', { timeoutMs: 10 })
  await b.clock.advance(300)
  assert.deepEqual(
    b.told.map(({ slot, atMs }) => [slot, atMs]),
    [
      [2, 10],
      [1, 50],
      [0, 300],
    ],
  )
})

test('items added to one batch in one turn share a deadline; the next batch and the next turn take the time anew', async () => {
  const b = batcherRig({ maxBatchKeys: 2, maxFlights: 1, timeoutMs: 50 })
  for (const key of ['a', 'b', 'c']) {
    b.ask(key)
    b.clock.stall(2)
  }
  await b.clock.settle()
  b.ask('d')
  await b.clock.settle()
  await b.land()
  assert.deepEqual(b.sent, [
    ['a', 'b'],
    ['c', 'd'],
  ])
  await b.clock.advance(60)
  assert.deepEqual(
    b.told.slice(2).map(({ slot, atMs }) => [slot, atMs]),
    [
      [2, 54],
      [3, 56],
    ],
  )
})

test('a short timeout does not stall the connection for others', async () => {
  const b = batcherRig()
  b.ask('short', { timeoutMs: 5 })
  await b.clock.advance(10)
  assert.equal(b.batcher.stalled, false)
  b.ask('next')
  await b.clock.settle()
  assert.deepEqual(b.sent, [['short'], ['next']])
})

test('while a reply is overdue new items are refused at once, until it comes', async () => {
  const b = batcherRig()
  b.ask('frozen')
  await b.clock.advance(50)
  assert.equal(b.batcher.stalled, true)
  b.ask('refused')
  assert.equal(b.told[1]?.error?.code, 'NODE_FAILED')
  assert.equal(b.told[1]?.atMs, 50)
  await b.land()
  b.ask('taken')
  await b.clock.settle()
  await b.land()
  assert.deepEqual(b.told[2], { slot: 2, reply: '=taken', atMs: 50 })
})

test('a reply that had arrived when its deadline came is an answer', async () => {
  class PollingClock extends FakeClock {
    poll: () => void = () => {}
    override soon(task: () => void): void {
      super.soon(() => {
        this.poll()
        task()
      })
    }
  }
  const clock = new PollingClock()
  const b = batcherRig({}, clock)
  b.ask('a')
  await clock.settle()
  clock.poll = () => void b.land()
  await clock.advance(50)
  assert.deepEqual(b.told, [{ slot: 0, reply: '=a', atMs: 50 }])
})

test('a batch answered and then lost is told once, and counts as one flight', async () => {
  const b = batcherRig()
  for (const key of ['a', 'b']) {
    b.ask(key)
    await b.clock.settle()
  }
  const first = b.flying[0]!
  await b.land()
  b.batcher.lose(first, new NodeError('lost', 'n1'), true)
  b.batcher.land(first, ['again'])
  assert.equal(b.told.length, 1)
  assert.equal(b.batcher.flights, 1)
})

test('a late reply is discarded: nobody is told twice, and nobody is told what another asked', async () => {
  const b = batcherRig()
  b.ask('a')
  await b.clock.advance(60)
  await b.land()
  b.ask('b')
  await b.clock.settle()
  await b.land()
  assert.deepEqual(
    b.told.map(({ slot, reply, error }) => [slot, reply ?? error?.code]),
    [
      [0, 'DEADLINE_EXCEEDED'],
      [1, '=b'],
    ],
  )
})

test('a connection whose reply stays out for resetAfterMs more is reset once', async () => {
  const b = batcherRig()
  b.ask('a')
  await b.clock.advance(1_049)
  assert.deepEqual(b.resets, [])
  await b.clock.advance(1)
  assert.equal(b.resets.length, 1)
  b.batcher.lose(b.flying[0]!, new NodeError('reset', 'n1'), true)
  await b.clock.advance(5_000)
  assert.equal(b.resets.length, 1)
  assert.equal(b.batcher.stalled, false)
})

test('replies that arrived while the event loop was held up are answers, and what waited behind them is still sent', async () => {
  const b = batcherRig({ maxFlights: 1 })
  b.ask('a')
  await b.clock.settle()
  b.ask('b')
  b.clock.stall(400)
  const overdue = b.clock.advance(0)
  b.batcher.land(b.flying.shift()!, ['A'])
  await overdue
  await b.clock.settle()
  assert.deepEqual(b.sent, [['a'], ['b']])
  await b.land()
  assert.deepEqual(
    b.told.map(({ reply }) => reply),
    ['A', '=b'],
  )
})

test('a stalled event loop forgives once: an item still unanswered half a timeout later fails', async () => {
  const b = batcherRig()
  b.ask('a')
  await b.clock.settle()
  b.clock.stall(400)
  await b.clock.advance(0)
  assert.equal(b.told.length, 0)
  await b.clock.advance(25)
  assert.equal(b.told[0]?.error?.code, 'DEADLINE_EXCEEDED')
})

test('a lost batch fails its items and frees its flight', async () => {
  const b = batcherRig({ maxFlights: 1 })
  b.ask('a')
  await b.clock.settle()
  b.ask('b')
  b.batcher.lose(b.flying.shift()!, new NodeError('connection lost', 'n1', { outcome: 'unknown' }), true)
  await b.clock.settle()
  assert.equal(b.told[0]?.error?.message, 'connection lost')
  assert.deepEqual(b.sent, [['a'], ['b']])
})

test('refuse fails what waits and what comes, and accept takes items again', async () => {
  const b = batcherRig({ maxFlights: 1 })
  b.ask('a')
  await b.clock.settle()
  b.ask('b')
  b.batcher.refuse(() => new NodeError('not connected', 'n1'))
  b.ask('c')
  assert.deepEqual(
    b.told.map(({ slot, error, sent }) => [slot, error?.message, sent]),
    [
      [1, 'not connected', false],
      [2, 'not connected', false],
    ],
  )
  b.batcher.accept()
  b.ask('d')
  await b.land()
  assert.deepEqual(b.sent, [['a'], ['d']])
})

test('drained resolves once the last item is answered or failed, and close leaves no timer', async () => {
  const b = batcherRig()
  let drained = false
  b.ask('a')
  b.ask('b')
  void b.batcher.drained().then(() => {
    drained = true
  })
  await b.clock.settle()
  assert.equal(drained, false)
  await b.land()
  assert.equal(drained, true)
  b.batcher.close()
  assert.equal(b.clock.pendingTimers, 0)
})

test('a sink that throws costs no other item its answer, and its error is not swallowed', async () => {
  const b = batcherRig()
  const raised: unknown[] = []
  process.setUncaughtExceptionCaptureCallback((error) => raised.push(error))
  try {
    const fault = new Error('a fault in a sink')
    const thrower: Sink<string, string> = {
      answered: () => {
        throw fault
      },
      failed: () => {},
    }
    b.batcher.add(b.lane, 'a', thrower, 0, 1)
    b.ask('b')
    await b.clock.settle()
    await b.land()
    assert.equal(b.told[0]?.reply, '=b')
    assert.deepEqual(raised, [fault])
  } finally {
    process.setUncaughtExceptionCaptureCallback(null)
  }
})
