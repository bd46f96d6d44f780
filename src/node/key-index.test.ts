import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KeyIndex } from './key-index.ts'

test('law: every key is found under its number until it is removed, however many share a hash', () => {
  const step = fc.record({ key: fc.nat(120), op: fc.constantFrom('add', 'add', 'remove') })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 500, size: 'max' }), fc.constantFrom(1, 3, 40, 2 ** 31), (steps, hashes) => {
      const keys: string[] = []
      const hashOf = (key: string): number => -(Number(key) % hashes)
      const index = new KeyIndex((number, key) => keys[number] === key)
      const model = new Map<string, number>()
      for (const { key: nth, op } of steps) {
        const key = String(nth)
        assert.equal(index.find(key, hashOf(key)), model.get(key) ?? -1)
        if (op === 'add' && !model.has(key)) {
          keys[nth] = key
          index.add(nth, hashOf(key))
          model.set(key, nth)
        } else if (op === 'remove' && model.has(key)) {
          index.remove(nth)
          model.delete(key)
        }
        assert.equal(index.size, model.size)
      }
      for (let nth = 0; nth <= 120; nth++) assert.equal(index.find(String(nth), hashOf(String(nth))), model.get(String(nth)) ?? -1)
    }),
  )
})
