import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EncodeError } from '../errors.ts'
import { msgpack } from './msgpack.ts'

const serializer = msgpack<unknown>()

function roundTrip(value: unknown): unknown {
  const bytes = serializer.encode(value)
  const padded = Buffer.concat([Buffer.alloc(3, 0xc1), bytes, Buffer.alloc(2, 0xc1)])
  return serializer.decode(new Uint8Array(padded), 3, 3 + bytes.length)
}

const leaves = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', '__proto_', ''),
  fc.integer(),
  fc.double().map((number) => (Object.is(number, -0) ? 0 : number)),
  fc.boolean(),
  fc.constant(null),
  fc.bigInt(),
  fc.date({ noInvalidDate: true }),
)
const keys = fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', '__proto_', 'constructor', 'toString'))
const values = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, leaves, fc.array(tie('value')), fc.array(fc.tuple(keys, tie('value'))).map(ownProperties)),
})).value

test('every value comes back: text, numbers, BigInts, dates, and keys called __proto__', () => {
  fc.assert(
    fc.property(values, (value) => assert.deepEqual(roundTrip(value), value)),
    { numRuns: 1000 },
  )
})

test('__proto__ as a key is data, on both ways, and __proto_ stays another key', () => {
  const back = roundTrip(JSON.parse('{"__proto__":{"admin":true,"__proto__":1},"__proto_":2}')) as { admin?: boolean }
  assert.equal(JSON.stringify(back), '{"__proto__":{"admin":true,"__proto__":1},"__proto_":2}')
  assert.equal(back.admin, undefined)
  assert.equal(Object.getPrototypeOf(back), Object.prototype)
})

test('bytes come back as a copy of their own', () => {
  const bytes = serializer.encode({ image: Uint8Array.of(1, 2, 3) })
  const back = serializer.decode(bytes, 0, bytes.length) as { image: Uint8Array }
  bytes.fill(0)
  assert.deepEqual([...back.image], [1, 2, 3])
  assert.ok(back.image instanceof Uint8Array)
})

test('what it writes is standard MessagePack, without records', () => {
  assert.equal(Buffer.from(serializer.encode([{ a: 1 }, { a: 2 }])).toString('hex'), '9281a1610181a16102')
})

test('what would come back as something else is refused, by the path that leads to it', () => {
  const refusals: [unknown, string][] = [
    [undefined, 'undefined at value'],
    [{ a: new Map() }, 'a Map at value.a'],
    [{ a: [new Set()] }, 'a Set at value.a[0]'],
    [{ a: () => 1 }, 'a function at value.a'],
    [{ a: 'x\ud800' }, 'text with a lone surrogate at value.a'],
    [{ '\ud800': 1 }, 'under a key with a lone surrogate at value["\\ud800"]'],
    [{ a: new Float64Array(2) }, 'a Float64Array at value.a'],
  ]
  for (const [value, told] of refusals) {
    assert.throws(
      () => serializer.encode(value),
      (error: Error) => error instanceof EncodeError && error.message.endsWith(`but got: ${told}`),
      told,
    )
  }
})

test('bytes that are no MessagePack, or have something behind it, are refused and leave nothing behind', () => {
  for (const hex of ['', '81', 'dd7fffffff', 'c1c1', 'a5616263', '0101']) {
    const bytes = Buffer.from(hex, 'hex')
    assert.throws(() => serializer.decode(bytes, 0, bytes.length), hex)
  }
  assert.deepEqual(roundTrip({ still: 'well' }), { still: 'well' })
})

function ownProperties(entries: readonly (readonly [string, unknown])[]): object {
  const object = {}
  for (const [key, value] of entries) Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
  return object
}
