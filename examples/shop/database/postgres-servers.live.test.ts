import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { UndoStack } from '../lifecycle/undo.ts'
import { startPostgresServers } from './postgres-servers.ts'

/** What the servers' stack says of the folder that it removes. */
async function started(): Promise<{ undo: UndoStack; folder: string }> {
  const undo = new UndoStack()
  let folder = ''
  const add = undo.add.bind(undo)
  undo.add = (undoing) => {
    if (undoing.what.startsWith('folder ')) folder = undoing.what.slice('folder '.length)
    add(undoing)
  }
  await startPostgresServers(2, undo, new AbortController().signal)
  assert.ok(folder !== '' && readdirSync(folder).includes('shard-1'))
  return { undo, folder }
}

test('by force, servers and folder are gone when it returns, though nothing was waited for', async () => {
  const { undo, folder } = await started()
  assert.deepEqual(undo.now(), [])
  assert.equal(existsSync(folder), false)
})

test('by force in the middle of an orderly stop, at whatever moment, nothing is left either', async () => {
  for (const afterMs of [0, 15, 40]) {
    const { undo, folder } = await started()
    const stopping = undo.run()
    await sleep(afterMs)
    assert.deepEqual(undo.now(), [], `after ${afterMs} ms`)
    assert.equal(existsSync(folder), false, `after ${afterMs} ms`)
    assert.deepEqual(await stopping, [])
  }
})
