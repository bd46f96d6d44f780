/** What needs no server; that real twemproxies agree is shown by `tests/ketama-nutcracker.test.ts`. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { ConfigurationError } from '../errors.ts'
import type { PointRing } from './continuum.ts'
import { ketamaRing } from './ketama.ts'
import { sharesOf } from './moved-ranges.ts'
import type { Ring, RingMember } from './ring.ts'

const placement = ketamaRing()

/** Read off a live nutcracker 0.5 with these names and weights: the first owner is the server that had the key. */
test('keys are placed as twemproxy placed them', () => {
  const ring = placement.build(
    [
      { id: 'alpha', weight: 1 },
      { id: 'beta', weight: 2 },
      { id: 'gamma-with-a-longer-name', weight: 1 },
      { id: 'd', weight: 2 },
    ],
    3,
  )
  for (const [key, owners] of [
    ['', 'alpha gamma-with-a-longer-name d'],
    ['product:B1', 'beta alpha d'],
    ['product:B2', 'd beta gamma-with-a-longer-name'],
    ['product:B3', 'beta d gamma-with-a-longer-name'],
    ['product:B4', 'd beta alpha'],
    ['product:B5', 'd beta gamma-with-a-longer-name'],
    ['session{17}', 'alpha d beta'],
    ['rt:product:B0001', 'gamma-with-a-longer-name alpha d'],
    ['rt:cart:42', 'd beta alpha'],
  ] as const) {
    assert.equal(idsOf(ring, key).join(' '), owners, key)
  }
})

test('of two members that share a point the one with the shorter label has it, or else the one with the lesser', () => {
  for (const [has, hasNot, point] of [
    ['cache086', 'cache430', 2_969_580_666],
    ['node431', 'cache408', 960_591_348],
  ] as const) {
    for (const ids of [
      [has, hasNot],
      [hasNot, has],
    ]) {
      const ring = placement.build(
        ids.map((id) => ({ id, weight: 1 })),
        1,
      ) as PointRing
      assert.equal(ring.ownersAt(ring.points.indexOf(point))[0]!.id, has)
      assert.equal(ring.points.filter((each) => each === point).length, 2)
    }
  }
})

test('a key that hashes onto a point belongs to the member of that point', () => {
  const ring = placement.build(membersUpTo(8), 1)
  for (const { id } of membersUpTo(8)) for (let i = 0; i < 40; i++) assert.deepEqual(idsOf(ring, `${id}-${i}`), [id])
})

test('points are the four words of the MD5 of the label and a number', () => {
  const digest = createHash('md5').update('10.0.0.1:6379-39').digest()
  const points = pointsOf(placement.build([{ id: 'n', label: '10.0.0.1:6379', weight: 1 }], 1))
  assert.equal(points.length, 160)
  for (const at of [0, 4, 8, 12]) assert.ok(points.includes(digest.readUInt32LE(at)))
})

test('a label on port 11211 is hashed without the port', () => {
  const withPort = placement.build([{ id: 'n', label: 'cache1:11211', weight: 1 }], 1)
  assert.deepEqual(pointsOf(withPort), pointsOf(placement.build([{ id: 'n', label: 'cache1', weight: 1 }], 1)))
  const otherPort = placement.build([{ id: 'n', label: 'cache1:11212', weight: 1 }], 1)
  assert.notDeepEqual(pointsOf(withPort), pointsOf(otherPort))
})

test('points are counted in 32-bit floats', () => {
  assert.equal(pointsOf(equalRing(24)).length, 24 * 160)
  assert.equal(pointsOf(equalRing(25)).length, 25 * 156)
  // 40 hashes times members times weight over total, rounded down. The second and the third are where exact arithmetic, or doubles, differ.
  for (const [weights, hashes] of [
    [[1, 2, 3, 7, 50, 1], 3 + 7 + 11 + 26 + 187 + 3],
    [[5, 4, 3], 50 + 40 + 30],
    [[29, 30, 1], 57 + 60 + 2],
  ] as const) {
    const members = weights.map((weight, i) => ({ id: `n${i}`, weight }))
    assert.equal(pointsOf(placement.build(members, 1)).length, 4 * hashes)
  }
})

test('a hash tag leaves only what lies inside it to count', () => {
  const ring = (hashTag: string) => ketamaRing({ hashTag }).build(membersUpTo(8), 1)
  const plain = placement.build(membersUpTo(8), 1)
  for (let i = 0; i < 100; i++) {
    assert.deepEqual(idsOf(ring('{}'), `a${i}{user${i}}:cart`), idsOf(plain, `user${i}`))
    assert.deepEqual(idsOf(ring('$$'), `$user${i}$x`), idsOf(plain, `user${i}`))
    for (const whole of [`{}user${i}`, `}user${i}{`, `{user${i}`, `user${i}`, `user${i}}x`]) {
      assert.deepEqual(idsOf(ring('{}'), whole), idsOf(plain, whole), whole)
    }
  }
})

test('a member whose weight comes to no point owns nothing, and is not counted as an owner', () => {
  const members = [
    { id: 'light', weight: 1 },
    { id: 'heavy', weight: 1_000 },
  ]
  const ring = placement.build(members, 1)
  assert.deepEqual(sharesOf(ring).get('light'), { primaries: 0, copies: 0 })
  assert.deepEqual(idsOf(ring, 'key'), ['heavy'])
  assert.throws(() => placement.build(members, 2), /weight comes to a point/)
})

test('what the C code cannot do is refused', () => {
  const refused: RingMember[][] = [
    [{ id: 'n', weight: 0.5 }],
    [{ id: 'n', weight: 2 ** 31 }],
    [
      { id: 'n1', label: 'same', weight: 1 },
      { id: 'n2', label: 'same:11211', weight: 1 },
    ],
    [{ id: 'n', label: ':11211', weight: 1 }],
    Array.from({ length: 3 }, (_, i) => ({ id: `n${i}`, weight: 2 ** 31 - 1 })),
  ]
  for (const members of refused) assert.throws(() => placement.build(members, 1), ConfigurationError)
  for (const options of [{ hashTag: '{' }, { hashTag: 'ä}' }, { tag: '{}' }]) assert.throws(() => ketamaRing(options), ConfigurationError)
})

function equalRing(count: number): Ring {
  return placement.build(membersUpTo(count), 1)
}

function membersUpTo(count: number): RingMember[] {
  return Array.from({ length: count }, (_, i) => ({ id: `10.0.0.${i}:6379`, weight: 1 }))
}

function pointsOf(ring: Ring): number[] {
  return [...(ring as PointRing).points]
}

function idsOf(ring: Ring, key: string): string[] {
  return ring.ownersOf(key).map(({ id }) => id)
}
