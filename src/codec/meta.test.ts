import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EncodeError } from '../errors.ts'
import { decodeMeta, encodeMeta, MAX_META_BYTES, MAX_TAGS, NO_META } from './meta.ts'

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff })
const metas = fc.record(
  {
    schema: uint32,
    dictionary: uint32,
    tags: fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { maxLength: 8 }),
  },
  { noNullPrototype: true },
)

test('schema, tags and dictionary come back, wherever the meta lies in the bytes', () => {
  fc.assert(
    fc.property(metas, fc.nat(5), (meta, shift) => {
      const encoded = encodeMeta(meta)
      const bytes = Buffer.concat([Buffer.alloc(shift, 0xff), encoded, Buffer.alloc(3, 0xff)])
      assert.deepEqual(decodeMeta(bytes, shift, shift + encoded.length), meta)
    }),
  )
})

test('schema 0 without tags is no bytes at all', () => {
  assert.equal(encodeMeta(NO_META).length, 0)
})

test('a field of a later release is skipped, unless its top bit says that the entry cannot be understood without it', () => {
  const encoded = encodeMeta({ schema: 5, tags: ['a'], dictionary: 0 })
  const skippable = Buffer.concat([Buffer.from([0x7f, 0, 2, 1, 2]), encoded])
  assert.deepEqual(decodeMeta(skippable, 0, skippable.length), { schema: 5, tags: ['a'], dictionary: 0 })
  const critical = Buffer.concat([encoded, Buffer.from([0xff, 0, 0])])
  assert.equal(decodeMeta(critical, 0, critical.length), 'unknown')
})

test('bytes of any kind are read without a throw and without a look beyond the end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(40), (bytes, length) => {
      const end = Math.min(length, bytes.length)
      assert.deepEqual(decodeMeta(bytes, 0, end), decodeMeta(bytes.slice(0, end), 0, end))
    }),
    { numRuns: 2000 },
  )
})

test('a meta cut short inside a field is corrupt', () => {
  const encoded = encodeMeta({ schema: 5, tags: ['one', 'two'], dictionary: 0 })
  const wholeFields = [0, 7]
  for (let end = 0; end < encoded.length; end++) {
    assert.equal(decodeMeta(encoded, 0, end) === 'corrupt', !wholeFields.includes(end), `at ${end}`)
  }
})

test('lengths inside a field that do not add up are corrupt', () => {
  for (const hex of ['010002' + '0005', '010005' + '0000000500', '020003' + '0002' + '61', '020001' + '00', '810000']) {
    const bytes = Buffer.concat([Buffer.from(hex, 'hex'), Buffer.from([0x7f, 0, 0])])
    assert.equal(decodeMeta(bytes, 0, bytes.length), 'corrupt', hex)
  }
})

test('too many tags, too much of them, and tags that are no text are refused', () => {
  const tagged = (tags: readonly string[]) => () => encodeMeta({ schema: 0, tags, dictionary: 0 })
  assert.throws(tagged(Array.from({ length: MAX_TAGS + 1 }, String)), EncodeError)
  assert.throws(tagged(['x'.repeat(MAX_META_BYTES)]), EncodeError)
  assert.throws(tagged(['x'.repeat(MAX_META_BYTES + 1)]), EncodeError)
  assert.throws(tagged(['\ud800']), EncodeError)
  assert.doesNotThrow(tagged(Array.from({ length: MAX_TAGS }, String)))
})
