import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Contestant } from './contestant.ts'
import { openLoop } from './open-loop.ts'
import { catalogue, type Product } from './products.ts'

const all = catalogue(100)
const byKey = new Map(all.products.map((product) => [product.sku, product]))

/** @param get in place of a look-up; told the number of the call */
function contestantOf(get: (key: string, nth: number) => Promise<Product | undefined>): Contestant {
  let nth = 0
  return { get: (key) => get(key, nth++), set: async () => {}, close: async () => {} }
}

test('so many arrive a second, and those of the beginning are not counted', async () => {
  let asked = 0
  const contestant = contestantOf(async (key) => {
    asked++
    return byKey.get(key)
  })
  const { rate, counted, failed, overrun } = await openLoop(contestant, all, { rate: 20_000, warmUpMs: 10, ms: 30 })
  assert.deepEqual({ rate, counted, asked, failed, overrun }, { rate: 20_000, counted: 600, asked: 800, failed: 0, overrun: false })
})

test('what was due while the process was held up has waited from then on, and was let in late', async () => {
  const contestant = contestantOf(async (key, nth) => {
    if (nth === 100) for (const untilMs = performance.now() + 20; performance.now() < untilMs; ) {}
    return byKey.get(key)
  })
  const { p99Ms, lagP99Ms } = await openLoop(contestant, all, { rate: 10_000, warmUpMs: 0, ms: 100 })
  // 200 of 1,000 arrivals were due in those 20 ms.
  assert.ok(p99Ms >= 15, `p99 is ${p99Ms} ms`)
  assert.ok(lagP99Ms >= 15, `arrivals were late by ${lagP99Ms} ms`)
})

test('an answer that is another product, or none, has failed, and so has one that is an error', async () => {
  const wrong = contestantOf(async (key, nth) => (nth === 3 ? all.products[99] : nth === 4 ? undefined : byKey.get(key)))
  assert.equal((await openLoop(wrong, all, { rate: 10_000, warmUpMs: 0, ms: 10 })).failed, 2)
  const failing = contestantOf((key, nth) => (nth === 5 ? Promise.reject(new Error('no')) : Promise.resolve(byKey.get(key))))
  assert.equal((await openLoop(failing, all, { rate: 10_000, warmUpMs: 0, ms: 10 })).failed, 1)
})

test('a run in which too many wait is ended early', async () => {
  const waiting: (() => void)[] = []
  const contestant = contestantOf((key) => {
    return new Promise((resolve) => {
      waiting.push(() => resolve(byKey.get(key)))
      if (waiting.length > 1_000) for (const each of waiting.splice(0)) setImmediate(each)
    })
  })
  const { overrun } = await openLoop(contestant, all, { rate: 10_000, warmUpMs: 0, ms: 60_000 })
  assert.equal(overrun, true)
})
