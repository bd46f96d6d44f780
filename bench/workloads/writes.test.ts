import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Contestant } from '../harness/contestant.ts'
import { catalogue, type Product } from '../harness/products.ts'
import { writes } from './writes.ts'

const TURNS = 25

/** Writes 25 times over ten products, then checks. @param keeps whether the n-th write is kept */
async function written(keeps: (write: number) => boolean): Promise<void> {
  const all = catalogue(10)
  const kept = new Map<string, Product>(all.products.map((product) => [product.sku, product]))
  const turns = { taken: 0, over: false }
  let count = 0
  const contestant: Contestant = {
    get: async (key) => kept.get(key),
    set: async (key, product) => {
      if (keeps(++count)) kept.set(key, product)
      turns.over = count === TURNS
    },
    close: async () => {},
  }
  const workload = writes(1, { entrants: [], ours: [], reference: '', bars: {} })
  await workload.callerOf(contestant, all)(turns)
  await workload.check?.(contestant, all)
}

test('what was written is read back', () => written(() => true))

test('a contestant that acknowledges and does not write fails the benchmark', async () => {
  await assert.rejects(
    written(() => false),
    /needed product \d with stock \d+ as written, but got: /,
  )
  await assert.rejects(
    written((write) => write !== TURNS),
    /needed product/,
  )
})
