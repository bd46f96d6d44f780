import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Reply, RespReader } from './resp-reader.ts'
import { type Argument, type Encoded, encodeCommand, encodeMget } from './resp-writer.ts'

/** A command is, as bytes, what an array of strings is as a reply. */
function readBack(encoded: Encoded): Reply[] {
  const told: Reply[] = []
  new RespReader((reply) => told.push(reply)).write(typeof encoded === 'string' ? Buffer.from(encoded, 'latin1') : encoded)
  return told
}

const bytesOf = (arg: Argument): Buffer => (typeof arg === 'object' ? arg : Buffer.from(String(arg)))
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('é', '\u{1f980}', '\ud800', '\r', '\n', 'ÿ') }),
)
const long = fc.integer({ min: 500, max: 2_000 }).map((length) => 'k'.repeat(length))
const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each))

test('any command is read back as it was given, with every length in bytes', () => {
  fc.assert(
    fc.property(text, fc.array(fc.oneof(text, long, bytes, fc.integer()), { maxLength: 20 }), (command, args) => {
      assert.deepEqual(readBack(encodeCommand(command, args)), [[command, ...args].map(bytesOf)])
    }),
    { numRuns: 500 },
  )
})

test('any MGET is read back as it was given, with every length in bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(text, long), { minLength: 1, maxLength: 30 }), (keys) => {
      assert.deepEqual(readBack(encodeMget(keys)), [['MGET', ...keys].map(bytesOf)])
    }),
    { numRuns: 500 },
  )
})

test('a command of ASCII is text, and one with bytes or other characters is one buffer', () => {
  assert.equal(encodeMget(['a', 'bc']), '*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$2\r\nbc\r\n')
  assert.equal(encodeCommand('GET', ['a']), '*2\r\n$3\r\nGET\r\n$1\r\na\r\n')
  assert.ok(Buffer.isBuffer(encodeMget(['é'])))
  assert.ok(Buffer.isBuffer(encodeCommand('SET', ['a', Buffer.from('b')])))
})

test('bytes given are copied: a later change of them is not sent', () => {
  const value = Buffer.from('before')
  const encoded = encodeCommand('SET', ['a', value])
  value.fill('x')
  assert.deepEqual(readBack(encoded), [['SET', 'a', 'before'].map(bytesOf)])
})
