import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import { storeConformance } from '../testing/store-conformance.ts'
import { type MemoryStoreOptions, memoryStore } from './memory-store.ts'

for (const versioned of [true, false]) {
  storeConformance({
    name: versioned ? 'a memory store' : 'a memory store without versions',
    versioned,
    create: async () => ({ store: memoryStore<unknown>({ versioned }), cleanup: async () => {} }),
  })
}

test('a memory store begins with the rows it was given, copied', async () => {
  const product = { name: 'lamp', tags: ['light'] }
  const store = memoryStore({ name: 'products', rows: [['B1', product]] })
  product.tags.push('changed')
  assert.deepEqual((await store.load(['B1'])).rows.get('B1'), { value: { name: 'lamp', tags: ['light'] }, version: 1n })
  assert.equal(store.size, 1)
  assert.equal(store.name, 'products')
})

test('an option that does not exist is refused', () => {
  assert.throws(() => memoryStore({ row: [] } as MemoryStoreOptions<unknown>), ConfigurationError)
})
