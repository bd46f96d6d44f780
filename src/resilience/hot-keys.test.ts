import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { CacheNode } from '../node/node.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { HotKeys } from './hot-keys.ts'

test('whatever is read, a key of more than a thirtieth of the reads is hot, one of less than a fiftieth is not, and few are', () => {
  const law = fc.property(fc.integer(), fc.double({ min: 0.1, max: 3, noNaN: true }), (seed, skew) => {
    const random = seededRandom(seed)
    const hotKeys = new HotKeys()
    const counts = new Map<string, number>()
    // As the sketch is to see them: halved as often as its counts are.
    let total = 0
    for (let nth = 1; nth <= 5_000; nth++) {
      const key = `k${Math.floor(2_000 * random() ** (1 + skew * 3))}`
      hotKeys.note(key)
      counts.set(key, (counts.get(key) ?? 0) + 1)
      total++
      if (nth % 1_024 !== 0) continue
      total /= 2
      for (const [each, count] of counts) counts.set(each, count / 2)
    }
    for (const [key, count] of counts) {
      if (hotKeys.isHot(key)) assert.ok(count >= total * 0.02, `${key}: ${count} of ${total}`)
      else assert.ok(count < total * (0.02 + 1 / 64), `${key}: ${count} of ${total} is not hot`)
    }
    const list = hotKeys.list()
    assert.ok(list.length <= 50)
    for (const { key, share, uncertainty } of list) {
      const truth = counts.get(key)! / total
      assert.ok(truth <= share + 1e-9 && truth >= share - uncertainty - 1e-9)
    }
  })
  fc.assert(law, { numRuns: 50 })
})

test('a key is not hot any more once others are read', () => {
  const hotKeys = new HotKeys()
  for (let nth = 0; nth < 2_000; nth++) hotKeys.note('was')
  assert.equal(hotKeys.isHot('was'), true)
  for (let nth = 0; nth < 12_000; nth++) hotKeys.note(`k${nth % 500}`)
  assert.equal(hotKeys.isHot('was'), false)
})

test('of few reads nothing is hot', () => {
  const hotKeys = new HotKeys()
  for (let nth = 0; nth < 7; nth++) hotKeys.note('a')
  assert.equal(hotKeys.isHot('a'), false)
})

test('the owner chosen never has more than a quarter above the mean of the calls under way', () => {
  const law = fc.property(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 5 }), (loads) => {
    const hotKeys = new HotKeys()
    const owners = loads.map((load) => ({ load }) as CacheNode)
    const mean = (loads.reduce((a, b) => a + b, 0) + 1) / loads.length
    for (let nth = 0; nth < 2 * loads.length; nth++) assert.ok(loads[hotKeys.spread(owners)]! <= Math.ceil(mean * 1.25))
  })
  fc.assert(law)
})
