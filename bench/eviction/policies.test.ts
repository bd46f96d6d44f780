/**
 * The simulated policies against what must hold for each, and LRU against a model that is too simple to be wrong.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { arc } from './arc.ts'
import { lru } from './lru.ts'
import { near } from './near.ts'
import { s3Fifo } from './s3-fifo.ts'
import { sieve } from './sieve.ts'
import { windowTinyLfu } from './window-tiny-lfu.ts'

const ALL = [lru, sieve, s3Fifo, arc, windowTinyLfu, near]
const reads = fc.array(fc.nat(40), { maxLength: 400 })
const capacity = fc.integer({ min: 2, max: 30 })

/** The hits of whoever knows the future: on a miss, whatever is read again last goes (Belady, 1966), be it the newcomer. */
function mostHits(keys: readonly number[], size: number): number {
  const held = new Set<number>()
  let hits = 0
  for (const [at, key] of keys.entries()) {
    if (held.has(key)) hits++
    held.add(key)
    if (held.size <= size) continue
    const nextOf = (each: number) => (keys.indexOf(each, at + 1) + keys.length + 1) % (keys.length + 1)
    const distance = (each: number) => (nextOf(each) === keys.length ? Number.POSITIVE_INFINITY : nextOf(each))
    held.delete([...held].reduce((last, each) => (distance(each) > distance(last) ? each : last)))
  }
  return hits
}

for (const policy of ALL) {
  test(`law: ${policy.name} holds no more than it may, hits only what was read before, and no more than could be`, () => {
    fc.assert(
      fc.property(reads, capacity, (keys, size) => {
        const simulation = policy.create(size)
        const seen = new Set<number>()
        let hits = 0
        for (const key of keys) {
          const isHit = simulation.access(key)
          assert.ok(!isHit || seen.has(key))
          assert.ok(simulation.size <= size)
          seen.add(key)
          if (isHit) hits++
        }
        assert.ok(hits <= mostHits(keys, size))
        if (seen.size <= size) assert.equal(hits, keys.length - seen.size)
      }),
      { numRuns: 50 },
    )
  })
}

for (const policy of ALL.filter((each) => each !== arc)) {
  test(`law: ${policy.name} of entries of several sizes holds no more than it may, and hits only what was read before`, () => {
    fc.assert(
      fc.property(reads, fc.integer({ min: 20, max: 90 }), (keys, size) => {
        const simulation = policy.create(size, { of: (key) => 1 + (key % 7), mean: 4 })
        const seen = new Set<number>()
        for (const key of keys) {
          assert.ok(!simulation.access(key) || seen.has(key))
          assert.ok(simulation.size <= size)
          seen.add(key)
        }
        const all = [...seen].reduce((sum, key) => sum + 1 + (key % 7), 0)
        if (all <= size) assert.equal(simulation.size, all)
      }),
      { numRuns: 50 },
    )
  })
}

test('law: LRU holds the keys read last', () => {
  fc.assert(
    fc.property(reads, capacity, (keys, size) => {
      const simulation = lru.create(size)
      for (const [at, key] of keys.entries()) {
        const last = new Set(keys.slice(0, at).reverse())
        const held = [...last].slice(0, size)
        assert.equal(simulation.access(key), held.includes(key))
      }
    }),
  )
})
