import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrequencySketch } from './frequency-sketch.ts'
import { keyHash } from './key-hash.ts'
import { PackedSieveTinyLfu } from './packed-sieve-tiny-lfu.ts'
import { type Ranked, SieveTinyLfu } from './sieve-tiny-lfu.ts'

interface Item extends Ranked<Item> {
  readonly number: number
}

/** A key's size, which stays. */
const sizeOf = (key: number): number => 1 + (key % 3)

/** Keys stand for themselves. */
function packed(maxBytes: number) {
  const held = new Set<number>()
  const evicted: number[] = []
  const policy = new PackedSieveTinyLfu(maxBytes, {
    hashOf: (key) => keyHash(`k${key}`),
    sizeOf,
    evict: (key) => {
      held.delete(key)
      evicted.push(key)
    },
  })
  return {
    held,
    evicted,
    policy,
    access: (key: number): void => {
      if (held.has(key)) {
        policy.read(key)
        return
      }
      held.add(key)
      policy.reserve(key + 1)
      policy.add(key)
    },
    remove: (key: number): void => {
      if (held.delete(key)) policy.remove(key)
    },
  }
}

/** The other form; with its own sketch, of four counters a row, few keys share one. */
function linked(maxBytes: number) {
  const held = new Map<number, Item>()
  const evicted: number[] = []
  const policy = new SieveTinyLfu<Item>(maxBytes, ({ number }) => {
    held.delete(number)
    evicted.push(number)
  })
  return {
    evicted,
    policy,
    access: (key: number): void => {
      const item = held.get(key)
      if (item !== undefined) {
        policy.read(item)
        return
      }
      const links = { older: undefined, newer: undefined, frequency: 0, epoch: 0, visited: false, inMain: false }
      const added: Item = { number: key, hash: keyHash(`k${key}`), sizeBytes: sizeOf(key), ...links }
      held.set(key, added)
      policy.add(added)
    },
    remove: (key: number): void => {
      const item = held.get(key)
      if (item === undefined) return
      held.delete(key)
      policy.remove(item)
    },
  }
}

test('law: it evicts what the policy of objects evicts, in the same order', () => {
  // Few enough that no two share counters in a sketch of the smallest size, so that both see the same frequencies.
  const keys = fc.integer({ min: 0, max: 25 })
  const step = fc.oneof({ weight: 12, arbitrary: fc.record({ read: keys }) }, { weight: 1, arbitrary: fc.record({ remove: keys }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1_500, size: 'max' }), fc.integer({ min: 12, max: 40 }), (steps, maxBytes) => {
      const [tables, objects] = [packed(maxBytes), linked(maxBytes)]
      for (const each of steps) {
        for (const form of [tables, objects]) 'read' in each ? form.access(each.read) : form.remove(each.remove)
        assert.equal(tables.policy.sizeBytes, objects.policy.sizeBytes)
      }
      assert.deepEqual(tables.evicted, objects.evicted)
    }),
    { numRuns: 60 },
  )
})

test('a sketch of one counter a row tells the keys of these tests apart', () => {
  for (const counters of [1, 4]) {
    for (let key = 0; key <= 25; key++) {
      const sketch = new FrequencySketch(counters)
      for (let other = 0; other <= 25; other++) if (other !== key) sketch.raise(keyHash(`k${other}`), 9)
      assert.equal(sketch.estimate(keyHash(`k${key}`)), 0, `k${key}`)
    }
  }
})

test('less room evicts at once, and more is used from then on', () => {
  const { held, policy, access } = packed(60)
  for (let key = 0; key < 30; key++) access(key)
  assert.equal(policy.sizeBytes, 60)
  policy.limit(20)
  assert.ok(policy.sizeBytes <= 20 && held.size === policy.length)
  policy.limit(60)
  for (let key = 0; key < 30; key++) access(key)
  assert.equal(policy.sizeBytes, 60)
})

test('an entry that grows makes others go, and is counted as it is', () => {
  let first = 1
  const held = new Set<number>()
  const policy = new PackedSieveTinyLfu(20, { hashOf: (at) => at, sizeOf: (at) => (at === 0 ? first : 1), evict: (at) => held.delete(at) })
  policy.reserve(20)
  for (let at = 0; at < 20; at++) {
    held.add(at)
    policy.add(at)
    policy.read(at)
  }
  first = 8
  policy.resized(0, 1)
  assert.ok(policy.sizeBytes <= 20 && policy.sizeBytes === [...held].reduce((sum, at) => sum + (at === 0 ? 8 : 1), 0))
})

test('what it takes in memory is counted: 10 bytes an entry in tables that are full, and the sketch', () => {
  const { policy, access } = packed(1_000_000)
  policy.reserve(10_000)
  for (let key = 0; key < 10_000; key++) access(key)
  assert.ok(policy.tableBytes >= 10_000 * 14 && policy.tableBytes <= 12_000 * 10 + 16_384 * 4, `${policy.tableBytes}`)
})
