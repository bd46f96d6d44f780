import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listenForInterruption } from './interruption.ts'
import { watchParent } from './parent.ts'

test('a parent that is gone is told of once', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let [parent, told] = [7, 0]
  watchParent(
    () => told++,
    () => parent,
    10,
  )
  t.mock.timers.tick(30)
  assert.equal(told, 0)
  parent = 1
  t.mock.timers.tick(30)
  assert.equal(told, 1)
})

test('an interruption without a signal is the first one, and forces nothing', (t) => {
  const forced: string[] = []
  const interruption = listenForInterruption((name) => forced.push(name))
  t.after(() => interruption.release())
  interruption.interrupt('SIGTERM')
  interruption.interrupt('SIGPIPE')
  assert.equal(interruption.signal.aborted, true)
  assert.deepEqual([interruption.name(), forced], ['SIGTERM', []])
})
