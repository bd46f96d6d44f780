/** The laws of placement, which hold for every placement we have. */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import { ConfigurationError } from '../errors.ts'
import { hashRing } from './hash-ring.ts'
import { ketamaRing } from './ketama.ts'
import type { Ring, RingMember } from './ring.ts'

const KEYS = Array.from({ length: 200 }, (_, i) => `rt:product:${i}`)
// Few points, so that arcs are long, neighbours vary and a whole case takes a millisecond.
const hash = hashRing({ points: 8 })
const ketama = ketamaRing()

const someMembers: fc.Arbitrary<RingMember[]> = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme' }).filter((id) => id !== ':11211'),
    weight: fc.integer({ min: 1, max: 3 }),
    zone: fc.constantFrom(undefined, 'a', 'b', 'c', 'd'),
  }),
  { selector: ({ id }) => id, minLength: 1, maxLength: 12 },
)
const someRing = someMembers.chain((members) => fc.tuple(fc.constant(members), fc.integer({ min: 1, max: members.length })))

before(() => Promise.all([hash.prepare(), ketama.prepare()]))

for (const placement of [hash, ketama]) {
  describe(`${placement.name} ring`, () => {
    test('two rings of the same members agree on every key', () => {
      fc.assert(
        fc.property(someRing, ([members, replicas]) => sameOwners(placement.build(members, replicas), placement.build(members, replicas))),
      )
    })

    test('the order in which members are listed does not matter', () => {
      const shuffled = someRing.chain(([members, replicas]) =>
        fc.tuple(fc.constant(members), fc.constant(replicas), fc.shuffledSubarray(members, { minLength: members.length })),
      )
      fc.assert(
        fc.property(shuffled, ([members, replicas, others]) =>
          sameOwners(placement.build(members, replicas), placement.build(others, replicas)),
        ),
      )
    })

    test('a key has as many owners as there are replicas, all distinct and all members', () => {
      fc.assert(
        fc.property(someRing, fc.string(), ([members, replicas], key) => {
          const owners = placement.build(members, replicas).ownersOf(key)
          assert.equal(owners.length, replicas)
          assert.equal(new Set(owners).size, replicas)
          for (const owner of owners) assert.ok(members.includes(owner))
        }),
      )
    })

    test('owners are frozen and the same array each time', () => {
      const ring = placement.build(equalMembers(5), 3)
      assert.ok(Object.isFrozen(ring.ownersOf('key')))
      assert.equal(ring.ownersOf('key'), ring.ownersOf('key'))
    })

    test('with fewer replicas the owners are the first of what they are with more, where zones do not matter', () => {
      fc.assert(
        fc.property(someRing, ([members, replicas]) => {
          const zoneless = members.map(({ id, weight }) => ({ id, weight }))
          const many = placement.build(zoneless, members.length)
          const few = placement.build(zoneless, replicas)
          for (const key of KEYS) assert.deepEqual(idsOf(few, key), idsOf(many, key).slice(0, replicas))
        }),
      )
    })

    test('owners are spread over zones as evenly as the zones are large', () => {
      fc.assert(
        fc.property(someRing, ([members, replicas]) => {
          const ring = placement.build(members, replicas)
          for (const key of KEYS.slice(0, 50)) assertEvenZones(members, ring.ownersOf(key))
        }),
      )
    })

    test('fewer members than replicas are refused, and the message says how many there must be', () => {
      assert.throws(() => placement.build(equalMembers(2), 3), /members: needs at least as many as replicas \(3\), but got: 2/)
    })

    test('what cannot be placed is refused', () => {
      const refused: [RingMember[], number][] = [
        [equalMembers(2), 0],
        [equalMembers(2), 1.5],
        [[], 1],
        [[...equalMembers(2), { id: 'n1', weight: 1 }], 1],
        [[{ id: '', weight: 1 }], 1],
        [[{ id: 'n\ud800', weight: 1 }], 1],
        [[{ id: 'n', weight: 1, zone: '' }], 1],
        [[{ id: 'n', weight: 1, label: '' }], 1],
        ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY].map((weight): [RingMember[], number] => [[{ id: 'n', weight }], 1]),
      ]
      for (const [members, replicas] of refused) assert.throws(() => placement.build(members, replicas), ConfigurationError)
    })
  })
}

describe('hash ring, when members change', () => {
  const changes = someMembers
    .filter((members) => members.length > 1)
    .chain((members) => fc.tuple(fc.constant(members), fc.integer({ min: 1, max: members.length - 1 })))

  test('a member that joins takes keys to itself and moves none between others', () => {
    fc.assert(
      fc.property(changes, ([members, replicas]) => {
        const [joining, ...others] = members
        const old = hash.build(others, replicas)
        const now = hash.build(members, replicas)
        for (const key of KEYS) {
          const [primary] = idsOf(now, key)
          if (primary !== joining!.id) assert.equal(primary, idsOf(old, key)[0])
        }
      }),
    )
  })

  test('an owner list that a joining member does not enter stays as it is, and one that it enters loses one owner and keeps its order', () => {
    fc.assert(
      fc.property(changes, ([members, replicas]) => {
        const [joining, ...others] = members
        const old = hash.build(others, replicas)
        const now = hash.build(members, replicas)
        for (const key of KEYS) assertOnlyEntered(idsOf(old, key), idsOf(now, key), joining!.id)
      }),
    )
  })

  test('more weight for a member moves keys to it alone', () => {
    fc.assert(
      fc.property(changes, fc.integer({ min: 1, max: 3 }), ([members, replicas], more) => {
        const [heavier, ...others] = members
        const old = hash.build(members, replicas)
        const now = hash.build([{ ...heavier!, weight: heavier!.weight + more }, ...others], replicas)
        for (const key of KEYS) {
          const [primary] = idsOf(now, key)
          if (primary !== heavier!.id) assert.equal(primary, idsOf(old, key)[0])
        }
      }),
    )
  })
})

function equalMembers(count: number): RingMember[] {
  return Array.from({ length: count }, (_, i) => ({ id: `n${i}`, weight: 1 }))
}

function idsOf(ring: Ring, key: string): string[] {
  return ring.ownersOf(key).map(({ id }) => id)
}

function sameOwners(a: Ring, b: Ring): void {
  for (const key of KEYS) assert.deepEqual(idsOf(a, key), idsOf(b, key))
}

/** A zone may give fewer owners than another only if it has no more members, or one fewer where owners do not divide evenly. */
function assertEvenZones(members: readonly RingMember[], owners: readonly RingMember[]): void {
  const given = (zone: string | undefined, list: readonly RingMember[]) => list.filter((member) => member.zone === zone).length
  const zones = [...new Set(members.map(({ zone }) => zone))]
  const most = Math.max(...zones.map((zone) => given(zone, owners)))
  for (const zone of zones) {
    const count = given(zone, owners)
    assert.ok(count >= most - 1 || count === given(zone, members), `zone ${zone} gives ${count}, another ${most}`)
  }
}

function assertOnlyEntered(old: string[], now: string[], joining: string): void {
  const kept = now.filter((id) => id !== joining)
  assert.equal(kept.length, now.includes(joining) ? old.length - 1 : old.length)
  assert.deepEqual(
    kept,
    old.filter((id) => kept.includes(id)),
  )
}
