import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  currentOf,
  type DictionaryIndex,
  decodeIndex,
  EMPTY_INDEX,
  encodeIndex,
  type IndexedDictionary,
  joined,
  KEPT_MS,
  needed,
} from './dictionary-index.ts'

const small = fc.integer({ min: 1, max: 5 })
const indexes = fc
  .array(fc.record({ id: small, generation: small, madeMs: small, usedMs: small }, { noNullPrototype: true }), { maxLength: 5 })
  .map((all): DictionaryIndex => new Map(all.map((each) => [each.id, each])))
const indexOf = (...all: IndexedDictionary[]): DictionaryIndex => new Map(all.map((each) => [each.id, each]))
const sorted = (index: DictionaryIndex) => encodeIndex(index).toString()

test('in whichever order indexes are joined, and however often, it comes to the same', () => {
  fc.assert(
    fc.property(indexes, indexes, indexes, (a, b, c) => {
      assert.equal(sorted(joined(a, b)), sorted(joined(b, a)))
      assert.equal(sorted(joined(joined(a, b), c)), sorted(joined(a, joined(b, c))))
      assert.equal(sorted(joined(a, a)), sorted(a))
      assert.deepEqual(currentOf(joined(a, b)), currentOf(joined(b, a)))
    }),
  )
})

test('of one generation the dictionary counts that was made first, and a later generation before all', () => {
  const first = { id: 9, generation: 1, madeMs: 100, usedMs: 100 }
  const second = { id: 2, generation: 1, madeMs: 101, usedMs: 500 }
  assert.equal(currentOf(indexOf(second, first))?.id, 9)
  assert.equal(currentOf(indexOf(second, first, { id: 7, generation: 2, madeMs: 900, usedMs: 900 }))?.id, 7)
  assert.equal(currentOf(EMPTY_INDEX), undefined)
})

test('a dictionary is left out once no entry can be alive that was packed by it', () => {
  const index = indexOf({ id: 1, generation: 1, madeMs: 1, usedMs: 1_000 })
  assert.equal(needed(index, 1_000 + KEPT_MS - 1).size, 1)
  assert.equal(needed(index, 1_000 + KEPT_MS).size, 0)
})

test('an index comes back from its bytes, and what is none counts as empty', () => {
  fc.assert(fc.property(indexes, (index) => assert.equal(sorted(decodeIndex(encodeIndex(index))), sorted(index))))
  for (const text of [
    '',
    '{}',
    'null',
    '[null]',
    '[{"id":1}]',
    '[{"id":4294967296,"generation":1,"madeMs":1,"usedMs":1}]',
    '[{"id":"1"}]',
  ]) {
    assert.equal(decodeIndex(Buffer.from(text)).size, 0, text)
  }
  assert.equal(decodeIndex(undefined).size, 0)
})
