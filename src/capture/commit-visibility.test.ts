import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CommitSnapshot, CommitVisibility } from './commit-visibility.ts'

test('a snapshot has what is below it and not open, whatever of its number the log leaves out', () => {
  const base = fc.bigInt({ min: 4_000n, max: 2n ** 40n })
  fc.assert(
    fc.property(base, fc.integer({ min: -1_000, max: 1_000 }), (xmax, offset) => {
      const [xmin, open] = [xmax - 10n, xmax - 5n]
      const xid = xmax + BigInt(offset)
      const has = new CommitSnapshot(`${xmin}:${xmax}:${open}`).has(Number(BigInt.asIntN(32, xid)))
      assert.equal(has, xid < xmax && xid !== open)
    }),
  )
})

test('what a snapshot has had is not asked for again, and what it has not is, until it has it', async () => {
  const snapshots = ['10:12:10', '10:12:10', '12:12:', '13:13:']
  let asked = 0
  const pauses: number[] = []
  const visibility = new CommitVisibility({ ask: async () => snapshots[asked++]!, pause: async (ms) => void pauses.push(ms) })
  await visibility.seen([10, 11], () => false)
  assert.deepEqual([asked, pauses], [3, [5, 10]])
  await visibility.seen([9, 10, 11], () => false)
  assert.equal(asked, 3)
  await visibility.seen([12], () => true)
  assert.equal(asked, 3)
  await visibility.seen([12], () => false)
  assert.equal(asked, 4)
})
