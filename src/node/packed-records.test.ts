import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../testing/seeded-random.ts'
import { PackedRecords } from './packed-records.ts'

const keyOf = (at: number): string => ['k', 'ключ', 'long-key:'.repeat(9), '\u{1f511}'][at % 4] + String(at)

test('law: what lies under each number is what was put there last, whatever was put, removed and rewritten around it', () => {
  const size = fc.oneof({ weight: 8, arbitrary: fc.nat(300) }, { weight: 1, arbitrary: fc.integer({ min: 3_000, max: 40_000 }) })
  const step = fc.record({ number: fc.nat(60), op: fc.constantFrom('put', 'put', 'put', 'remove', 'rewrite'), size, byte: fc.nat(255) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: 'max' }), (steps) => {
      const records = new PackedRecords()
      const model = new Map<number, Buffer>()
      for (const { number, op, size: bytes, byte } of steps) {
        const former = model.get(number)
        if (op === 'put') {
          if (former !== undefined) records.remove(number)
          model.set(number, Buffer.alloc(bytes, byte))
          records.put(number, keyOf(number), model.get(number)!)
        } else if (former !== undefined && op === 'remove') {
          records.remove(number)
          model.delete(number)
        } else if (former !== undefined) {
          model.set(number, Buffer.alloc(former.length, byte))
          records.rewrite(number, model.get(number)!)
        }
      }
      for (let number = 0; number <= 60; number++) {
        const bytes = model.get(number)
        assert.equal(records.has(number), bytes !== undefined)
        if (bytes === undefined) continue
        assert.ok(bytes.equals(records.bytesOf(number)))
        assert.deepEqual([records.keyOf(number), records.lengthOf(number)], [keyOf(number), bytes.length])
        assert.equal(records.keyLengthOf(number), Buffer.byteLength(keyOf(number)))
        assert.ok(records.hasKey(number, keyOf(number)))
        for (const other of [keyOf(number + 1), `${keyOf(number)}x`, keyOf(number).slice(0, -1), '']) {
          assert.ok(!records.hasKey(number, other), other)
        }
      }
    }),
    { numRuns: 100 },
  )
})

test('pages follow what is held: a quarter is the most that they are more, though sizes change all the time', () => {
  const random = seededRandom(7)
  const records = new PackedRecords()
  let live = 0
  const sizes = new Map<number, number>()
  for (let turn = 0; turn < 60_000; turn++) {
    const number = Math.floor(random() * 8_000)
    const former = sizes.get(number)
    if (former !== undefined) {
      records.remove(number)
      live -= former
    }
    const era = Math.floor(turn / 20_000)
    const bytes = Math.floor(random() * [200, 900, 60][era]!)
    records.put(number, keyOf(number), Buffer.alloc(bytes))
    sizes.set(number, Buffer.byteLength(keyOf(number)) + bytes)
    live += sizes.get(number)!
    // 8 bytes of header, up to 7 of filling, 4 of the table and its growth.
    if (turn % 1_000 === 999) assert.ok(records.tableBytes <= 1.25 * (live + 20 * sizes.size) + 16_384, `${records.tableBytes} for ${live}`)
  }
  for (const number of sizes.keys()) records.remove(number)
  assert.ok(records.tableBytes <= 2 ** 18 + 60_000, `${records.tableBytes}`)
})

test('what is given out stays as it is', () => {
  const records = new PackedRecords()
  records.put(0, 'a', Buffer.from('one'))
  const given = records.bytesOf(0)
  records.rewrite(0, Buffer.from('two'))
  assert.deepEqual([String(given), String(records.bytesOf(0))], ['one', 'two'])
  const bytes = Buffer.alloc(100_000, 1)
  records.put(1, 'large', bytes)
  const large = records.bytesOf(1)
  bytes.fill(2)
  records.rewrite(1, bytes)
  bytes.fill(3)
  assert.deepEqual([large[0], records.bytesOf(1)[0]], [1, 2])
})
