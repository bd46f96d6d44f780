import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { types } from 'node:util'
import fc from 'fast-check'
import { copyThrough, shared } from './freeze.ts'

function isFrozenThrough(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true
  return Object.isFrozen(value) && Object.values(value).every(isFrozenThrough)
}

describe('sharing', () => {
  test('plain data is frozen through, and is the value given', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const result = shared(value, false)!
        assert.ok(Object.is(result.value, value))
        assert.equal(result.isCopied, false)
        assert.ok(isFrozenThrough(result.value))
      }),
    )
  })

  test('what lies under something already frozen is frozen too', () => {
    const inner = { a: 1 }
    shared(Object.freeze({ inner }), false)
    assert.ok(Object.isFrozen(inner))
  })

  test('circles and depth are no matter', () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    assert.equal(shared(circle, false)?.value, circle)
    let deep: unknown = 1
    for (let i = 0; i < 50_000; i++) deep = [deep]
    assert.ok(Object.isFrozen(shared(deep, false)?.value))
    assert.ok(copyThrough(deep) !== deep)
  })

  test('one part that cannot be frozen makes the whole a copy, and nothing of it is frozen', () => {
    for (const part of [
      new Date(1),
      new Map(),
      new Set(),
      /x/,
      Buffer.from('x'),
      new Uint8Array(2),
      new Float64Array(1),
      new ArrayBuffer(1),
    ]) {
      const value = { list: [1], part }
      const result = shared(value, false)!
      assert.equal(result.isCopied, true)
      assert.deepEqual(result.value, value)
      assert.notEqual(result.value.part, part)
      assert.ok(!Object.isFrozen(value) && !Object.isFrozen(value.list))
    }
  })

  test('functions, symbols and instances of classes are not shared, and are left as they were', () => {
    class Money {
      cents = 1
    }
    const parts = [() => 1, Symbol('x'), new Money(), new Error('x'), Promise.resolve(), new WeakMap(), new Proxy(new Map(), {}).get]
    for (const part of [...parts, new (class extends Array {})(), new (class extends Map {})(), new DataView(new ArrayBuffer(1))]) {
      const value = { before: {}, part }
      assert.equal(shared(value, false), undefined)
      assert.equal(shared(value, true), undefined)
      assert.equal(shared(new Map([[1, part]]), false), undefined)
      assert.ok(!Object.isFrozen(value) && !Object.isFrozen(value.before))
    }
    assert.equal(
      shared(() => 1, false),
      undefined,
    )
  })

  test('more parts than are walked through are not shared', () => {
    assert.equal(
      shared(
        Array.from({ length: 100_001 }, () => ({})),
        false,
      ),
      undefined,
    )
  })
})

describe('copies', () => {
  test('equal the value and share no part with it', () => {
    fc.assert(
      fc.property(fc.anything({ withDate: true, withMap: true, withSet: true, withTypedArray: true, withNullPrototype: true }), (value) => {
        const copy = copyThrough(value)
        assert.deepStrictEqual(copy, value)
        const originals = new Set(partsOf(value))
        for (const part of partsOf(copy)) assert.ok(!originals.has(part))
      }),
    )
  })

  test('keep Buffers Buffers, circles circles, and a property named __proto__ a property', () => {
    const value = JSON.parse('{"__proto__": {"a": 1}}') as Record<string, unknown>
    value.bytes = Buffer.from('x')
    value.self = value
    const copy = copyThrough(value)
    assert.ok(Buffer.isBuffer(copy.bytes))
    copy.bytes[0] = 0
    assert.equal(String(value.bytes), 'x')
    assert.equal(copy.self, copy)
    assert.equal(Object.getPrototypeOf(copy), Object.prototype)
    assert.deepEqual(Object.getOwnPropertyDescriptor(copy, '__proto__')?.value, { a: 1 })
  })
})

function partsOf(value: unknown): object[] {
  const parts = new Set<object>()
  const add = (inner: unknown) => typeof inner === 'object' && inner !== null && parts.add(inner)
  add(value)
  for (const part of parts) {
    if (types.isMap(part)) for (const [key, inner] of part) [key, inner].forEach(add)
    else if (types.isSet(part)) [...part].forEach(add)
    else if (!ArrayBuffer.isView(part)) Object.values(part).forEach(add)
  }
  return [...parts]
}
