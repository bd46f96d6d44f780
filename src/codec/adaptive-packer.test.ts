import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../testing/fake-clock.ts'
import { AdaptivePacker } from './adaptive-packer.ts'
import type { DictionaryCompression } from './compression.ts'
import { type Dictionaries, type Dictionary, dictionaryOf } from './dictionary.ts'

/** Packs all but those that are filled with zeros to a byte; takes a while for it. */
function packer(options: Partial<DictionaryCompression> = {}, tookMs = 0) {
  const clock = new FakeClock()
  const tried: { readonly length: number; readonly level: number }[] = []
  const dictionaries: Dictionaries & { current: Dictionary | undefined } = {
    current: dictionaryOf(Buffer.from('a dictionary')),
    find: () => undefined,
    fetch: () => undefined,
    packed: () => {},
  }
  const compression: DictionaryCompression = {
    threshold: undefined,
    level: undefined,
    compress(bytes, _dictionary, level) {
      tried.push({ length: bytes.length, level })
      clock.stall(tookMs)
      return bytes[0] === 0 ? undefined : Buffer.alloc(1)
    },
    compressAlone: () => undefined,
    ...options,
  }
  return { clock, tried, dictionaries, packer: new AdaptivePacker(compression, dictionaries, clock) }
}

test('a size of which hardly any value shrinks is left alone, but for one in 64; others are not', () => {
  const { packer: each, tried } = packer()
  for (let nth = 0; nth < 640; nth++) each.pack(Buffer.alloc(100))
  assert.ok(tried.length < 40, `${tried.length} tried`)
  assert.ok(tried.length > 25, 'and some are tried still')
  assert.notEqual(each.pack(Buffer.alloc(600, 1)), undefined)
})

test('a size that has begun to shrink is packed again', () => {
  const { packer: each } = packer()
  for (let nth = 0; nth < 100; nth++) each.pack(Buffer.alloc(100))
  for (let nth = 0; nth < 640; nth++) each.pack(Buffer.alloc(100, 1))
  assert.notEqual(each.pack(Buffer.alloc(100, 1)), undefined)
})

test('by another dictionary every size is tried anew', () => {
  const { packer: each, dictionaries, tried } = packer()
  for (let nth = 0; nth < 100; nth++) each.pack(Buffer.alloc(100))
  const before = tried.length
  dictionaries.current = dictionaryOf(Buffer.from('another'))
  for (let nth = 0; nth < 64; nth++) each.pack(Buffer.alloc(100))
  assert.ok(tried.length - before > 15)
})

test('the smallest are never tried, and those below a threshold that was set', () => {
  const { packer: each, tried } = packer()
  each.pack(Buffer.alloc(31, 1))
  const set = packer({ threshold: 200 })
  set.packer.pack(Buffer.alloc(199, 1))
  set.packer.pack(Buffer.alloc(200, 1))
  assert.deepEqual([tried.length, set.tried.length], [0, 1])
})

test('the level falls while packing takes much of the time, and rises while it takes little', () => {
  const busy = packer({}, 50)
  for (let nth = 0; nth < 100; nth++) busy.packer.pack(Buffer.alloc(100, 1))
  assert.equal(busy.packer.counts().level, 1)
  const idle = packer({}, 1)
  for (let nth = 0; nth < 10; nth++) {
    idle.clock.stall(1_000)
    idle.packer.pack(Buffer.alloc(100, 1))
  }
  assert.equal(idle.packer.counts().level, 9)
})

test('a level that was set stays', () => {
  const { packer: each, tried } = packer({ level: 5 }, 50)
  for (let nth = 0; nth < 100; nth++) each.pack(Buffer.alloc(100, 1))
  assert.ok(tried.every(({ level }) => level === 5))
})

test('what is packed without the dictionary does not name it, and all is counted', () => {
  const { packer: each, dictionaries } = packer({ compress: () => undefined, compressAlone: (bytes) => bytes.subarray(0, 10) })
  assert.equal(each.pack(Buffer.alloc(2_000))?.dictionary, 0)
  assert.equal(each.pack(Buffer.alloc(500)), undefined)
  assert.deepEqual([each.counts().bytesIn, each.counts().bytesOut], [2_500, 510])
  assert.equal(packer().packer.pack(Buffer.alloc(100, 1))?.dictionary, dictionaries.current?.id)
})
