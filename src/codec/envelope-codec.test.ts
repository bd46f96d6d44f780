import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as v from 'valibot'
import { z } from 'zod'
import type { EntryKind } from '../entry.ts'
import { ConfigurationError, EncodeError } from '../errors.ts'
import type { EntryFields, Reason } from './codec.ts'
import type { CodecOptions } from './codec-options.ts'
import { noCompression, zstd } from './compression.ts'
import { type Dictionaries, type Dictionary, dictionaryOf } from './dictionary.ts'
import { codecOf, encodeEnvelope, HEADER_BYTES, OFFSET } from './envelope.ts'
import { createCodec } from './envelope-codec.ts'
import { json } from './json.ts'
import { msgpack } from './msgpack.ts'
import { rawBytes } from './raw-bytes.ts'
import { composeDictionary, noCounts } from './zstd/zstd-dictionary.ts'

const FIELDS: EntryFields = { version: 12n, freshUntilMs: 1_700_000_000_000, graceMs: 3_600_000, loadCostMs: 8, begun: 77 }
const PRODUCT = { id: 'B0001', price: 1999, title: 'Plush ringtail, 40 cm €' }

const codecOfProduct = (options: CodecOptions<unknown> = {}) => createCodec<unknown>(options, "cache 'product'")
const entry = (value: unknown = PRODUCT, options: CodecOptions<unknown> = {}, fields: Partial<EntryFields> = {}) =>
  codecOfProduct(options).encode('value', value, { ...FIELDS, ...fields })
const reasonOf = (bytes: Uint8Array, options: CodecOptions<unknown> = {}): Reason | undefined =>
  codecOfProduct(options).decode(bytes).rejected

test('an entry of every kind comes back with its value, version, times, load cost and tags', () => {
  const kinds = fc.constantFrom<EntryKind>('value', 'negative', 'pending', 'tombstone', 'vacant')
  const fields = fc.record({
    version: fc.bigInt(0n, (1n << 63n) - 1n),
    freshUntilMs: fc.nat(2 ** 40),
    graceMs: fc.nat(),
    begun: fc.nat(),
    tags: fc.array(fc.string({ maxLength: 9 }), { maxLength: 4 }),
  })
  const compressions = fc.constantFrom(noCompression(), zstd({ threshold: 0 }))
  const values = fc.jsonValue()
  fc.assert(
    fc.property(kinds, values, fields, compressions, fc.nat(3), (kind, value, given, compression, schema) => {
      const codec = codecOfProduct({ compression, schema })
      const decoded = codec.decode(codec.encode(kind, value, given))
      assert.ok(decoded.rejected === undefined)
      assert.equal(decoded.kind, kind)
      assert.deepEqual(decoded.value, kind === 'value' || kind === 'pending' ? JSON.parse(JSON.stringify(value)) : undefined)
      assert.equal(decoded.version, given.version)
      assert.equal(decoded.freshUntilMs, given.freshUntilMs)
      assert.equal(decoded.graceMs, given.graceMs)
      assert.equal(decoded.begun, given.begun)
      assert.equal(decoded.loadCostMs, 0)
      assert.deepEqual(decoded.tags, kind === 'tombstone' || kind === 'vacant' ? [] : given.tags)
    }),
    { numRuns: 500 },
  )
})

test('JSON, MessagePack and raw bytes each read what they wrote, and take what another wrote for a miss of another format', () => {
  const at = new Date(5)
  const msgpackEntry = entry({ at }, { serializer: msgpack() })
  assert.deepEqual(
    codecOfProduct({ serializer: msgpack() }).decode(msgpackEntry),
    codecOfProduct({ serializer: msgpack() }).decode(msgpackEntry),
  )
  const decoded = codecOfProduct({ serializer: msgpack() }).decode(msgpackEntry)
  assert.ok(decoded.rejected === undefined)
  assert.deepEqual(decoded.value, { at })
  const raw = createCodec({ serializer: rawBytes() }, 'cache')
  const image = raw.decode(raw.encode('value', Uint8Array.of(1, 2), FIELDS))
  assert.ok(image.rejected === undefined)
  assert.deepEqual(image.value, Uint8Array.of(1, 2))
  assert.equal(reasonOf(msgpackEntry), 'format')
  assert.equal(reasonOf(entry(), { serializer: msgpack() }), 'format')
})

test('a random bit flipped in an entry gives the value as it was or a rejection: never another value, never a throw', () => {
  const shapes: CodecOptions<unknown>[] = [{}, { schema: 3 }, { compression: zstd({ threshold: 0 }) }, { serializer: msgpack() }]
  for (const options of shapes) {
    const whole = entry(PRODUCT, options, { tags: ['category:toys'] })
    const codec = codecOfProduct(options)
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const bent = Buffer.from(whole)
      bent[bit >> 3]! ^= 1 << (bit & 7)
      const decoded = codec.decode(bent)
      if (decoded.rejected === undefined && decoded.kind !== 'vacant' && decoded.kind !== 'tombstone')
        assert.deepEqual(decoded.value, PRODUCT)
    }
  }
})

test('an entry cut short anywhere is rejected, and so is one with bytes behind it', () => {
  const whole = entry(PRODUCT, {}, { tags: ['a'] })
  for (let length = 0; length < whole.length; length++) {
    assert.equal(reasonOf(whole.subarray(0, length)), length < HEADER_BYTES ? 'foreign' : 'corrupt', `${length} bytes`)
  }
  assert.equal(reasonOf(Buffer.concat([whole, Buffer.from('x')])), 'corrupt')
})

test('foreign bytes of any kind are rejected without a throw', () => {
  const codec = codecOfProduct()
  for (const text of ['', 'plain', '{"id":1}', 'x'.repeat(100)]) assert.equal(codec.decode(Buffer.from(text)).rejected, 'foreign')
  const likeAnEntry = fc.uint8Array({ maxLength: 80 }).map((bytes) => Uint8Array.from([0xc7, 1, ...bytes]))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), likeAnEntry), (bytes) => {
      const decoded = codec.decode(bytes)
      assert.ok(decoded.rejected !== undefined || decoded.kind === 'tombstone' || decoded.kind === 'vacant')
    }),
    { numRuns: 3000 },
  )
})

test('an entry of a later format, of an unknown compression or of a dictionary is of another format, not corrupt', () => {
  const later = Buffer.from(entry())
  later[OFFSET.format] = 2
  assert.equal(reasonOf(later), 'format')
  const payload = Buffer.from('{}')
  const header = { ...FIELDS, kind: 'value' as const, loadCostMs: 0 }
  assert.equal(reasonOf(encodeEnvelope({ ...header, codec: 0x91 }, new Uint8Array(0), payload)), 'format')
  assert.equal(reasonOf(encodeEnvelope({ ...header, codec: 1 }, Buffer.from([0x81, 0, 4, 0, 0, 0, 9]), payload)), 'format')
  assert.equal(reasonOf(encodeEnvelope({ ...header, codec: 1 }, Buffer.from([0x81, 0, 4, 0]), payload)), 'corrupt')
})

test('a negative entry with a payload, and a whole entry whose payload does not parse, are corrupt', () => {
  const header = { ...FIELDS, loadCostMs: 0 }
  const nothing = new Uint8Array(0)
  assert.equal(reasonOf(encodeEnvelope({ ...header, kind: 'negative', codec: 0 }, nothing, Buffer.from('{}'))), 'corrupt')
  assert.equal(reasonOf(encodeEnvelope({ ...header, kind: 'value', codec: 1 }, nothing, Buffer.from('{'))), 'corrupt')
  assert.equal(reasonOf(encodeEnvelope({ ...header, kind: 'value', codec: 0x11 }, nothing, Buffer.from('no zstd'))), 'corrupt')
})

test('an entry of another schema number is a rejection of its own reason, both ways of a rolling deploy', () => {
  assert.equal(reasonOf(entry(PRODUCT, { schema: 1 }), { schema: 2 }), 'schema')
  assert.equal(reasonOf(entry(PRODUCT, {}), { schema: 2 }), 'schema')
  assert.equal(reasonOf(entry(PRODUCT, { schema: 2 }), {}), 'schema')
  assert.equal(reasonOf(entry(PRODUCT, { schema: 2 }, { tags: ['a'] }), { schema: 2 }), undefined)
  const negative = codecOfProduct({ schema: 1 }).encode('negative', undefined, FIELDS)
  assert.equal(reasonOf(negative, { schema: 2 }), undefined)
})

test('large values are compressed, small ones are not, and both are read by a codec that no longer compresses', () => {
  const large = { text: 'ringtail '.repeat(2_000) }
  const packed = entry(large)
  assert.equal(codecOf(packed), 0x11)
  assert.ok(packed.length < 500)
  assert.equal(codecOf(entry()), 0x01)
  const decoded = codecOfProduct({ compression: noCompression() }).decode(packed)
  assert.ok(decoded.rejected === undefined)
  assert.deepEqual(decoded.value, large)
})

test('an entry that would unpack to more than allowed is corrupt, not unpacked', () => {
  const bomb = entry('x'.repeat(2 ** 20))
  assert.equal(reasonOf(bomb, { compression: noCompression(), maxValueBytes: 1000 }), 'corrupt')
  assert.equal(reasonOf(bomb, { compression: zstd({ maxBytes: 2 ** 19 }) }), 'corrupt')
})

test('a value that does not serialize, or is too large, is an EncodeError that names the cache', () => {
  const codec = codecOfProduct({ maxValueBytes: 10 })
  const refused = (value: unknown, told: string) =>
    assert.throws(
      () => codec.encode('value', value, FIELDS),
      (error: Error) => error instanceof EncodeError && error.message.startsWith("cache 'product': ") && error.message.includes(told),
    )
  refused(undefined, 'undefined')
  refused({ stock: 5n }, 'value.stock')
  refused('x'.repeat(9), '11 bytes')
  assert.doesNotThrow(() => codec.encode('value', 'x'.repeat(8), FIELDS))
})

test('a zod or valibot schema judges what is read, and what it makes of it is the value', () => {
  const bytes = entry({ at: '2024-05-06T00:00:00.000Z', extra: 1 })
  const schemas: CodecOptions<unknown>['validate'][] = [
    z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }),
    v.object({
      at: v.pipe(
        v.string(),
        v.isoTimestamp(),
        v.transform((text) => new Date(text)),
      ),
    }),
  ]
  for (const validate of schemas) {
    const decoded = codecOfProduct({ validate }).decode(bytes)
    assert.ok(decoded.rejected === undefined)
    assert.deepEqual(decoded.value, { at: new Date('2024-05-06T00:00:00.000Z') })
    const refused = codecOfProduct({ validate }).decode(entry({ at: 5 }))
    assert.equal(refused.rejected, 'invalid')
    assert.match(refused.rejected === undefined ? '' : refused.detail, /^at: /)
    assert.equal(codecOfProduct({ validate }).decode(codecOfProduct().encode('negative', undefined, FIELDS)).rejected, undefined)
  }
})

test('the type of a cache follows from its schema', () => {
  const codec = createCodec({ validate: z.object({ id: z.string() }) }, 'cache')
  const decoded = codec.decode(codec.encode('value', { id: 'a' }, FIELDS))
  const id: string | undefined = decoded.rejected === undefined ? decoded.value?.id : undefined
  assert.equal(id, 'a')
})

test('an asynchronous schema is a ConfigurationError at its first use; one that throws has refused the value', () => {
  const later = z.string().refine(async () => true)
  const codec = codecOfProduct({ validate: { '~standard': { version: 1, vendor: 'late', validate: async (value) => ({ value }) } } })
  assert.throws(() => codec.decode(entry('a')), ConfigurationError)
  assert.throws(() => codecOfProduct({ validate: later }).decode(entry('a')), ConfigurationError)
  const throwing = v.pipe(
    v.string(),
    v.check(() => assert.fail('broken')),
  )
  assert.equal(reasonOf(entry('a'), { validate: throwing }), 'invalid')
})

test('options that are not what they should be are refused at construction', () => {
  const wrong: object[] = [
    { schema: -1 },
    { schema: 2 ** 32 },
    { maxValueBytes: 0 },
    { validate: {} },
    { serializer: 'json' },
    { serializer: { ...json(), id: 16 } },
    { compression: { ...zstd(), id: -1 } },
    { compresion: zstd() },
  ]
  for (const options of wrong) assert.throws(() => codecOfProduct(options), ConfigurationError, Object.keys(options)[0])
})

test('stamping a version makes the very bytes that encoding with it would', () => {
  const codec = createCodec<unknown>({}, 'c')
  const fields = { freshUntilMs: 5, graceMs: 6, loadCostMs: 0, begun: 7 }
  for (const [kind, value] of [
    ['value', { a: 1 }],
    ['negative', undefined],
    ['tombstone', undefined],
  ] as const) {
    const bytes = codec.encode(kind, value, { ...fields, version: 1n })
    codec.stamp(bytes, 2n ** 62n + 3n)
    assert.deepEqual(bytes, codec.encode(kind, value, { ...fields, version: 2n ** 62n + 3n }))
  }
})

const textOf = (text: string): Dictionary => dictionaryOf(composeDictionary(Buffer.from(text.repeat(20)), noCounts()))
const SHIRTS = textOf(
  '{"id":"B0001","price":1999,"title":"Plush ringtail, 40 cm","category":["Toys","Plush"],"url":"http://shop.example/p/B00"}',
)
const LAMPS = textOf('[{"lumen":806,"socket":"E27"},{"lumen":1055,"socket":"E14"}]')

function knowing(known: readonly Dictionary[], current: Dictionary | undefined): Dictionaries {
  return { current, find: (id) => known.find((each) => each.id === id), fetch: () => Promise.resolve(), packed: () => {} }
}
const packingCodec = (known: readonly Dictionary[], current?: Dictionary, schema = 0) =>
  createCodec<unknown>({ compression: zstd({ dictionary: true }), schema }, 'cache', {
    dictionaries: knowing(known, current),
    clock: { monotonic: () => 0 },
  })

test('any JSON comes back by any dictionary, with its tags, and from what was packed by another', () => {
  const values = fc.oneof(
    fc.jsonValue(),
    fc.constant(PRODUCT),
    fc.jsonValue().map((value) => ({ ...PRODUCT, value })),
  )
  const tags = fc.array(fc.string({ maxLength: 9 }), { maxLength: 3 })
  fc.assert(
    fc.property(values, tags, fc.constantFrom(undefined, SHIRTS, LAMPS), fc.nat(2), (value, tags, current, schema) => {
      const bytes = packingCodec([SHIRTS, LAMPS], current, schema).encode('value', value, { ...FIELDS, tags })
      const decoded = packingCodec([SHIRTS, LAMPS], SHIRTS, schema).decode(bytes)
      assert.ok(decoded.rejected === undefined)
      assert.deepEqual(decoded.value, JSON.parse(JSON.stringify(value)))
      assert.deepEqual(decoded.tags, tags)
    }),
    { numRuns: 500 },
  )
})

test('an entry whose dictionary is not known is a miss that says so, and of a format where none are known', () => {
  const bytes = packingCodec([SHIRTS], SHIRTS).encode('value', PRODUCT, FIELDS)
  assert.ok(bytes.length < entry().length)
  assert.equal(packingCodec([LAMPS], LAMPS).decode(bytes).rejected, 'dictionary')
  assert.ok(packingCodec([LAMPS], LAMPS).lacking(bytes) !== undefined)
  assert.equal(packingCodec([SHIRTS]).lacking(bytes), undefined)
  assert.equal(reasonOf(bytes), 'format')
})

test('a pending entry names no dictionary, however small its value', () => {
  const bytes = packingCodec([SHIRTS], SHIRTS).encode('pending', PRODUCT, FIELDS)
  const decoded = codecOfProduct().decode(bytes)
  assert.ok(decoded.rejected === undefined)
  assert.deepEqual(decoded.value, PRODUCT)
})
