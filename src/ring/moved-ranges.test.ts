import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import fc from 'fast-check'
import { ConfigurationError } from '../errors.ts'
import { hashRing } from './hash-ring.ts'
import { ketamaRing } from './ketama.ts'
import { type Move, movedRanges, movedShares, sharesOf } from './moved-ranges.ts'
import type { Placement, Ring, RingMember } from './ring.ts'

const hash = hashRing({ points: 8 })
const ketama = ketamaRing()
const KEYS = Array.from({ length: 20_000 }, (_, i) => `rt:product:${i}`)

before(() => hash.prepare())

/** Two rings of one placement with some members in common, and as many replicas or not. */
const twoRings: fc.Arbitrary<[Ring, Ring]> = fc
  .tuple(fc.constantFrom<Placement>(hash, ketama), fc.uniqueArray(fc.nat({ max: 30 }), { minLength: 4, maxLength: 10 }), fc.nat(), fc.nat())
  .map(([placement, numbers, seed, otherSeed]) => {
    const members = numbers.map((number) => ({ id: `n${number}`, weight: 1 + (number % 2), zone: 'abc'[number % 3] }))
    const old = members.slice(0, 2 + (seed % (members.length - 1)))
    const now = members.slice(otherSeed % (members.length - 2))
    return [placement.build(old, 1 + (seed % old.length)), placement.build(now, 1 + (otherSeed % now.length))]
  })

test('what moves is exactly what every member has more or less afterwards', () => {
  fc.assert(
    fc.property(twoRings, ([old, now]) => {
      const moved = movedShares(old, now)
      const oldShares = sharesOf(old)
      const newShares = sharesOf(now)
      for (const { id } of [...old.members, ...now.members]) {
        const primaries = (newShares.get(id)?.primaries ?? 0) - (oldShares.get(id)?.primaries ?? 0)
        const copies = (newShares.get(id)?.copies ?? 0) * now.replicas - (oldShares.get(id)?.copies ?? 0) * old.replicas
        assertClose(netOf(moved.primaries.moves, id), primaries)
        assertClose(netOf(moved.copies.moves, id), copies)
      }
    }),
  )
})

test('the arcs foretell what becomes of real keys', () => {
  for (const placement of [hash, ketama]) {
    const old = placement.build(membersUpTo(6), 3)
    const now = placement.build(membersUpTo(7), 3)
    const moved = movedShares(old, now)
    let primaries = 0
    let copies = 0
    for (const key of KEYS) {
      const before = old.ownersOf(key)
      const after = now.ownersOf(key)
      if (before[0]!.id !== after[0]!.id) primaries++
      copies += after.filter(({ id }) => !before.some((other) => other.id === id)).length
    }
    // Five standard deviations of a sample of 20,000 are below 0.02.
    assert.ok(Math.abs(primaries / KEYS.length - moved.primaries.share) < 0.02)
    assert.ok(Math.abs(copies / KEYS.length - moved.copies.share) < 0.02)
  }
})

test('a member that joins is the only one that anything moves to, and each copy it gains one other gives up', () => {
  const old = hash.build(membersUpTo(9), 3)
  const { primaries, copies } = movedShares(old, hash.build(membersUpTo(10), 3))
  for (const { from, to } of [...primaries.moves, ...copies.moves]) {
    assert.equal(to, 'n9')
    assert.ok(from !== undefined && from !== 'n9')
  }
  assert.ok(copies.share > primaries.share)
})

test('a ring and itself have nothing between them', () => {
  const ring = hash.build(membersUpTo(5), 3)
  assert.deepEqual(movedShares(ring, ring), { primaries: { share: 0, moves: [] }, copies: { share: 0, moves: [] } })
  assert.deepEqual([...movedRanges(ring, hash.build(membersUpTo(5), 3))], [])
})

test('one more replica is one more copy of everything, given up by nobody; one fewer costs nothing', () => {
  const two = hash.build(membersUpTo(5), 2)
  const three = hash.build(membersUpTo(5), 3)
  const more = movedShares(two, three)
  assertClose(more.copies.share, 1)
  assert.equal(more.primaries.share, 0)
  assert.ok(more.copies.moves.every(({ from, to }) => from === undefined && to !== undefined))
  const fewer = movedShares(three, two)
  assert.equal(fewer.copies.share, 0)
  assert.ok(fewer.copies.moves.every(({ from, to }) => from !== undefined && to === undefined))
})

test('moves come the largest first', () => {
  const { moves } = movedShares(hash.build(membersUpTo(4), 2), hash.build(membersUpTo(8), 2)).copies
  for (const [i, { share }] of moves.entries()) assert.ok(i === 0 || share <= moves[i - 1]!.share)
})

test('shares add up to one', () => {
  for (const placement of [hash, ketama]) {
    const shares = [...sharesOf(placement.build(membersUpTo(7), 3)).values()]
    assertClose(sum(shares.map(({ primaries }) => primaries)), 1)
    assertClose(sum(shares.map(({ copies }) => copies)), 1)
  }
})

test('rings that hash keys differently are not compared', () => {
  const members = membersUpTo(3)
  const ring = hash.build(members, 2)
  for (const other of [ketama.build(members, 2), hashRing({ points: 8, seed: 1 }).build(members, 2)]) {
    assert.throws(() => movedShares(ring, other), ConfigurationError)
  }
})

test('a ring of foreign making is refused', () => {
  const foreign: Ring = { members: [], replicas: 1, ownersOf: () => [] }
  assert.throws(() => sharesOf(foreign), ConfigurationError)
})

function membersUpTo(count: number): RingMember[] {
  return Array.from({ length: count }, (_, i) => ({ id: `n${i}`, weight: 1, zone: 'ab'[i % 2] }))
}

function netOf(moves: readonly Move[], id: string): number {
  return sum(moves.map(({ from, to, share }) => (to === id ? share : from === id ? -share : 0)))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

function assertClose(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-12, `${actual} is not ${expected}`)
}
