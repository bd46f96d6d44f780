import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../testing/seeded-random.ts'
import { ValueSample } from './value-sample.ts'

test('a sample stays within its bytes, whatever the sizes', () => {
  const random = seededRandom(1)
  const sample = new ValueSample(10_000, random)
  for (let nth = 0; nth < 2_000; nth++) {
    sample.offer(Buffer.alloc(Math.floor(random() * 900)))
    assert.ok(sample.bytes <= 10_000)
    assert.equal(
      sample.bytes,
      sample.values().reduce((sum, { length }) => sum + length, 0),
    )
  }
  assert.equal(sample.offered, 2_000)
})

test('early and late values are as likely to be in it', () => {
  let early = 0
  let late = 0
  for (let seed = 0; seed < 200; seed++) {
    const sample = new ValueSample(400, seededRandom(seed))
    for (let nth = 0; nth < 1_000; nth++) sample.offer(Buffer.alloc(4, nth < 500 ? 'e' : 'l'))
    for (const value of sample.values()) value[0] === 101 ? early++ : late++
  }
  assert.ok(Math.abs(early / (early + late) - 0.5) < 0.02, `${early} early, ${late} late`)
})

test('a sample keeps copies, and nothing of values that are large', () => {
  const sample = new ValueSample(100_000, seededRandom(1))
  const value = Buffer.from('abc')
  sample.offer(value)
  value.fill('x')
  sample.offer(Buffer.alloc(20_000))
  assert.deepEqual(
    sample.values().map((each) => Buffer.from(each).toString()),
    ['abc'],
  )
  sample.clear()
  assert.deepEqual([sample.values().length, sample.bytes, sample.offered], [0, 0, 0])
})
