import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryNode } from '../node/memory-node.ts'
import { nextMembers } from './next-members.ts'
import type { Member, RingChange } from './topology.ts'

const MEMBERS = ['a', 'b'].map((id): Member => ({ id, zone: undefined, weight: 1, label: id, url: undefined }))

test('nodes come, go and weigh another in one change', () => {
  const next = nextMembers(MEMBERS, { add: [memoryNode({ id: 'c', weight: 2 })], remove: ['a'], weights: { b: 3 } })
  assert.deepEqual(
    next.map(({ id, weight }) => [id, weight]),
    [
      ['b', 3],
      ['c', 2],
    ],
  )
})

test('what cannot be is said, with the name of the fault', () => {
  const wrong: [RingChange, RegExp][] = [
    [{}, /'add', 'remove' or 'weights'/],
    [{ add: [memoryNode({ id: 'a' })] }, /add: needs .* but got: "a"/],
    [{ add: [memoryNode({ id: 'c' }), memoryNode({ id: 'c' })] }, /but got: "c"/],
    [{ remove: ['z'] }, /remove: needs ids of members, but got: "z"/],
    [{ weights: { z: 1 } }, /weights: needs .* but got: "z"/],
    [{ weights: { a: 0 } }, /weight of 'a': needs a number > 0, but got: 0/],
    [{ remove: ['a'], weights: { a: 2 } }, /weights/],
    [{ adds: [] } as RingChange, /options among/],
  ]
  for (const [change, message] of wrong) assert.throws(() => nextMembers(MEMBERS, change), { code: 'CONFIGURATION', message })
})
