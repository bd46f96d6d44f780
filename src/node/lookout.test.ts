import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeError } from '../errors.ts'
import { batcherRig } from '../testing/batcher-rig.ts'
import type { NodeObserver } from './node.ts'

/** A batcher whose reads are late after 5 ms, and what it told. */
function watched() {
  const told: string[] = []
  const late: string[] = []
  const observer: NodeObserver = {
    lateAfterMs: 5,
    landed: (calls, tookMs, reads) => void told.push(`${calls} ${reads ? 'reads' : 'writes'} in ${tookMs} ms`),
    lost: (calls, error, tookMs) => void told.push(`${calls} lost after ${tookMs} ms: ${error.code}`),
  }
  const b = batcherRig({ observer })
  const reads = b.batcher.lane<string, string>(b.send, { reads: true })
  const ask = (key: string, timeoutMs?: number): void => {
    const sink = { ...b.sink, late: () => void late.push(`${key} at ${b.clock.monotonic()}`) }
    b.batcher.add(reads, key, sink, 0, 100, timeoutMs)
  }
  return { ...b, told, late, read: ask }
}

test('reads that are not answered in the time given are told once that they are late, those that wait to be sent too', async () => {
  const { clock, late, read } = watched()
  read('a')
  await clock.advance(1)
  read('b')
  await clock.advance(1)
  read('c')
  await clock.advance(4)
  assert.deepEqual(late, ['a at 5', 'b at 6'])
  await clock.advance(20)
  assert.deepEqual(late, ['a at 5', 'b at 6', 'c at 7'])
})

test('what is answered in time, and what is no read, is told nothing, and no timer is left', async () => {
  const { clock, late, read, ask, land, batcher } = watched()
  read('a')
  ask('written')
  await clock.settle()
  await land()
  await clock.advance(4)
  await land()
  await clock.advance(40)
  assert.deepEqual(late, [])
  batcher.close()
  assert.equal(clock.pendingTimers, 0)
})

test('what has arrived by the time the timer runs is read before anything is called late', async () => {
  const { clock, late, read, batcher, flying } = watched()
  const after = clock.after.bind(clock)
  clock.after = (delayMs, task) =>
    after(delayMs, () => {
      task()
      // As a socket that is read in the same turn, after its timers.
      if (delayMs === 5) batcher.land(flying[0]!, ['A'])
    })
  read('a')
  await clock.advance(40)
  assert.equal(flying[0]!.landed, true)
  assert.deepEqual(late, [])
})

test('the observer is told of each batch that landed with what it took, and of what was lost of one that had been sent', async () => {
  const { clock, told, read, ask, land, batcher, flying } = watched()
  read('a')
  read('b')
  await clock.advance(3)
  await land()
  ask('w')
  await clock.advance(2)
  await land()
  read('c')
  await clock.advance(50)
  read('d')
  batcher.lose(flying[0]!, new NodeError('lost', 'n1', { outcome: 'unknown' }), true)
  assert.deepEqual(told, ['2 reads in 3 ms', '1 writes in 2 ms', '1 lost after 50 ms: DEADLINE_EXCEEDED'])
})
