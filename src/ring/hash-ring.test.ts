import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import type { PointRing } from './continuum.ts'
import { hashRing } from './hash-ring.ts'
import { movedShares, sharesOf } from './moved-ranges.ts'
import type { Ring, RingMember } from './ring.ts'

const placement = hashRing()
const RINGS = 100
const NODES = 10

before(() => placement.prepare())

test('of ten equal members the fullest has at most 1.11 times the mean share of primaries, on average over 100 rings', () => {
  const mean = averageOver(RINGS, (ring) => Math.max(...primariesOf(placement.build(membersOf(ring), 3))) * NODES)
  assert.ok(mean <= 1.11, `${mean}`)
})

test('a member of weight 2 has twice the share of the others within 5 %, on average over 100 rings', () => {
  const mean = averageOver(RINGS, (ring) => {
    const [heavy, ...others] = membersOf(ring)
    const [share] = primariesOf(placement.build([{ ...heavy!, weight: 2 }, ...others], 3))
    return share! / ((1 - share!) / others.length)
  })
  assert.ok(Math.abs(mean / 2 - 1) <= 0.05, `${mean}`)
})

test('an 11th member takes at most 1.15/11 of the primaries on average over 100 rings, and nothing else moves', () => {
  const mean = averageOver(RINGS, (ring) => {
    const members = membersOf(ring)
    const joining = { id: `ring${ring}-joining`, weight: 1 }
    const { primaries } = movedShares(placement.build(members, 3), placement.build([...members, joining], 3))
    for (const { to } of primaries.moves) assert.equal(to, joining.id)
    return primaries.share
  })
  assert.ok(mean <= 1.15 / 11, `${mean}`)
})

test('a member that leaves gives up its own primaries, which go to all others, and nothing else moves', () => {
  const [leaving, ...others] = membersOf(0)
  const ring = placement.build([leaving!, ...others], 3)
  const { primaries } = movedShares(ring, placement.build(others, 3))
  for (const { from } of primaries.moves) assert.equal(from, leaving!.id)
  assert.equal(primaries.moves.length, others.length)
  assert.ok(Math.abs(primaries.share - sharesOf(ring).get(leaving!.id)!.primaries) < 1e-12)
})

test('a member has points in proportion to its weight, rounded, and at least one', () => {
  for (const [weight, points] of [
    [1, 256],
    [2, 512],
    [0.5, 128],
    [1.001, 256],
    [1e-9, 1],
  ] as const) {
    const ring = placement.build([{ id: 'n', weight }], 1)
    assert.equal((ring as PointRing).points.length, points)
  }
})

test('a key that hashes onto a point belongs to the member of that point', () => {
  const ring = placement.build(membersOf(0), 1)
  for (const { id } of membersOf(0)) for (let i = 0; i < 256; i++) assert.equal(ring.ownersOf(`${id}#${i}`)[0]!.id, id)
})

test('a smaller zone gives each key an owner, though other zones have most of the points', () => {
  const members = [...membersOf(0).map((member) => ({ ...member, zone: 'a' })), { id: 'alone', weight: 0.01, zone: 'b' }]
  const ring = placement.build(members, 2)
  for (let i = 0; i < 1_000; i++) assert.ok(ring.ownersOf(`key${i}`).some(({ id }) => id === 'alone'))
})

test('another seed is another placement', () => {
  const members = membersOf(0)
  const one = placement.build(members, 1)
  const other = hashRing({ seed: 1 }).build(members, 1)
  const same = Array.from({ length: 1_000 }, (_, i) => `key${i}`).filter((key) => one.ownersOf(key)[0]!.id === other.ownersOf(key)[0]!.id)
  // Of ten members, one key in ten stays by chance.
  assert.ok(same.length > 50 && same.length < 150, `${same.length}`)
})

test('options that do not exist or cannot be are refused', () => {
  for (const options of [{ points: 0 }, { points: 1.5 }, { points: 1e6 }, { seed: -1 }, { seed: 2 ** 53 }, { virtualNodes: 3 }]) {
    assert.throws(() => hashRing(options), ConfigurationError)
  }
  assert.throws(() => placement.build([{ id: 'n', weight: 1e5 }], 1), ConfigurationError)
})

/** A release that changes any of these empties every cache that is upgraded to it. */
test('keys are placed as they have been since the first release', () => {
  const members: RingMember[] = [
    { id: 'n1', weight: 1, zone: 'a' },
    { id: 'n2', weight: 1, zone: 'b' },
    { id: 'n3', weight: 2, zone: 'a' },
    { id: 'n4', weight: 1, zone: 'b' },
    { id: 'n5', weight: 0.5, zone: 'c' },
  ]
  const zoned = placement.build(members, 3)
  const seeded = hashRing({ seed: 7 }).build(
    members.map(({ id, weight }) => ({ id, weight })),
    2,
  )
  for (const [key, owners, seededOwners] of [
    ['rt:product:B0001', 'n3 n5 n4', 'n3 n2'],
    ['rt:product:B0002', 'n3 n4 n5', 'n2 n3'],
    ['rt:product:B0003', 'n1 n2 n5', 'n3 n1'],
    ['rt:cart:42', 'n4 n1 n5', 'n1 n3'],
    ['rt:user:größe', 'n3 n5 n4', 'n4 n3'],
    ['', 'n3 n2 n5', 'n3 n2'],
    ['😀', 'n5 n2 n3', 'n3 n5'],
    ['session{17}', 'n1 n2 n5', 'n3 n4'],
  ] as const) {
    assert.equal(idsOf(zoned, key), owners, key)
    assert.equal(idsOf(seeded, key), seededOwners, key)
  }
})

function membersOf(ring: number): RingMember[] {
  return Array.from({ length: NODES }, (_, i) => ({ id: `ring${ring}-node${i}`, weight: 1 }))
}

function averageOver(rings: number, measure: (ring: number) => number): number {
  let sum = 0
  for (let ring = 0; ring < rings; ring++) sum += measure(ring)
  return sum / rings
}

function primariesOf(ring: Ring): number[] {
  return [...sharesOf(ring).values()].map(({ primaries }) => primaries)
}

function idsOf(ring: Ring, key: string): string {
  return ring
    .ownersOf(key)
    .map(({ id }) => id)
    .join(' ')
}
