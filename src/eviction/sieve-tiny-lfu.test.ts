import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keyHash } from './key-hash.ts'
import { type Ranked, SieveTinyLfu } from './sieve-tiny-lfu.ts'

interface Item extends Ranked<Item> {
  readonly key: string
}

/** A cache of keys alone, each of size one. */
function rig(capacity: number) {
  const held = new Map<string, Item>()
  const policy = new SieveTinyLfu<Item>(capacity, (item) => held.delete(item.key))
  const access = (key: string): boolean => {
    const item = held.get(key)
    if (item !== undefined) {
      policy.read(item)
      return true
    }
    const links = { older: undefined, newer: undefined, frequency: 0, epoch: 0, visited: false, inMain: false }
    const added: Item = { key, hash: keyHash(key), sizeBytes: 1, ...links }
    held.set(key, added)
    policy.add(added)
    return false
  }
  return { held, policy, access }
}

describe('the policy', () => {
  test('evicts nothing while there is room, and holds exactly what fits', () => {
    const { held, policy, access } = rig(100)
    for (let i = 0; i < 100; i++) access(`k${i}`)
    assert.equal(held.size, 100)
    for (let i = 100; i < 1_000; i++) access(`k${i}`)
    assert.deepEqual([held.size, policy.length, policy.sizeBytes], [100, 100, 100])
  })

  test('keeps most of a loop that is larger than the cache, where LRU keeps nothing', () => {
    const { access } = rig(500)
    let hits = 0
    for (let round = 0; round < 20; round++) for (let i = 0; i < 1_000; i++) if (access(`k${i}`)) hits++
    assert.ok(hits / 20_000 > 0.35, `${hits} of 20,000`)
  })

  test('a long scan displaces little even of what was read a few times only', () => {
    const { held, access } = rig(1_000)
    for (let round = 0; round < 4; round++) for (let i = 0; i < 900; i++) access(`hot${i}`)
    for (let i = 0; i < 10_000; i++) access(`scanned${i}`)
    const left = Array.from({ length: 900 }, (_, i) => held.has(`hot${i}`)).filter(Boolean).length
    assert.ok(left >= 700, `${left} of 900`)
  })

  test('knows what was popular when it comes back', () => {
    const { held, policy, access } = rig(100)
    for (let i = 0; i < 100; i++) for (let round = 0; round < 3; round++) access(`k${i}`)
    for (let round = 0; round < 6; round++) access('famous')
    policy.remove(held.get('famous')!)
    held.delete('famous')
    access('famous')
    for (let i = 0; i < 30; i++) access(`new${i}`)
    assert.ok(held.has('famous'))
  })

  test('lets a new working set take the place of an old one that was read often', () => {
    const { held, access } = rig(100)
    for (let round = 0; round < 20; round++) for (let i = 0; i < 100; i++) access(`old${i}`)
    for (let round = 0; round < 40; round++) for (let i = 0; i < 50; i++) access(`new${i}`)
    const taken = Array.from({ length: 50 }, (_, i) => held.has(`new${i}`)).filter(Boolean).length
    assert.ok(taken >= 45, `${taken} of 50`)
  })

  test('clear lets all go, and goes on', () => {
    const { held, policy, access } = rig(100)
    for (let i = 0; i < 500; i++) access(`k${i}`)
    held.clear()
    policy.clear()
    assert.deepEqual([policy.length, policy.sizeBytes], [0, 0])
    for (let i = 0; i < 500; i++) access(`k${i}`)
    assert.equal(held.size, 100)
  })
})
