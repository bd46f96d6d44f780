import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import xxhash from 'xxhash-wasm'
import { xxh32 } from './xxh32.ts'

test('it is the XXH32 of the specification, for every length, offset and seed', async () => {
  const { h32Raw } = await xxhash()
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(200),
      fc.nat(200),
      fc.integer({ min: 0, max: 0xffff_ffff }),
      (bytes, from, to, seed) => {
        const start = Math.min(from, to, bytes.length)
        const end = Math.min(Math.max(from, to), bytes.length)
        assert.equal(xxh32(bytes, start, end, seed), h32Raw(bytes.slice(start, end), seed))
      },
    ),
    { numRuns: 1000 },
  )
})

test('views of different buffers, and of one buffer at different offsets, are not confused', () => {
  const one = Buffer.from('xxabcabc')
  const other = Buffer.from(Uint8Array.from(one).fill(1))
  const expected = 0x32d153ff
  assert.equal(xxh32(one, 2, 5, 0), expected)
  assert.notEqual(xxh32(other, 2, 5, 0), expected)
  assert.equal(xxh32(one.subarray(5), 0, 3, 0), expected)
})
