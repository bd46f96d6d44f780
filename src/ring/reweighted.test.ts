import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { hashRing } from './hash-ring.ts'
import { movedShares, sharesOf } from './moved-ranges.ts'
import { reweighted } from './reweighted.ts'
import type { RingMember } from './ring.ts'

const MEMBERS: readonly RingMember[] = ['a', 'b', 'c', 'd'].map((id) => ({ id, weight: 1 }))
const keys = Array.from({ length: 500 }, (_, nth) => `rt:item:${nth}`)

before(() => hashRing().prepare())

test('members that weigh what they say are placed by the placement itself', () => {
  const ring = reweighted(hashRing(), MEMBERS, new Map([['a', 1]]), 2)
  assert.equal(ring.constructor.name, 'Continuum')
})

test('a ring with other weights answers with the very members, in shared lists', () => {
  const ring = reweighted(hashRing(), MEMBERS, new Map([['a', 3]]), 2)
  for (const key of keys) {
    const owners = ring.ownersOf(key)
    assert.ok(owners.every((owner) => MEMBERS.includes(owner)))
    assert.equal(ring.ownersOf(key), owners)
  }
})

test('it places keys as a ring of members made with those weights does, and can be measured', () => {
  const weights = new Map([
    ['a', 3],
    ['b', 0.5],
  ])
  const made = MEMBERS.map(({ id, weight }) => ({ id, weight: weights.get(id) ?? weight }))
  const [ring, other] = [reweighted(hashRing(), MEMBERS, weights, 2), hashRing().build(made, 2)]
  const idsOf = (owners: readonly RingMember[]): string[] => owners.map(({ id }) => id)
  for (const key of keys) assert.deepEqual(idsOf(ring.ownersOf(key)), idsOf(other.ownersOf(key)))
  assert.deepEqual(sharesOf(ring), sharesOf(other))
  assert.equal(movedShares(ring, other).copies.share, 0)
})
