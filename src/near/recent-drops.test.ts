import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keyHash } from '../eviction/key-hash.ts'
import { RecentDrops } from './recent-drops.ts'

test('a reading is overtaken by later drops of its key, not by earlier ones', () => {
  const drops = new RecentDrops()
  drops.drop('k')
  const reading = drops.reading
  assert.equal(drops.hasOvertaken(reading, keyHash('k')), false)
  drops.drop('other')
  assert.equal(drops.hasOvertaken(reading, keyHash('k')), false)
  drops.drop('k')
  assert.equal(drops.hasOvertaken(reading, keyHash('k')), true)
  assert.equal(drops.hasOvertaken(drops.reading, keyHash('k')), false)
})

test('a reading is overtaken by the drop of all', () => {
  const drops = new RecentDrops()
  const reading = drops.reading
  drops.dropAll()
  assert.equal(drops.hasOvertaken(reading, keyHash('k')), true)
  assert.equal(drops.hasOvertaken(drops.reading, keyHash('k')), false)
})

test('a drop long ago, and a hundred thousand others since, is not forgotten', () => {
  const drops = new RecentDrops()
  const reading = drops.reading
  drops.drop('k')
  for (let i = 0; i < 100_000; i++) drops.drop(`k${i}`)
  assert.equal(drops.hasOvertaken(reading, keyHash('k')), true)
})
