import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EntryKind } from '../entry.ts'
import { type Copy, judgeCopies, type RowSeen, type Yardstick } from './judge-copies.ts'

const copy = (kind: EntryKind, version: bigint, more: Partial<Copy> = {}): Copy => {
  const served = kind !== 'tombstone' && kind !== 'vacant'
  return { kind, version, begun: 0, served, isRowsValue: undefined, ...more }
}
const row = (version: bigint): RowSeen => ({ state: 'row', version, mark: String(version) })
const absent: RowSeen = { state: 'absent', mark: 'absent' }
const unknown: RowSeen = { state: 'unknown', mark: 'unknown' }

const judged = (copies: (Copy | undefined)[], seen: RowSeen, yardstick: Yardstick): (string | undefined)[] =>
  judgeCopies(copies, seen, yardstick).map((fault) => fault?.staleness)

test('against rows with versions a copy below its row is overtaken, and one at or above it is right', () => {
  assert.deepEqual(judged([copy('value', 4n), copy('value', 5n), copy('value', 6n)], row(5n), 'store'), ['overtaken', undefined, undefined])
  assert.equal(judgeCopies([copy('value', 4n)], row(5n), 'store')[0]!.newer, 5n)
})

test('a copy of the version of its row is to be of its value as well; of a newer one it need not', () => {
  const copies = [copy('value', 5n, { isRowsValue: true }), copy('value', 5n, { isRowsValue: false }), copy('value', 5n)]
  assert.deepEqual(judged(copies, row(5n), 'store'), [undefined, 'different', undefined])
  const others = [
    copy('value', 6n, { isRowsValue: false }),
    copy('pending', 5n, { isRowsValue: false }),
    copy('value', 4n, { isRowsValue: true }),
  ]
  assert.deepEqual(judged(others, row(5n), 'store'), [undefined, undefined, 'overtaken'])
})

test('a value whose row is gone is deleted, and a negative is right', () => {
  assert.deepEqual(judged([copy('value', 4n), copy('negative', 4n)], absent, 'store'), ['deleted', undefined])
})

test('a negative hides a row, whichever has the higher version', () => {
  assert.deepEqual(judged([copy('negative', 4n), copy('negative', 9n)], row(5n), 'store'), ['hidden', 'hidden'])
  assert.deepEqual(judged([copy('negative', 0n)], row(0n), 'store'), ['hidden'])
})

test('what is not served is no copy: tombstones, vacant entries, what is over or not current, and nothing', () => {
  const copies = [copy('tombstone', 1n), copy('vacant', 0n), copy('value', 1n, { served: false }), undefined]
  assert.deepEqual(judged(copies, row(5n), 'store'), [undefined, undefined, undefined, undefined])
  assert.deepEqual(judged(copies, absent, 'values'), [undefined, undefined, undefined, undefined])
  assert.deepEqual(judged([...copies, copy('value', 9n)], unknown, 'owners'), [undefined, undefined, undefined, undefined, undefined])
})

test('a pending entry is newer than the store, and what it is newer than is overtaken by it', () => {
  assert.deepEqual(judged([copy('pending', 7n), copy('value', 5n), copy('negative', 5n)], row(5n), 'store'), [
    undefined,
    'overtaken',
    'hidden',
  ])
  assert.deepEqual(judged([copy('pending', 7n)], absent, 'store'), [undefined])
  assert.deepEqual(judged([copy('pending', 4n)], row(5n), 'store'), ['overtaken'])
  assert.deepEqual(judged([copy('pending', 4n, { isRowsValue: false })], row(0n), 'values'), [undefined])
})

test('where the store did not answer nothing is said', () => {
  assert.deepEqual(judged([copy('value', 4n)], unknown, 'store'), [undefined])
  assert.deepEqual(judged([copy('value', 4n, { isRowsValue: false })], unknown, 'values'), [undefined])
})

test('against rows without versions values are compared, and versions are not', () => {
  const copies = [copy('value', 1n, { isRowsValue: true }), copy('value', 9n, { isRowsValue: false }), copy('negative', 9n)]
  assert.deepEqual(judged(copies, row(0n), 'values'), [undefined, 'different', 'hidden'])
  assert.deepEqual(judged(copies, absent, 'values'), ['deleted', 'deleted', undefined])
})

test('owners are compared with the newest of them, a tombstone and what is not served among them', () => {
  assert.deepEqual(judged([copy('value', 4n), copy('value', 5n), undefined], unknown, 'owners'), ['overtaken', undefined, undefined])
  assert.deepEqual(judged([copy('value', 4n), copy('tombstone', 5n)], unknown, 'owners'), ['deleted', undefined])
  assert.deepEqual(judged([copy('value', 4n), copy('value', 5n, { served: false })], unknown, 'owners'), ['overtaken', undefined])
  assert.deepEqual(judged([copy('value', 4n), undefined, undefined], unknown, 'owners'), [undefined, undefined, undefined])
})
