import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byShard, shardOf } from './shards.ts'

test('ids in sequence spread evenly over any number of shards', () => {
  for (const shards of [2, 3, 4, 5, 8]) {
    const ids = Array.from({ length: 10_000 }, (_, index) => `item-${String(index).padStart(7, '0')}`)
    const sizes = byShard(ids, (id) => id, shards).map((part) => part.length)
    for (const size of sizes) assert.ok(Math.abs(size - 10_000 / shards) < (10_000 / shards) * 0.1, `${shards} shards: ${sizes}`)
  }
})

test('where an id lies never changes', () => {
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((id) => shardOf(id, 3)),
    [0, 1, 0, 1],
  )
  assert.equal(shardOf('anything', 1), 0)
})
