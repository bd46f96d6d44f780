import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../clock.ts'
import { batcherRig } from '../testing/batcher-rig.ts'

test('an item asked of an idle connection leaves at the end of the same turn, with no time passing', async () => {
  const b = batcherRig()
  b.ask('a')
  assert.deepEqual(b.sent, [], 'not before the turn is over')
  await b.clock.settle()
  assert.deepEqual(b.sent, [['a']])
  assert.equal(b.clock.monotonic(), 0)
})

test('items asked in one turn leave as one batch, those asked by promises that continue in it included', async () => {
  const b = batcherRig()
  const later = async (depth: number, key: string) => {
    for (let i = 0; i < depth; i++) await Promise.resolve()
    b.ask(key)
  }
  b.ask('a')
  await Promise.all([later(1, 'b'), later(7, 'c'), later(20, 'd')])
  await b.clock.settle()
  assert.deepEqual(b.sent, [['a', 'b', 'c', 'd']])
})

test('items asked by synchronous code and by the promises that continue after it leave as one batch', async () => {
  const b = batcherRig()
  systemClock.soon(() => {
    b.ask('a')
    void Promise.resolve().then(() => b.ask('b'))
  })
  await b.clock.settle()
  await b.clock.settle()
  assert.deepEqual(b.sent, [['a', 'b']])
})

test('beside another batch few items wait for the end of the round, and many leave with the turn', async () => {
  const b = batcherRig()
  const turn = () => new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)))
  b.ask('first')
  await turn()
  assert.deepEqual(b.sent, [['first']], 'the connection was idle')
  b.ask('few')
  await turn()
  b.ask('more')
  await turn()
  assert.equal(b.sent.length, 1)
  await b.clock.settle()
  assert.deepEqual(b.sent[1], ['few', 'more'])
  await b.land()
  for (let key = 0; key < 64; key++) b.ask(`k${key}`)
  await turn()
  assert.equal(b.sent[2]?.length, 64)
})

test('what is asked while both flights are under way gathers, and leaves with the next reply', async () => {
  const b = batcherRig()
  for (const key of ['a', 'b', 'c', 'd', 'e']) {
    b.ask(key)
    await b.clock.settle()
  }
  assert.deepEqual(b.sent, [['a'], ['b']])
  await b.land()
  assert.deepEqual(b.sent, [['a'], ['b'], ['c', 'd', 'e']])
})
