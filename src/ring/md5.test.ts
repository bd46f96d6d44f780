import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { md5Words } from './md5.ts'

test('the digest is that of node:crypto, for any text', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), assertSameDigest))
})

test('the digest is right at every length around the ends of blocks, and for texts beyond the kept buffer', () => {
  for (let length = 0; length <= 260; length++) assertSameDigest('x'.repeat(length))
  for (const length of [1_340, 1_342, 4_095, 4_096, 5_000, 100_000]) assertSameDigest('ü'.repeat(length))
  assertSameDigest('short again')
})

test('a lone surrogate counts as the replacement character', () => {
  assert.deepEqual([...md5Words('a\ud800b')], [...md5Words('a\ufffdb')])
})

function assertSameDigest(text: string): void {
  const digest = createHash('md5').update(text).digest()
  const words = [0, 4, 8, 12].map((at) => digest.readUInt32LE(at))
  assert.deepEqual([...md5Words(text)], words)
}
