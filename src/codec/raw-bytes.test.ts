import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EncodeError } from '../errors.ts'
import { rawBytes } from './raw-bytes.ts'

test('bytes come back as they were, as a copy that shares no memory with the reply', () => {
  const reply = Buffer.from([9, 1, 2, 255, 9])
  const value = rawBytes().decode(reply, 1, 4)
  reply.fill(0)
  assert.deepEqual([...value], [1, 2, 255])
  assert.equal(value.buffer.byteLength, 3)
  assert.equal(Object.getPrototypeOf(value), Uint8Array.prototype)
})

test('what is no Uint8Array is refused', () => {
  for (const value of ['text', [1], null, new ArrayBuffer(1)]) assert.throws(() => rawBytes().encode(value as never), EncodeError)
})
