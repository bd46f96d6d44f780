import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type EntryKind, NO_STAMP } from '../entry.ts'
import { EncodeError } from '../errors.ts'
import {
  begunOf,
  codecOf,
  compareBegun,
  compareStamps,
  compareToStamp,
  encodeEnvelope,
  freshUntilOf,
  graceOf,
  HEADER_BYTES,
  type Header,
  isEnvelope,
  isSealed,
  kindOf,
  leaseOf,
  loadCostOf,
  MAX_FRESH_UNTIL_MS,
  MAX_GRACE_MS,
  OFFSET,
  payloadEndOf,
  payloadStartOf,
  stampOf,
  supersedes,
  vacantEnvelope,
  versionOf,
  withFreshUntil,
  withLease,
} from './envelope.ts'
import { xxh32 } from './xxh32.ts'

const KINDS: readonly EntryKind[] = ['value', 'negative', 'pending', 'tombstone', 'vacant']

const headers: fc.Arbitrary<Header> = fc.record({
  kind: fc.constantFrom(...KINDS),
  codec: fc.integer({ min: 0, max: 255 }),
  version: fc.bigInt({ min: 0n, max: (1n << 63n) - 1n }),
  freshUntilMs: fc.integer({ min: 0, max: MAX_FRESH_UNTIL_MS }),
  graceMs: fc.integer({ min: 0, max: MAX_GRACE_MS }),
  loadCostMs: fc.double({ min: 0.001, max: 1e6, noNaN: true }),
  begun: fc.integer({ min: 0, max: 0xffff_ffff }),
})
const parts = fc.uint8Array({ maxLength: 64 })

const HEADER: Header = { kind: 'value', codec: 1, version: 7n, freshUntilMs: 1_700_000_000_000, graceMs: 5, loadCostMs: 2, begun: 9 }
const NOTHING = new Uint8Array(0)

test('every field of every header comes back, from a Buffer and from a plain Uint8Array at any offset', () => {
  fc.assert(
    fc.property(headers, parts, parts, fc.nat(9), (header, meta, payload, shift) => {
      const buffer = encodeEnvelope(header, meta, payload)
      const shifted = new Uint8Array(buffer.length + shift).subarray(shift)
      shifted.set(buffer)
      for (const bytes of [buffer, shifted]) {
        assert.ok(isEnvelope(bytes))
        assert.equal(kindOf(bytes), header.kind)
        assert.equal(codecOf(bytes), header.codec)
        assert.equal(versionOf(bytes), header.version)
        assert.equal(freshUntilOf(bytes), header.freshUntilMs)
        assert.equal(graceOf(bytes), header.graceMs)
        assert.ok(Math.abs(loadCostOf(bytes) / header.loadCostMs - 1) < 0.01)
        assert.equal(begunOf(bytes), header.begun)
        assert.deepEqual(leaseOf(bytes), { token: 0, until: 0 })
        if (header.kind === 'tombstone' || header.kind === 'vacant') {
          assert.equal(bytes.length, HEADER_BYTES)
          continue
        }
        assert.ok(isSealed(bytes))
        assert.deepEqual(Buffer.from(bytes.subarray(HEADER_BYTES, payloadStartOf(bytes))), Buffer.from(meta))
        assert.deepEqual(Buffer.from(bytes.subarray(payloadStartOf(bytes), payloadEndOf(bytes))), Buffer.from(payload))
      }
    }),
  )
})

test('the bytes of one entry are these: the layout is a promise to scripts and to other releases', () => {
  const header: Header = {
    kind: 'pending',
    codec: 0x12,
    version: 0x0102_0304_0506_0708n,
    freshUntilMs: 0x0a0b_0c0d_0e0f,
    graceMs: 0x1112_1314,
    loadCostMs: 1,
    begun: 0xff_2122_2324,
  }
  const bytes = encodeEnvelope(header, Buffer.from('meta'), Buffer.from('payload'))
  const expected = 'c7010312' + '0102030405060708' + '0a0b0c0d0e0f' + '11121314' + '2801' + '0000000000000000' + '21222324' + '0004'
  assert.equal(bytes.toString('hex', 0, HEADER_BYTES), expected)
  assert.equal(bytes.toString('latin1', HEADER_BYTES, payloadEndOf(bytes)), 'metapayload')
  assert.equal(bytes.toString('hex', payloadEndOf(bytes)), '62789ad9')
})

test('what no script may change is sealed: a bit flipped in codec, version, meta or payload breaks the seal', () => {
  const bytes = encodeEnvelope(HEADER, Buffer.from('some meta'), Buffer.from('some payload'))
  const open = (at: number) => at < OFFSET.codec || (at >= OFFSET.freshUntil && at < OFFSET.metaLength)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const bent = Buffer.from(bytes)
    bent[bit >> 3]! ^= 1 << (bit & 7)
    assert.equal(isSealed(bent), open(bit >> 3), `bit ${bit & 7} of byte ${bit >> 3}`)
  }
})

test('an entry cut short anywhere, or with bytes behind it, is not sealed', () => {
  const bytes = encodeEnvelope(HEADER, Buffer.from('meta'), Buffer.from('payload'))
  for (let length = HEADER_BYTES; length < bytes.length; length++) assert.equal(isSealed(bytes.subarray(0, length)), false)
  assert.equal(isSealed(Buffer.concat([bytes, Buffer.from([0])])), false)
})

test('a meta that is said to be longer than the entry breaks the seal, even under a right checksum', () => {
  const bytes = encodeEnvelope({ ...HEADER, codec: 0, version: 0n }, NOTHING, Buffer.from('payload'))
  const end = payloadEndOf(bytes)
  const said = (metaLength: number) => {
    bytes.writeUInt16BE(metaLength, OFFSET.metaLength)
    bytes.writeUInt32BE(xxh32(bytes, OFFSET.metaLength, end, 0), end)
    return isSealed(bytes)
  }
  assert.equal(said(7), true)
  assert.equal(said(8), false)
  assert.equal(said(65_535), false)
})

test('a grace or fresh-until beyond its field is cut to the most that fits, never wrapped', () => {
  const bytes = encodeEnvelope({ ...HEADER, graceMs: MAX_GRACE_MS + 1, freshUntilMs: Number.POSITIVE_INFINITY }, NOTHING, NOTHING)
  assert.equal(graceOf(bytes), MAX_GRACE_MS)
  assert.equal(freshUntilOf(bytes), MAX_FRESH_UNTIL_MS)
  assert.equal(graceOf(encodeEnvelope({ ...HEADER, graceMs: 1.9 }, NOTHING, NOTHING)), 1)
})

test('a field that does not fit its place is an EncodeError, not other bytes', () => {
  for (const wrong of [
    { version: -1n },
    { version: 1n << 63n },
    { freshUntilMs: Number.NaN },
    { graceMs: -1 },
    { codec: 256 },
    { begun: -1 },
  ]) {
    assert.throws(() => encodeEnvelope({ ...HEADER, ...wrong }, NOTHING, NOTHING), EncodeError, Object.keys(wrong)[0])
  }
  assert.throws(() => encodeEnvelope(HEADER, new Uint8Array(65_536), NOTHING), EncodeError)
})

const at = (version: bigint, begun: number, freshUntilMs: number, kind: EntryKind = 'value') =>
  encodeEnvelope({ ...HEADER, kind, version, begun, freshUntilMs }, NOTHING, NOTHING)
const fewVersions = fc.oneof(fc.bigInt(0n, 2n), fc.bigInt(0n, (1n << 63n) - 1n))
/** Within half the circle of one another, around the wrap. */
const begun = fc.integer({ min: 2 ** 32 - 2 ** 30, max: 2 ** 32 + 2 ** 30 })
const fresh = fc.oneof(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: MAX_FRESH_UNTIL_MS }))
const stamps = fc.tuple(fewVersions, begun, fresh)

test('stamps are ordered by version, of one version by when they began, of that by fresh-until; in bytes as in numbers', () => {
  fc.assert(
    fc.property(stamps, stamps, fc.boolean(), fc.boolean(), (one, other, sameVersion, sameBegun) => {
      const next: typeof one = [sameVersion ? other[0] : one[0], sameBegun ? other[1] : one[1], one[2]]
      const apart = [next[0] - other[0], next[1] - other[1], next[2] - other[2]].map((each) => Math.sign(Number(each)))
      const expected = apart.find((each) => each !== 0) ?? 0
      assert.equal(Math.sign(compareStamps(at(...next), at(...other))), expected)
      assert.equal(Math.sign(compareStamps(at(...other), at(...next))), -expected + 0)
      assert.equal(supersedes(at(...next), at(...other)), expected > 0)
      const seen = stampOf(at(...other))
      assert.deepEqual(seen, { version: other[0], begun: other[1] % 2 ** 32, freshUntilMs: other[2] })
      const isNothing = seen.version === 0n && seen.begun === 0 && seen.freshUntilMs === 0
      assert.equal(Math.sign(compareToStamp(at(...next), seen)), isNothing ? 1 : expected)
    }),
  )
})

test('times that are half a circle apart are each behind the other, and one ms less is ahead', () => {
  assert.ok(compareBegun(2 ** 31, 0) < 0 && compareBegun(0, 2 ** 31) < 0)
  assert.equal(compareBegun(2 ** 31 - 6, 2 ** 32 - 5), 2 ** 31 - 1)
  assert.equal(compareBegun(0xff_0000_0005, 5), 0, 'low 32 bits of whole times')
})

test('bytes that are no envelope give way to any, and so does a lease with nothing under it', () => {
  assert.equal(supersedes(at(0n, 0, 0), Buffer.from('{"foreign":true}')), true)
  const bare = vacantEnvelope({ token: 7, until: 8 })
  assert.deepEqual([bare.length, kindOf(bare), leaseOf(bare), stampOf(bare)], [HEADER_BYTES, 'vacant', { token: 7, until: 8 }, NO_STAMP])
  for (const started of [0, 2 ** 31, 2 ** 32 - 1]) assert.equal(supersedes(at(0n, started, 0, 'negative'), bare), true)
  assert.equal(supersedes(at(0n, 2 ** 31, 0), at(0n, 0, 0, 'tombstone')), false)
})

test('a lease and a fresh-until are changed in a copy, and nothing else of it', () => {
  const bytes = encodeEnvelope(HEADER, Buffer.from('meta'), Buffer.from('payload'))
  const before = Buffer.from(bytes)
  const changed = withFreshUntil(withLease(bytes, { token: 0xffff_ffff, until: 5 }), MAX_FRESH_UNTIL_MS)
  assert.deepEqual(
    [leaseOf(changed), freshUntilOf(changed), isSealed(changed)],
    [{ token: 0xffff_ffff, until: 5 }, MAX_FRESH_UNTIL_MS, true],
  )
  assert.deepEqual(bytes, before)
  assert.deepEqual(withFreshUntil(withLease(changed, { token: 0, until: 0 }), HEADER.freshUntilMs), before)
})
