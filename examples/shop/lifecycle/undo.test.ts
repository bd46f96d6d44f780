import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UndoStack } from './undo.ts'

test('what was started last is stopped first, once, and one that fails does not keep the others', async () => {
  const undo = new UndoStack()
  const stopped: string[] = []
  undo.add({ what: 'first', stop: async () => stopped.push('first') })
  undo.add({ what: 'second', stop: () => Promise.reject(new Error('stuck')), now: () => stopped.push('second by force') })
  undo.add({ what: 'third', stop: async () => stopped.push('third') })
  assert.deepEqual(await undo.run(), ['second: stuck'])
  await undo.run()
  assert.deepEqual(stopped, ['third', 'second by force', 'first'])
})

test('what is added when all is over is stopped at once', async () => {
  const undo = new UndoStack()
  await undo.run()
  const stopped = Promise.withResolvers<string>()
  undo.add({ what: 'late', stop: async () => stopped.resolve('stopped') })
  assert.equal(await stopped.promise, 'stopped')
})

test('by force, all is stopped without waiting, newest first, whatever one of them throws', () => {
  const undo = new UndoStack()
  const stopped: number[] = []
  for (const each of [1, 2, 3]) {
    undo.add({
      what: `${each}`,
      stop: () => Promise.resolve(),
      now: () => {
        stopped.push(each)
        if (each === 2) throw new Error('in the way')
        if (each === 3) throw Object.assign(new Error('gone already'), { code: 'ESRCH' })
      },
    })
  }
  assert.deepEqual(undo.now(), ['2: in the way'])
  assert.deepEqual(stopped, [3, 2, 1])
})
