import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import { FakeClock } from '../testing/fake-clock.ts'
import { storeConformance } from '../testing/store-conformance.ts'
import { versionAt } from '../version-clock.ts'
import { type MemoryStoreOptions, memoryStore } from './memory-store.ts'

for (const versioned of [true, false]) {
  storeConformance({
    name: versioned ? 'a memory store' : 'a memory store without versions',
    versioned,
    remembersRemovals: versioned,
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

test('a memory store forgets removals that are old once there are many, and refuses for good what one of them may have spoken against', async () => {
  const clock = new FakeClock()
  const store = memoryStore<number>({ clock, removalsFor: '1h' })
  const remove = (count: number, name: string) =>
    store.remove(Array.from({ length: count }, (_, nth) => ({ key: `${name}${nth}`, floor: versionAt(clock.now()), ifOlder: true })))
  const save = async (key: string, floor: bigint) => (await store.save([{ key, value: 1, floor, ifOlder: true }]))[0]!
  const first = versionAt(clock.now())
  await remove(1_000, 'old')
  await clock.advance(3_600_001)
  assert.equal((await save('old0', first - 1n)).state, 'conflict')
  await remove(10, 'new')
  for (const key of ['old0', 'other']) {
    const status = await save(key, first - 1n)
    assert.ok(status.state === 'failed' && status.forGood === true && /older than the 1 h/.test(status.error.message), key)
  }
  assert.equal((await save('old999', first - 1n)).state, 'conflict')
  assert.equal((await save('old0', first)).state, 'saved')
  assert.equal(store.size, 1)
})

test('an option that does not exist is refused', () => {
  assert.throws(() => memoryStore({ row: [] } as MemoryStoreOptions<unknown>), ConfigurationError)
  assert.throws(() => memoryStore({ removalsFor: '59s' }), /at least a minute/)
})
