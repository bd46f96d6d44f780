/**
 * The laws of touches: a value's life is prolonged where it lies, and nothing else about it changes.
 *
 * A part of `node-conformance.ts`.
 */
import assert from 'node:assert/strict'
import { freshUntilOf, leaseOf } from '../codec/envelope.ts'
import { NO_STAMP } from '../entry.ts'
import { type Change, MAX_TOUCHED_LIFE_MS } from '../node/node.ts'
import { assertApplied, assertBytes, assertWithin, envelope, got, type Promises, put } from './node-subject.ts'

const FAR_MS = 2 ** 47

function touch(version: bigint, freshUntilMs: number, ttlMs: number, key = 'k'): Change {
  return { op: 'touch', key, version, freshUntilMs, ttlMs }
}

export function touches(promise: Promises): void {
  promise('a touch moves fresh-until and expiry on, and neither ever back', async ({ node, ttlMs }) => {
    assertApplied(await node.apply([put('k', envelope(5n, { freshUntilMs: 1_000 }), 10_000), touch(5n, 3_000, 90_000)]))
    assertBytes(await got(node, 'k'), envelope(5n, { freshUntilMs: 3_000 }))
    assertWithin(await ttlMs('k'), 80_000, 90_000)
    assertApplied(await node.apply([touch(5n, 2_000, 20_000), touch(5n, 2_000, 0)]))
    assertBytes(await got(node, 'k'), envelope(5n, { freshUntilMs: 3_000 }))
    assertWithin(await ttlMs('k'), 70_000, 90_000)
  })
  promise(
    'a touch is refused by another version, by what is no value, and by nothing, each with the version that is held',
    async ({ node }) => {
      const kinds = ['negative', 'tombstone', 'vacant'] as const
      await node.apply([
        put('k', envelope(5n)),
        ...kinds.map((kind) => put(kind, envelope(5n, { kind }))),
        { op: 'set', key: 'foreign', bytes: Buffer.from('x'), ttlMs: 60_000 },
      ])
      const statuses = await node.apply([
        touch(4n, FAR_MS, 90_000),
        touch(6n, FAR_MS, 90_000),
        ...kinds.map((kind) => touch(5n, FAR_MS, 90_000, kind)),
        touch(5n, FAR_MS, 90_000, 'foreign'),
        touch(5n, FAR_MS, 90_000, 'nothing'),
      ])
      const refused = (version: bigint) => ({ state: 'refused', version })
      assert.deepEqual(statuses, [...Array(5).fill(refused(5n)), refused(0n), refused(0n)])
      assertBytes(await got(node, 'k'), envelope(5n))
      assert.equal(await got(node, 'nothing'), undefined)
    },
  )
  promise('a touch gives no expiry to what has none, such as a pending entry', async ({ node, ttlMs }) => {
    const at = (freshUntilMs: number) => envelope(5n, { kind: 'pending', freshUntilMs })
    assertApplied(await node.apply([put('k', at(1_000), 0), touch(5n, 2_000, 60_000)]))
    assertBytes(await got(node, 'k'), at(2_000))
    assert.equal(await ttlMs('k'), 0)
  })
  promise('however often it is touched, no entry is made to live longer than 24 days after it began', async ({ node, ttlMs }) => {
    const { timeMs } = await node.ping()
    const begun = timeMs - MAX_TOUCHED_LIFE_MS + 3_600_000
    const old = { ...put('k', envelope(5n, { begun }), 10_000), issuedMs: timeMs }
    assertApplied(await node.apply([old, touch(5n, FAR_MS, 7_200_000)]))
    assert.equal(freshUntilOf((await got(node, 'k'))!), begun + MAX_TOUCHED_LIFE_MS)
    assertWithin(await ttlMs('k'), 3_500_000, 3_600_000)
    const older = { ...put('older', envelope(5n, { begun: timeMs - MAX_TOUCHED_LIFE_MS - 60_000 }), 10_000), issuedMs: timeMs }
    assertApplied(await node.apply([older, touch(5n, FAR_MS, 7_200_000, 'older')]))
    assertWithin(await ttlMs('older'), 1, 10_000)
  })
  promise('a touched entry is later than it was: the same one untouched does not take its place', async ({ node }) => {
    assertApplied(await node.apply([put('k', envelope(5n, { freshUntilMs: 1_000 })), touch(5n, 2_000, 60_000)]))
    assert.deepEqual(await node.apply([put('k', envelope(5n, { freshUntilMs: 1_000 }))]), [{ state: 'refused', version: 5n }])
  })
  promise('a touch leaves the lease that lies there', async ({ node }) => {
    await node.apply([put('k', envelope(5n))])
    await node.lease([{ key: 'k', token: 9, leaseMs: 60_000, seen: { ...NO_STAMP, version: 5n, freshUntilMs: 2 ** 40 }, force: true }])
    assertApplied(await node.apply([touch(5n, 2_000, 90_000)]))
    assert.equal(leaseOf((await got(node, 'k'))!).token, 9)
  })
}
