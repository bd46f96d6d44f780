import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ninesOf } from './nines.ts'

test('where nothing was stale the nines are a lower bound, by the rule of three', () => {
  assert.deepEqual(ninesOf(40_000, 0), { value: 4.1, isLowerBound: true, text: '≥ 4.1 (none stale in 40,000 copies)' })
  assert.equal(ninesOf(3_000, 0).value, 3)
  assert.equal(ninesOf(2, 0).value, 0)
})

test('where copies were stale the nines are of their share, and cut', () => {
  assert.deepEqual(ninesOf(400_000, 2), { value: 5.3, isLowerBound: false, text: '5.3 (2 stale in 400,000 copies)' })
  assert.equal(ninesOf(1_000, 1).value, 3)
  assert.equal(ninesOf(1_000, 2).value, 2.6)
  assert.equal(ninesOf(10, 10).value, 0)
})

test('before anything was checked nothing is claimed', () => {
  assert.deepEqual(ninesOf(0, 0), { value: 0, isLowerBound: true, text: 'nothing checked yet' })
})
