import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EncodeError } from '../errors.ts'
import { json } from './json.ts'

const serializer = json<unknown>()

function roundTrip(value: unknown): unknown {
  const bytes = serializer.encode(value)
  const padded = Buffer.concat([Buffer.from('"'), bytes, Buffer.from('"')])
  assert.deepEqual(serializer.decode(new Uint8Array(padded), 1, 1 + bytes.length), serializer.decode(padded, 1, 1 + bytes.length))
  return serializer.decode(padded, 1, 1 + bytes.length)
}

test('every JSON value comes back, wherever its bytes lie', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      assert.deepEqual(roundTrip(value), JSON.parse(JSON.stringify(value)))
    }),
    { numRuns: 500 },
  )
})

test('text of all kinds comes back, lone surrogates and U+FFFD included', () => {
  for (const text of ['', 'ascii', 'é', '€', '😀', '\ufffd', '\ud800', 'a\udc00b', '\0']) assert.equal(roundTrip(text), text)
})

test('__proto__ as a key is data, on both ways', () => {
  const value = JSON.parse('{"__proto__":{"admin":true},"a":1}')
  const back = roundTrip(value) as object
  assert.deepEqual(Object.keys(back), ['__proto__', 'a'])
  assert.equal((back as { admin?: boolean }).admin, undefined)
  assert.equal(Object.getPrototypeOf(back), Object.prototype)
})

test('dates and objects with a toJSON become what JSON makes of them; a property that is undefined is left out', () => {
  assert.deepEqual(roundTrip({ at: new Date(0), price: { toJSON: () => '9.99' }, none: undefined }), {
    at: '1970-01-01T00:00:00.000Z',
    price: '9.99',
  })
})

test('what JSON would change in silence is refused, by the path that leads to it', () => {
  const refusals: [unknown, string][] = [
    [undefined, 'undefined at value'],
    [() => 1, 'a function at value'],
    [{ items: [1, { price: 5n }] }, 'a BigInt at value.items[1].price'],
    [{ 'odd key': { f() {} } }, 'a function at value["odd key"].f'],
    [[1, undefined], 'undefined at value[1]'],
    // biome-ignore lint/suspicious/noSparseArray: the hole is what is tested
    [[1, , 2], 'undefined at value[1]'],
    [{ a: Number.NaN }, 'NaN at value.a'],
    [{ a: Number.NEGATIVE_INFINITY }, '-Infinity at value.a'],
    [{ a: Symbol('x') }, 'a symbol at value.a'],
    [{ a: new Map() }, 'a Map at value.a'],
    [new Set(), 'a Set at value'],
    [{ a: Uint8Array.of(1) }, 'bytes (rawBytes() or msgpack() keep them) at value.a'],
    [{ a: Buffer.from('x') }, 'bytes (rawBytes() or msgpack() keep them) at value.a'],
    [{ a: new Float32Array(1) }, 'a Float32Array at value.a'],
    [{ a: new Date(Number.NaN) }, 'an invalid Date at value.a'],
    [{ a: new TypeError('x') }, 'a TypeError at value.a'],
  ]
  for (const [value, told] of refusals) {
    assert.throws(
      () => serializer.encode(value),
      (error: Error) => error instanceof EncodeError && error.message.endsWith(`but got: ${told}`),
      told,
    )
  }
})

test('a circle is refused, not followed', () => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  assert.throws(() => serializer.encode(circle), EncodeError)
})

test('objects that are read together come back as each does alone, however many, and where one is too large, none do', () => {
  const read = (lengths: readonly number[]) => {
    const bytes = lengths.map((length) => Buffer.from(`..${JSON.stringify({ x: 'x'.repeat(length) })}..`))
    const ends = bytes.map(({ length }) => length - 2)
    return json<{ x: string }>().decodeMany!(bytes, new Array(bytes.length).fill(2), ends)?.map(({ x }) => x.length)
  }
  const many = Array.from({ length: 300 }, (_, at) => at * 7)
  // What fits to the byte, with `{"x":""}` and what stands before and after it, and what comes behind it.
  const largest = 65_536 - 8 - 4
  for (const lengths of [many, [largest, 1], [largest - 1, 1], [largest - 13, 1, 2, 3], [], [9]]) assert.deepEqual(read(lengths), lengths)
  assert.equal(read([1, largest + 1, 2]), undefined)
})

test('what is no object is not read together', () => {
  for (const text of ['7', '"a"', '[{}]', 'null', ' {}', '{} ', '{}', '']) {
    const bytes = Buffer.from(text)
    assert.deepEqual(json().decodeMany!([bytes], [0], [bytes.length]), text === '{}' ? [{}] : undefined)
  }
})

test('bytes that are not UTF-8 are refused, though JSON would read them', () => {
  assert.throws(() => serializer.decode(Uint8Array.of(0x22, 0xff, 0x22), 0, 3))
  assert.throws(() => serializer.decode(Buffer.from('{"a":'), 0, 5))
  assert.throws(() => serializer.decode(Buffer.alloc(0), 0, 0))
})
