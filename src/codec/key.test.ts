import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigurationError } from '../errors.ts'
import { cacheName, MAX_KEY_BYTES, namespacedKey, plainKey } from './key.ts'

const { encode, decode, prefix } = namespacedKey('product')

/** Keys in which what is special is frequent: separators, escapes, braces, NUL, surrogates. */
const awkwardUnits = fc.constantFrom(
  'a',
  'B',
  '0',
  ':',
  '{',
  '}',
  '%',
  '7',
  'F',
  '\0',
  ' ',
  '\n',
  'é',
  '€',
  '😀',
  '\ud800',
  '\udc00',
  '\udbff',
)
const strings = fc.oneof(
  fc.array(awkwardUnits, { maxLength: 8 }).map((units) => units.join('')),
  fc.string({ unit: 'binary', maxLength: 12 }),
)
const awkwardBytes = fc.constantFrom(0, 0x25, 0x3a, 0x41, 0x7b, 0x7d, 0x80, 0xc3, 0xa9, 0xed, 0xa0, 0xff)
const byteStrings = fc.oneof(
  fc.array(awkwardBytes, { maxLength: 6 }).map((bytes) => Uint8Array.from(bytes)),
  fc.uint8Array({ maxLength: 12 }),
)

test('an ordinary key stands on the wire as it is', () => {
  assert.equal(encode('B0001'), 'rt:product:B0001')
  assert.equal(encode("user:7/cart@eu-west_1~(a),b;c=$!*+&'."), "rt:product:user:7/cart@eu-west_1~(a),b;c=$!*+&'.")
  assert.equal(encode(''), 'rt:product:')
  assert.equal(prefix, 'rt:product:')
})

test('whatever a URL path could not hold is percent-encoded, byte by byte', () => {
  assert.equal(encode('a b{c}%\0é'), 'rt:product:a%20b%7Bc%7D%25%00%C3%A9')
  assert.equal(encode(Uint8Array.of(0xff, 0x41, 0xfe)), 'rt:product:%FFA%FE')
})

test('every byte string comes back', () => {
  fc.assert(
    fc.property(byteStrings, (bytes) => {
      assert.deepEqual(Buffer.from(decode(encode(bytes))!), Buffer.from(bytes))
    }),
    { numRuns: 1000 },
  )
})

test('two byte strings have the same key only if they are the same', () => {
  fc.assert(
    fc.property(byteStrings, byteStrings, (one, other) => {
      assert.equal(encode(one) === encode(other), Buffer.compare(one, other) === 0)
    }),
    { numRuns: 2000 },
  )
})

test('two strings have the same key only if they are the same, lone surrogates included', () => {
  fc.assert(
    fc.property(strings, strings, (one, other) => {
      assert.equal(encode(one) === encode(other), one === other)
    }),
    { numRuns: 2000 },
  )
  assert.notEqual(encode('\ud800'), encode('\ufffd'))
  assert.notEqual(encode('\ud800'), encode('\udc00'))
  assert.equal(encode('\ud83d\ude00'), encode('😀'))
})

test('a string and its UTF-8 bytes are the same key', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => text.isWellFormed()),
      (text) => {
        assert.equal(encode(text), encode(Buffer.from(text)))
        assert.equal(Buffer.from(decode(encode(text))!).toString(), text)
      },
    ),
  )
})

test("keys of two caches never meet, and none is read as the other cache's", () => {
  const names = fc.stringMatching(/^[A-Za-z0-9_.-]{1,6}$/)
  fc.assert(
    fc.property(names, names, strings, strings, (one, other, key, otherKey) => {
      fc.pre(one !== other)
      const wire = namespacedKey(one).encode(key)
      assert.notEqual(wire, namespacedKey(other).encode(otherKey))
      assert.equal(namespacedKey(other).decode(wire), undefined)
    }),
    { numRuns: 1000 },
  )
})

test('the wire is ASCII without braces, spaces and control characters, for every key', () => {
  fc.assert(
    fc.property(fc.oneof(strings, byteStrings), (key) => {
      assert.match(encode(key), /^[\x21-\x7a|~]+$/)
    }),
    { numRuns: 1000 },
  )
})

test('what this encoding would not have written is not decoded: lower-case or needless escapes, cut ones, bytes outside ASCII', () => {
  for (const tail of ['%7b', '%41', '%', '%4', '%GG', '%+7', '% 7', '{', ' ', 'é', '€', '\0'])
    assert.equal(decode(`${prefix}${tail}`), undefined, tail)
  assert.equal(decode('rt:other:B0001'), undefined)
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), (tail) => {
      const bytes = decode(prefix + tail)
      if (bytes !== undefined) assert.equal(encode(bytes), prefix + tail)
    }),
    { numRuns: 2000 },
  )
})

test('a key of 1,024 bytes on the wire is taken, one more is refused with its length', () => {
  const room = MAX_KEY_BYTES - prefix.length
  assert.equal(encode('x'.repeat(room)).length, MAX_KEY_BYTES)
  assert.throws(
    () => encode('x'.repeat(room + 1)),
    (error: Error) => error instanceof ConfigurationError && error.message.includes('1025'),
  )
  assert.throws(() => encode(' '.repeat(400)), ConfigurationError)
  assert.throws(() => encode(new Uint8Array(2 ** 20)), ConfigurationError)
})

test('what is neither text nor bytes is no key', () => {
  for (const key of [7, null, undefined, {}, ['a']]) assert.throws(() => encode(key as never), ConfigurationError)
})

test('a cache is named by 1 to 64 letters, digits, _ . -', () => {
  for (const name of ['a', 'product', 'A.b_c-9', 'x'.repeat(64)]) assert.equal(cacheName(name), name)
  for (const name of ['', 'a:b', '!node', 'a b', 'é', 'a\n', 'x'.repeat(65), 7, null])
    assert.throws(() => cacheName(name as string), ConfigurationError)
})

test('plain keys are what they are; empty, ill-formed and too long ones are refused', () => {
  const plain = plainKey('old')
  for (const key of ['B0001', '{slot}:x', 'é %\0', 'rt', 'RT:a', ' rt:a', 'rt-a']) {
    assert.equal(plain.encode(key), key)
    assert.equal(plain.encode(Buffer.from(key)), key)
    assert.equal(Buffer.from(plain.decode(key)!).toString(), key)
  }
  assert.equal(plain.encode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41)), '\ufeffA')
  assert.equal(plain.encode('é'.repeat(512)).length, 512)
  for (const key of ['', '\ud800', Uint8Array.of(0xff), 'x'.repeat(1025), 'é'.repeat(513), 7]) {
    assert.throws(() => plain.encode(key as string), ConfigurationError)
  }
  assert.equal(plain.prefix, '')
})

test("a plain key never names an entry of a namespaced cache, nor a node's control record", () => {
  const plain = plainKey('old')
  for (const key of ['rt:product:B0001', 'rt:!node', 'rt:', Buffer.from('rt:product:B0001'), namespacedKey('product').encode('B0001')])
    assert.throws(() => plain.encode(key), { name: 'ConfigurationError', message: /'rt:'/ })
  assert.equal(plain.decode('rt:product:B0001'), undefined)
})
