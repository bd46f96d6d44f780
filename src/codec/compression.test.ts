import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import { createZstdCompress } from 'node:zlib'
import { ConfigurationError } from '../errors.ts'
import { noCompression, zstd } from './compression.ts'

const REPETITIVE = Buffer.alloc(10_000, 'ringtail ')
const REPETITIVE_LONG = Buffer.alloc(200_000, 'ringtail ')
/** Bytes that do not shrink, the same in each run. */
const noise = (length: number) => createHash('shake256', { outputLength: length }).update('noise').digest()

test('what zstd packs it unpacks, wherever it lies in the bytes', () => {
  const packed = zstd().compress(REPETITIVE)!
  assert.ok(packed.length < REPETITIVE.length / 10)
  const padded = Buffer.concat([Buffer.from('ab'), packed, Buffer.from('c')])
  assert.deepEqual(Buffer.from(zstd().decompress(padded, 2, 2 + packed.length)), REPETITIVE)
})

test('values below the threshold, above the most, and those that do not shrink by an eighth stay as they are', () => {
  assert.equal(zstd().compress(REPETITIVE.subarray(0, 4095)), undefined)
  assert.notEqual(zstd().compress(REPETITIVE.subarray(0, 4096)), undefined)
  assert.notEqual(zstd({ threshold: 10 }).compress(REPETITIVE.subarray(0, 100)), undefined)
  assert.equal(zstd({ maxBytes: 9_999 }).compress(REPETITIVE), undefined)
  assert.equal(zstd().compress(noise(10_000)), undefined)
  const barely = Buffer.concat([noise(9_400), Buffer.alloc(600)])
  assert.equal(zstd().compress(barely), undefined)
})

test('a bomb is stopped at maxBytes', () => {
  const bomb = zstd({ maxBytes: 2 ** 26 }).compress(Buffer.alloc(2 ** 26))!
  assert.ok(bomb.length < 10_000)
  assert.throws(() => zstd({ maxBytes: 2 ** 20 }).decompress(bomb, 0, bomb.length), { code: 'ERR_BUFFER_TOO_LARGE' })
})

test('bytes that are no zstd, or cut short, are refused', () => {
  const packed = zstd().compress(REPETITIVE)!
  assert.throws(() => zstd().decompress(Buffer.from('no zstd at all'), 0, 14))
  assert.throws(() => zstd().decompress(packed, 0, packed.length - 1))
  assert.throws(() => zstd().decompress(packed, 0, 0))
})

test('a frame cut short anywhere is refused, whatever its size', () => {
  const eager = zstd({ threshold: 0 })
  for (const length of [30, 255, 256, 300, 4_096, 65_791, 65_792, 200_000]) {
    const packed = eager.compress(REPETITIVE_LONG.subarray(0, length))!
    assert.equal(eager.decompress(packed, 0, packed.length).length, length)
    for (let cut = 0; cut < packed.length; cut++) assert.throws(() => eager.decompress(packed, 0, cut), `${length} cut to ${cut}`)
  }
})

test('a frame that does not tell the size of its content is refused: compress makes none', async () => {
  const parts: Buffer[] = []
  const stream = createZstdCompress().on('data', (part: Buffer) => parts.push(part))
  stream.write(REPETITIVE.subarray(0, 5_000))
  stream.flush()
  stream.end(REPETITIVE.subarray(5_000))
  await once(stream, 'end')
  const frame = Buffer.concat(parts)
  assert.throws(() => zstd().decompress(frame, 0, frame.length), /zstd/)
})

test('an option that is undefined has its default', () => {
  const packed = zstd({ threshold: undefined, level: undefined, maxBytes: undefined }).compress(REPETITIVE)
  assert.deepEqual(packed, zstd().compress(REPETITIVE))
})

test('options out of range and misspelt ones are refused', () => {
  for (const options of [{ level: 0 }, { level: 20 }, { threshold: -1 }, { maxBytes: 0 }, { treshold: 5 }]) {
    assert.throws(() => zstd(options), ConfigurationError)
  }
})

test('without compression nothing is packed', () => {
  assert.equal(noCompression().compress(REPETITIVE), undefined)
})
