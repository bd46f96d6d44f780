import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { seededRandom } from '../../testing/seeded-random.ts'
import { BitWriter } from './bits.ts'
import { decodeFrame } from './dictionary-decoder.ts'
import { DictionaryEncoder } from './dictionary-encoder.ts'
import { cellsFor, describeCells, fseTable, readCells } from './fse.ts'
import { codeLengths, describeLengths, MAX_CODE_BITS, readLengths } from './huffman.ts'
import { MAX_CODED_BYTES } from './sequence-codes.ts'
import { composeDictionary, noCounts, readDictionary } from './zstd-dictionary.ts'

const WORDS = [
  '{"name":"',
  '","price":',
  '{"currency":"INR"',
  ',"category":["Clothing',
  'Footwear',
  '"]',
  ',"url":"http://shop/',
  'é',
  '☃',
  'null',
  '0',
  '1',
  'xyz',
]
const CONTENT = Buffer.from(Array.from({ length: 60 }, (_, nth) => `${WORDS.join('')}${nth}`).join(''))

/** What looks like values: words that the dictionary has, and whatever else. */
const values = fc
  .array(fc.oneof(fc.constantFrom(...WORDS), fc.string({ maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 4 })), { maxLength: 120 })
  .map((parts) => Buffer.from(parts.join('')))

function trained(content = CONTENT) {
  const counts = noCounts()
  for (const each of Object.values(counts)) each.fill(1)
  for (const byte of CONTENT) counts.literals[byte]!++
  const encoder = new DictionaryEncoder(readDictionary(composeDictionary(CONTENT, counts))!)
  const counted = noCounts()
  for (let at = 0; at < 40; at++) encoder.count(Buffer.from(WORDS.slice(at % 7).join(String(at))), 8, counted)
  return composeDictionary(content, counted)
}

const BYTES = trained()
const DICTIONARY = readDictionary(BYTES)!
const ENCODER = new DictionaryEncoder(DICTIONARY)

/** Since 22.19 and 24.6 Node's zstd can be given a dictionary; it knows best what a frame is. */
const zlibKnowsDictionaries = (() => {
  try {
    return zstdDecompressSync(ENCODER.encode(CONTENT.subarray(0, 500), 8)!, { dictionary: BYTES }).equals(CONTENT.subarray(0, 500))
  } catch {
    return false
  }
})()

test('what is packed by a dictionary is unpacked by it, by zlib too, at every depth', () => {
  fc.assert(
    fc.property(values, fc.constantFrom(1, 2, 8, 64), (value, depth) => {
      const frame = ENCODER.encode(value, depth)
      if (frame === undefined) return
      assert.ok(frame.length < value.length)
      assert.deepEqual(Buffer.from(decodeFrame(frame, DICTIONARY)!), value)
      if (zlibKnowsDictionaries) assert.deepEqual(zstdDecompressSync(frame, { dictionary: BYTES }), value)
    }),
    { numRuns: 500 },
  )
})

test('values of every size around where headers change come back, repeating ones too', () => {
  const random = seededRandom(3)
  const text = Buffer.from(Array.from({ length: 12_000 }, () => 32 + Math.floor(random() ** 3 * 90)))
  for (const length of [1, 2, 3, 4, 30, 31, 32, 33, 255, 256, 257, 1_023, 1_024, 1_500, 4_095, 4_096, 7_999, MAX_CODED_BYTES]) {
    for (const value of [text.subarray(0, length), Buffer.alloc(length, 'ab'), Buffer.alloc(length, 7)]) {
      const frame = ENCODER.encode(value, 8)
      if (frame !== undefined) assert.deepEqual(Buffer.from(decodeFrame(frame, DICTIONARY)!), value, `${length}`)
      if (frame !== undefined && zlibKnowsDictionaries) assert.deepEqual(zstdDecompressSync(frame, { dictionary: BYTES }), value)
    }
  }
  assert.equal(ENCODER.encode(Buffer.alloc(MAX_CODED_BYTES + 1), 8), undefined, 'larger ones are left to zlib')
})

test('a value leaves nothing behind that the next could refer to', () => {
  const alone = new DictionaryEncoder(DICTIONARY)
  const value = Buffer.from('{"name":"something that the dictionary does not have, twice something that the dictionary does not have"}')
  const first = alone.encode(value, 64)!
  for (let nth = 0; nth < 20; nth++) alone.encode(Buffer.from(`${value}${nth}`.repeat(1 + nth)), 64)
  assert.deepEqual(alone.encode(value, 64), first)
})

test('a damaged frame is refused or comes out as something else of its length, and never reads or writes beyond', () => {
  const value = Buffer.from(WORDS.join('-').repeat(3))
  const frame = Buffer.from(ENCODER.encode(value, 8)!)
  fc.assert(
    fc.property(fc.nat(frame.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(frame.length), (at, flip, cut) => {
      const bent = Buffer.from(frame)
      bent[at]! ^= flip
      for (const bytes of [bent, bent.subarray(0, cut), frame.subarray(0, cut)]) {
        try {
          const read = decodeFrame(bytes, DICTIONARY)
          assert.ok(read === undefined || read.length <= MAX_CODED_BYTES)
        } catch (error) {
          assert.match((error as Error).message, /^zstd: /)
        }
      }
    }),
    { numRuns: 2_000 },
  )
})

test('a match that begins before the dictionary is refused', () => {
  const before = Buffer.from('what only the longer of two dictionaries has, at its very beginning')
  const longer = new DictionaryEncoder(readDictionary(trained(Buffer.concat([before, CONTENT])))!)
  assert.throws(() => decodeFrame(longer.encode(before, 8)!, DICTIONARY), /^Error: zstd: /)
})

test('tables come back from their description, and every symbol has a place in them', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(10_000), { minLength: 2, maxLength: 50 }), fc.constantFrom(8, 9), (counts, log) => {
      const cells = cellsFor(counts, log)
      assert.equal(
        cells.reduce((sum, each) => sum + Math.abs(each), 0),
        1 << log,
      )
      assert.ok(cells.every((each) => each !== 0))
      const out = new BitWriter(256)
      describeCells(out, cells, log)
      out.close()
      assert.deepEqual(readCells(out.bytes, 0), { cells, log, end: out.length })
      assert.equal(new Set(fseTable(cells, log).symbols).size, counts.length)
    }),
  )
})

test('code lengths come back from their description, and no code is too long', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(3), fc.nat(1_000_000)), { minLength: 256, maxLength: 256 }), (counts) => {
      const lengths = codeLengths(counts)
      assert.ok(lengths.every((length) => length > 0 && length <= MAX_CODE_BITS))
      const out = new BitWriter(256)
      describeLengths(out, lengths)
      out.close()
      assert.deepEqual(readLengths(out.bytes, 0), { lengths, end: out.length })
    }),
    { numRuns: 50 },
  )
})

test('bytes that are no dictionary of this kind are none', () => {
  for (let end = 0; end < BYTES.length - CONTENT.length + 8; end++) assert.equal(readDictionary(BYTES.subarray(0, end)), undefined)
  assert.equal(readDictionary(CONTENT), undefined)
})
