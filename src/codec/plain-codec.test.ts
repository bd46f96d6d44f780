import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { ConfigurationError, EncodeError, UnsupportedError } from '../errors.ts'
import { zstd } from './compression.ts'
import { createCodec } from './envelope-codec.ts'
import { plainCodec } from './plain-codec.ts'
import { rawBytes } from './raw-bytes.ts'

const FIELDS = { version: 12n, freshUntilMs: 5, graceMs: 5, begun: 5 }

test("a plain value is the serializer's bytes and nothing else, both ways", () => {
  const codec = plainCodec<unknown>({}, 'cache')
  assert.equal(Buffer.from(codec.encode('value', { id: 1 }, FIELDS)).toString(), '{"id":1}')
  const decoded = codec.decode(Buffer.from('{"id":2}'))
  assert.ok(decoded.rejected === undefined)
  assert.deepEqual(
    { ...decoded },
    {
      rejected: undefined,
      kind: 'value',
      value: { id: 2 },
      version: 0n,
      freshUntilMs: Number.POSITIVE_INFINITY,
      graceMs: 0,
      loadCostMs: 0,
      begun: 0,
      tags: [],
    },
  )
  assert.equal(codec.enveloped, false)
})

test('bytes that begin like an envelope are bytes like any other', () => {
  const envelope = createCodec<unknown>({}, 'cache').encode('value', 1, FIELDS)
  const raw = plainCodec({ serializer: rawBytes() }, 'cache').decode(envelope)
  assert.ok(raw.rejected === undefined)
  assert.deepEqual(Buffer.from(raw.value!), envelope)
  assert.equal(plainCodec<unknown>({}, 'cache').decode(envelope).rejected, 'corrupt')
})

test('what does not parse is corrupt, what the schema refuses is invalid', () => {
  const codec = plainCodec({ validate: v.object({ id: v.number() }) }, 'cache')
  assert.equal(codec.decode(Buffer.from('{')).rejected, 'corrupt')
  assert.equal(codec.decode(Buffer.from('{"id":"x"}')).rejected, 'invalid')
  const decoded = codec.decode(Buffer.from('{"id":3}'))
  assert.ok(decoded.rejected === undefined)
  assert.equal(decoded.value?.id, 3)
})

test('there are only values, within the limit, and no options that need an envelope', () => {
  const codec = plainCodec<unknown>({ maxValueBytes: 3 }, 'cache')
  assert.throws(() => codec.encode('tombstone', undefined, FIELDS), UnsupportedError)
  assert.throws(() => codec.encode('value', 'long', FIELDS), EncodeError)
  assert.throws(() => plainCodec({ schema: 1 }, 'cache'), ConfigurationError)
  assert.throws(() => plainCodec({ compression: zstd() }, 'cache'), ConfigurationError)
})

test('what was encoded stays as it is while other values are', () => {
  for (const codec of [plainCodec<string>({}, 'cache'), createCodec<string>({}, 'cache')]) {
    const encoded = Array.from({ length: 3 }, (_, nth) => codec.encode('value', `value ${nth}`, FIELDS))
    const values = encoded.map((bytes) => {
      const decoded = codec.decode(bytes)
      assert.ok(decoded.rejected === undefined)
      return decoded.value
    })
    assert.deepEqual(values, ['value 0', 'value 1', 'value 2'])
  }
})
