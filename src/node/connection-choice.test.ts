import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Choosable, chosen, chosenFor, chosenForAll } from './connection-choice.ts'

const at = (idle: boolean, waiting: number, ready = true): Choosable => ({ ready, doubted: false, idle, waiting })

test('what is asked together is divided among those that are idle', () => {
  const waiting = [0, 0]
  for (let i = 0; i < 16; i++) {
    const connections = waiting.map((count) => at(true, count))
    waiting[connections.indexOf(chosen(connections)!)]!++
  }
  assert.deepEqual(waiting, [8, 8])
})

test('an idle one is chosen before a busy one, and of busy ones that for which the most wait', () => {
  const [busy, idle] = [at(false, 0), at(true, 5)]
  assert.equal(chosen([busy, idle]), idle)
  const [few, many] = [at(false, 1), at(false, 7)]
  assert.equal(chosen([few, many]), many)
  assert.equal(chosen([many, few]), many)
})

test('one that is not ready is chosen only where none is, and nothing where there is none', () => {
  const [lost, busy] = [at(true, 0, false), at(false, 3)]
  assert.equal(chosen([lost, busy]), busy)
  assert.equal(chosen([lost, at(true, 0, false)]), lost)
  assert.equal(chosen([]), undefined)
  assert.equal(chosenForAll([], []), undefined)
})

test('where one waits in vain and the others have yet to show that they do not, the one that refuses at once is chosen', () => {
  const [doubted, stalled] = [{ ...at(true, 0, false), doubted: true }, at(false, 3, false)]
  assert.equal(chosen([doubted, stalled]), stalled)
  assert.equal(chosenFor([doubted, stalled], { op: 'drop', key: 'a' }), stalled)
})

test('changes that no version orders take the first that is ready, however busy it is', () => {
  const connections = [at(true, 0, false), at(false, 3), at(true, 0)]
  const bytes = new Uint8Array(0)
  for (const change of [{ op: 'set', key: 'a', bytes, ttlMs: 0 } as const, { op: 'drop', key: 'a' } as const]) {
    assert.equal(chosenFor(connections, change), connections[1])
    assert.equal(chosenForAll(connections, [{ op: 'release', key: 'b', lease: 1 }, change]), connections[1])
  }
  assert.equal(chosenForAll(connections, [{ op: 'release', key: 'b', lease: 1 }]), connections[2])
})
