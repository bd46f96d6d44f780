import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as v from 'valibot'
import type { EntryKind } from '../entry.ts'
import { ConfigurationError } from '../errors.ts'
import type { Codec, Decoded, EntryFields, Rejection } from './codec.ts'
import type { CodecOptions } from './codec-options.ts'
import { noCompression, zstd } from './compression.ts'
import { createCodec } from './envelope-codec.ts'
import { json } from './json.ts'
import { msgpack } from './msgpack.ts'
import { plainCodec } from './plain-codec.ts'

const FIELDS: EntryFields = { version: 12n, freshUntilMs: 1_700_000_000_000, graceMs: 3_600_000, loadCostMs: 8, begun: 77 }

const codecOf = (options: CodecOptions<unknown> = {}) => createCodec<unknown>(options, "cache 'product'")
/** Envelopes that are whole, around bytes that JSON has not made. */
const lying = (bytes: Buffer) => codecOf({ serializer: { ...json(), encode: () => bytes } }).encode('value', 0, FIELDS)
const shownOf = (decoded: Decoded<unknown> | Rejection | undefined) => {
  if (decoded === undefined || decoded.rejected !== undefined) return decoded
  const { kind, value, tags, version, freshUntilMs, graceMs, begun, loadCostMs } = decoded
  return { kind, value, tags, version, freshUntilMs, graceMs, begun, loadCostMs }
}
function assertAsEach(codec: Codec<unknown>, all: readonly (Uint8Array | undefined)[]): void {
  assert.deepEqual(
    Array.from(codec.decodeMany(all), shownOf),
    all.map((bytes) => shownOf(bytes === undefined ? undefined : codec.decode(bytes))),
  )
}

test('many entries come back as each of them does alone, bent ones and those of other kinds among them', () => {
  const made = fc.record({
    kind: fc.oneof(
      { weight: 4, arbitrary: fc.constant<EntryKind>('value') },
      fc.constantFrom<EntryKind>('negative', 'pending', 'tombstone'),
    ),
    value: fc.oneof({ weight: 3, arbitrary: fc.jsonValue().map((value) => ({ value })) }, fc.jsonValue()),
    tags: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.constant(['a'])),
    writer: fc.oneof({ weight: 4, arbitrary: fc.constant('json') }, fc.constantFrom('packed', 'msgpack', 'of another schema')),
    bit: fc.oneof({ weight: 4, arbitrary: fc.constant(-1) }, fc.nat(800)),
  })
  const writers: Record<string, Codec<unknown>> = {
    json: codecOf(),
    packed: codecOf({ compression: zstd({ threshold: 0 }) }),
    msgpack: codecOf({ serializer: msgpack() }),
    'of another schema': codecOf({ schema: 2 }),
  }
  const entries = fc.array(fc.option(made, { nil: undefined, freq: 9 }), { maxLength: 30 })
  fc.assert(
    fc.property(entries, (list) => {
      const all = list.map((each) => {
        if (each === undefined) return undefined
        const bytes = Buffer.from(writers[each.writer]!.encode(each.kind, each.value, { ...FIELDS, tags: each.tags }))
        if (each.bit >= 0 && each.bit >> 3 < bytes.length) bytes[each.bit >> 3]! ^= 1 << (each.bit & 7)
        return bytes
      })
      assertAsEach(codecOf({ compression: noCompression() }), all)
      assertAsEach(codecOf({ serializer: msgpack() }), all)
    }),
    { numRuns: 300 },
  )
})

test('values of any length come back, however many there are', () => {
  const codec = codecOf({ compression: noCompression() })
  for (const lengths of [
    Array.from({ length: 300 }, (_, at) => at * 7),
    [10, 20, 65_533, 30, 40],
    [65_531, 1, 2, 3],
    [5, 100_000, 6, 7, 8],
  ]) {
    assertAsEach(
      codec,
      lengths.map((length) => codec.encode('value', { x: 'x'.repeat(length) }, FIELDS)),
    )
  }
  const texts = ['é', '𝄞', '\ud800', '\ufffd', '__proto__', '"', '\n']
  for (const values of [
    texts,
    texts.map((text) => ({ text })),
    texts.map((text) => ({ [text]: text })),
    texts.map(() => ({ text: 'é' })),
  ]) {
    assertAsEach(
      codec,
      values.map((value) => codec.encode('value', value, FIELDS)),
    )
  }
})

test('values of JSON are read together, and fewer than four alone', ({ mock }) => {
  const codec = codecOf()
  const bytes = codec.encode('value', { id: 7 }, FIELDS)
  const parse = mock.method(JSON, 'parse')
  for (const [count, expected] of [
    [100, 1],
    [4, 1],
    [3, 3],
  ] as const) {
    parse.mock.resetCalls()
    const decoded = codec.decodeMany(new Array(count).fill(bytes)) as Decoded<unknown>[]
    assert.deepEqual(
      decoded.map(({ value }) => value),
      new Array(count).fill({ id: 7 }),
    )
    assert.equal(parse.mock.callCount(), expected)
  }
})

test("a serializer made of JSON's with ways of its own has no other", () => {
  const { encode, decode } = json<{ at: Date }>()
  const dated = codecOf({
    serializer: {
      ...json(),
      encode: (value) => encode({ at: new Date((value as { at: Date }).at.getTime() + 1) }),
      decode: (...read) => ({ at: new Date(decode(...read).at) }),
    },
  })
  const all = [1, 2, 3, 4].map((ms) => dated.encode('value', { at: new Date(ms) }, FIELDS))
  assert.deepEqual(
    dated.decodeMany(all).map((each) => (each as Decoded<unknown>).value),
    [2, 3, 4, 5].map((ms) => ({ at: new Date(ms) })),
  )
  assert.throws(() => Object.assign(json(), { decode }), TypeError)
})

test('what another serializer wrote is of another format, though it reads as JSON', () => {
  const writer = codecOf({ serializer: msgpack() })
  // In MessagePack a byte each, and that of a digit.
  const decoded = codecOf().decodeMany([49, 50, 51, 52].map((value) => writer.encode('value', value, FIELDS)))
  for (const { rejected } of decoded as Rejection[]) assert.equal(rejected, 'format')
})

test('each has an object of its own', () => {
  const codec = codecOf()
  const bytes = codec.encode('value', { lines: [1] }, FIELDS)
  const [one, other] = codec.decodeMany([bytes, bytes, bytes, bytes]) as Decoded<{ lines: number[] }>[]
  one!.value!.lines.push(2)
  assert.deepEqual(other!.value, { lines: [1] })
})

test('one that does not parse is corrupt, and the others are read', () => {
  const codec = codecOf()
  const good = [1, 2, 3, 4].map((value) => codec.encode('value', { value }, FIELDS))
  for (const bent of ['', '1,2', '{', '"a', '[1', '1]', '{},{}', '{"a":{}', '{}}', Buffer.from('{"a":"\xff"}', 'latin1')]) {
    const all = [...good, lying(Buffer.from(bent))]
    const decoded = codec.decodeMany(all)
    assert.equal(decoded.at(-1)!.rejected, 'corrupt', String(bent))
    assertAsEach(codec, all)
  }
})

test('texts of which some go on in the next, and others are two, are corrupt one by one', () => {
  const codec = codecOf()
  const good = codec.encode('value', { id: 1 }, FIELDS)
  for (const bent of [
    ['[3', '4]', '1,2'],
    ['{"a":"}', '{","b":1}', '{},{}'],
    ['{"a":"{}', '{}"}', '{},{}'],
  ]) {
    const all = [good, ...bent.map((text) => lying(Buffer.from(text))), good]
    assert.deepEqual(
      codec.decodeMany(all).map((each) => each!.rejected),
      [undefined, 'corrupt', 'corrupt', 'corrupt', undefined],
    )
  }
})

test('values that are validated are judged one by one', () => {
  const codec = codecOf({ validate: v.object({ id: v.number() }) })
  const all = [1, 'two', 3, 4, 5].map((id) => codec.encode('value', { id }, FIELDS))
  assert.deepEqual(
    codec.decodeMany(all).map((each) => each!.rejected),
    [undefined, 'invalid', undefined, undefined, undefined],
  )
  const later = codecOf({
    validate: v.pipeAsync(
      v.unknown(),
      v.checkAsync(async () => true),
    ),
  })
  assert.throws(() => later.decodeMany(all), ConfigurationError)
})

test('of plain values none says where it ends, so each is read alone', () => {
  const codec = plainCodec<unknown>({}, "cache 'plain'")
  const decoded = codec.decodeMany([...['"a', 'b"', '1,2', '{}'].map((text) => Buffer.from(text)), undefined])
  assert.deepEqual(
    decoded.map((each) => each?.rejected ?? (each as Decoded<unknown> | undefined)?.value),
    ['corrupt', 'corrupt', 'corrupt', {}, undefined],
  )
})
