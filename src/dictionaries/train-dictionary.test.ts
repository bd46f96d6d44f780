import assert from 'node:assert/strict'
import { randomFillSync } from 'node:crypto'
import { test } from 'node:test'
import { madeProducts } from '../../tests/support/made-products.ts'
import { zstd } from '../codec/compression.ts'
import type { Dictionary } from '../codec/dictionary.ts'
import { trainDictionary } from './train-dictionary.ts'

const packing = zstd({ dictionary: true }).withDictionary!
const bytesOf = (values: readonly unknown[]): Buffer[] => values.map((value) => Buffer.from(JSON.stringify(value)))

function trained(sample: readonly Uint8Array[], current?: Dictionary): { readonly made: Dictionary | undefined; readonly steps: number } {
  const training = trainDictionary({ sample, current, packing })
  for (let steps = 0; ; steps++) {
    const step = training.next()
    if (step.done === true) return { made: step.value, steps }
  }
}

const packedShare = (values: readonly Uint8Array[], { bytes }: Dictionary): number =>
  values.reduce((sum, value) => sum + (packing.compress(value, bytes, 3) ?? value).length, 0) /
  values.reduce((sum, { length }) => sum + length, 0)

test('values that it was not made of shrink to a third by a dictionary of their kind, in steps', () => {
  const { made, steps } = trained(bytesOf(madeProducts(800)))
  assert.ok(packedShare(bytesOf(madeProducts(200, 2)), made!) < 0.34)
  assert.ok(steps > 500, `${steps} steps`)
})

test('values that have nothing in common get none, nor do none at all', () => {
  assert.equal(trained(Array.from({ length: 300 }, () => randomFillSync(Buffer.alloc(300)))).made, undefined)
  assert.equal(trained([]).made, undefined)
  assert.equal(trained([Buffer.from('short')]).made, undefined)
})

test('a second one is only made where it is better than the first', () => {
  const first = trained(bytesOf(madeProducts(800))).made!
  assert.equal(trained(bytesOf(madeProducts(800, 3)), first).made, undefined)
  const others = bytesOf(madeProducts(800, 4, 'lamp'))
  const second = trained(others, first).made!
  assert.ok(packedShare(others, second) < packedShare(others, first) * 0.8)
})
