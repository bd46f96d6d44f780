/**
 * The laws of leases on a cache node: one caller at a time has the right to load a key, and only its fill is taken.
 *
 * A part of `node-conformance.ts`. Where time cannot be moved, a lease of a millisecond is asked for until it has ended.
 */
import assert from 'node:assert/strict'
import { HEADER_BYTES, kindOf, leaseOf, stampOf, withLease } from '../codec/envelope.ts'
import { NO_STAMP } from '../entry.ts'
import type { CacheNode, Leased, Status } from '../node/node.ts'
import {
  assertApplied,
  assertBytes,
  assertWithin,
  BEGUN_MS,
  envelope,
  got,
  type NodeUnderTest,
  type Promises,
  put,
} from './node-subject.ts'

const LEASE_MS = 30_000
const NOTHING: Leased = { state: 'granted', held: NO_STAMP }

async function lease(node: CacheNode, token: number, of: { leaseMs?: number; seen?: Uint8Array; force?: boolean } = {}): Promise<Leased> {
  const { leaseMs = LEASE_MS, seen, force } = of
  return (await node.lease([{ key: 'k', token, leaseMs, seen: seen === undefined ? NO_STAMP : stampOf(seen), force }]))[0]!
}

async function fill(node: CacheNode, token: number, bytes: Uint8Array, ttlMs?: number): Promise<Status> {
  return (await node.apply([{ ...put('k', bytes, ttlMs), lease: token }]))[0]!
}

const unleased = (bytes: Uint8Array | undefined): Uint8Array => withLease(bytes!, { token: 0, until: 0 })

export function leases(promise: Promises): void {
  promise('a lease of a key that is not there is granted in a vacant entry, which lives as long as the lease', async ({ node, ttlMs }) => {
    assert.deepEqual(await lease(node, 0xffff_fffe), NOTHING)
    const vacant = (await got(node, 'k'))!
    assert.deepEqual([vacant.length, kindOf(vacant), leaseOf(vacant).token], [HEADER_BYTES, 'vacant', 0xffff_fffe])
    assert.deepEqual(stampOf(vacant), NO_STAMP)
    assertWithin(await ttlMs('k'), 1, LEASE_MS)
  })
  promise('while a lease is live another caller is told for how long, its own caller has it anew, and force takes it', async ({ node }) => {
    await lease(node, 1)
    const held = await lease(node, 2)
    assert.ok(held.state === 'held' && Number.isInteger(held.forMs))
    assertWithin(held.forMs, 1, LEASE_MS)
    assert.deepEqual(await lease(node, 1, { leaseMs: 2 * LEASE_MS }), NOTHING)
    const longer = await lease(node, 2)
    assert.ok(longer.state === 'held')
    assertWithin(longer.forMs, LEASE_MS + 1, 2 * LEASE_MS)
    assert.deepEqual(await lease(node, 2, { force: true }), NOTHING)
    assert.equal((await lease(node, 1)).state, 'held')
  })
  promise('a lease that has ended is free to all', async (under) => {
    const { node } = under
    await node.apply([put('k', envelope(5n))])
    await lease(node, 1, { leaseMs: 1, seen: envelope(5n) })
    const second = await until(under, 1, () => lease(node, 2, { seen: envelope(5n) }))
    assert.deepEqual(second, { state: 'granted', held: stampOf(envelope(5n)) })
    assert.deepEqual(await fill(node, 1, envelope(6n)), { state: 'refused', version: 5n }, 'and the first has lost it')
  })
  promise('a lease is written into what lies there, which stays as it is, and lives at least as long', async ({ node, ttlMs }) => {
    for (const [lifeMs, min, max] of [
      [LEASE_MS / 3, LEASE_MS / 2, LEASE_MS],
      [LEASE_MS * 3, LEASE_MS * 2, LEASE_MS * 3],
      [0, 0, 0],
    ] as const) {
      const bytes = envelope(5n, { payload: String(lifeMs) })
      await node.apply([{ op: 'drop', key: 'k' }, put('k', bytes, lifeMs)])
      assert.deepEqual(await lease(node, 1, { seen: bytes }), { state: 'granted', held: stampOf(bytes) })
      assertBytes(unleased(await got(node, 'k')), bytes)
      assert.equal(leaseOf((await got(node, 'k'))!).token, 1)
      assertWithin(await ttlMs('k'), min, max)
    }
  })
  promise(
    'something live and later than what the caller saw is the answer in place of a lease, also while another has it',
    async ({ node }) => {
      for (const kind of ['value', 'negative', 'pending'] as const) {
        const bytes = envelope(5n, { kind })
        const earlier = [envelope(4n), envelope(5n, { begun: BEGUN_MS - 1, freshUntilMs: 9_000 }), envelope(5n, { freshUntilMs: 999 })]
        await node.apply([{ op: 'drop', key: 'k' }, put('k', bytes)])
        for (const seen of [undefined, ...earlier]) {
          const changed = await lease(node, 1, seen === undefined ? {} : { seen })
          assert.ok(changed.state === 'changed')
          assertBytes(changed.bytes, bytes)
        }
        assertBytes(await got(node, 'k'), bytes)
        assert.equal((await lease(node, 1, { seen: bytes })).state, 'granted')
        assert.equal((await lease(node, 2, { seen: bytes })).state, 'held')
        const changed = await lease(node, 2)
        assert.ok(changed.state === 'changed')
        assertBytes(unleased(changed.bytes), bytes)
        assert.deepEqual(await lease(node, 2, { force: true }), { state: 'granted', held: stampOf(bytes) })
      }
    },
  )
  promise('a live entry of version 0 is later than nothing', async ({ node }) => {
    const bytes = envelope(0n, { kind: 'negative', begun: 2 ** 31 + 5 })
    assertApplied(await node.apply([{ ...put('k', bytes), issuedMs: (await node.ping()).timeMs }]))
    assert.equal((await lease(node, 1)).state, 'changed')
  })
  promise('a tombstone, however new, is no answer: the lease is granted, and says what is held', async ({ node }) => {
    for (const kind of ['tombstone', 'vacant'] as const) {
      const bytes = envelope(5n, { kind })
      await node.apply([{ op: 'drop', key: 'k' }, put('k', bytes)])
      assert.deepEqual(await lease(node, 1), { state: 'granted', held: stampOf(bytes) })
      assertBytes(unleased(await got(node, 'k')), bytes)
    }
  })
  promise('bytes that are no envelope count as nothing: a lease takes their place', async ({ node, ttlMs }) => {
    const otherFormat = Buffer.from(envelope(9n)).fill(2, 1, 2)
    for (const foreign of [
      Buffer.from(''),
      Buffer.from('{"json":true}'.repeat(10)),
      envelope(9n).subarray(0, HEADER_BYTES - 1),
      otherFormat,
    ]) {
      await node.apply([{ op: 'set', key: 'k', bytes: foreign, ttlMs: 0 }])
      assert.deepEqual(await lease(node, 1), NOTHING)
      assert.equal(kindOf((await got(node, 'k'))!), 'vacant')
      assertWithin(await ttlMs('k'), 1, LEASE_MS)
    }
  })
  promise('of many who ask at once one is granted, and asks of one call are judged in order, each with its answer', async ({ node }) => {
    const ask = (key: string, token: number) => ({ key, token, leaseMs: LEASE_MS, seen: NO_STAMP })
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => node.lease([ask(`own:${i}`, i + 1), ask('shared', i + 1)])))
    assert.ok(answers.every(([own]) => own!.state === 'granted'))
    assert.equal(answers.filter(([, shared]) => shared!.state === 'granted').length, 1)
    const states = (await node.lease([ask('a', 1), ask('b', 1), ask('a', 2), ask('b', 1)])).map(({ state }) => state)
    assert.deepEqual(states, ['granted', 'granted', 'held', 'granted'])
  })
}

export function fills(promise: Promises): void {
  promise('the fill of who has the lease is taken, once, and what is stored carries no lease', async ({ node, ttlMs }) => {
    await lease(node, 7)
    assert.deepEqual(await fill(node, 7, envelope(5n), 90_000), { state: 'applied' })
    assertBytes(await got(node, 'k'), envelope(5n))
    assertWithin(await ttlMs('k'), LEASE_MS + 1, 90_000)
    assert.deepEqual(await fill(node, 7, envelope(6n)), { state: 'refused', version: 5n })
  })
  promise('a fill without its lease is refused with the version that is held, 0 of nothing', async ({ node }) => {
    const refused = (version: bigint) => ({ state: 'refused', version })
    assert.deepEqual(await fill(node, 7, envelope(5n)), refused(0n), 'nothing there')
    await lease(node, 8)
    assert.deepEqual(await fill(node, 7, envelope(5n)), refused(0n), "another's")
    assert.deepEqual(await fill(node, 0, envelope(5n)), refused(0n), 'none is no lease')
    await node.apply([{ op: 'set', key: 'k', bytes: Buffer.from('foreign'), ttlMs: 60_000 }])
    assert.deepEqual(await fill(node, 8, envelope(5n)), refused(0n), 'overwritten by foreign bytes')
    await node.apply([put('k', envelope(3n))])
    assert.deepEqual(await fill(node, 0, envelope(5n)), refused(3n), 'none is no lease, also where none lies')
    await lease(node, 8, { seen: envelope(3n) })
    await node.apply([{ op: 'drop', key: 'k' }])
    assert.deepEqual(await fill(node, 8, envelope(5n)), refused(0n), 'dropped')
    assert.equal(await got(node, 'k'), undefined)
  })
  promise('every put and every delete ends the lease, so that a slow load overwrites neither', async ({ node }) => {
    for (const kind of ['value', 'tombstone'] as const) {
      await node.apply([{ op: 'drop', key: 'k' }])
      await lease(node, 7)
      assertApplied(await node.apply([put('k', envelope(5n, { kind }))]))
      assert.deepEqual(await fill(node, 7, envelope(9n)), { state: 'refused', version: 5n })
      assertBytes(await got(node, 'k'), envelope(5n, { kind }))
    }
  })
  promise('a fill that is older than what its lease lies in is refused, and the lease stays', async ({ node }) => {
    await node.apply([put('k', envelope(5n, { kind: 'tombstone' }))])
    await lease(node, 7)
    assert.deepEqual(await fill(node, 7, envelope(4n)), { state: 'refused', version: 5n })
    assert.deepEqual(await fill(node, 7, envelope(6n)), { state: 'applied' })
  })
  promise('a fill of just what is held is applied, and ends its lease', async ({ node }) => {
    await node.apply([put('k', envelope(5n))])
    await lease(node, 7, { seen: envelope(5n) })
    assert.deepEqual(await fill(node, 7, envelope(5n)), { state: 'applied' })
    assertBytes(await got(node, 'k'), envelope(5n))
  })
  promise('a bare lease stands in the way of no entry, also none of version 0', async ({ node }) => {
    const issuedMs = (await node.ping()).timeMs
    for (const begun of [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      for (const how of [{ lease: 7 }, {}, { expected: 0n }]) {
        await node.apply([{ op: 'drop', key: 'k' }])
        await lease(node, 7)
        const bytes = envelope(0n, { kind: 'negative', begun, freshUntilMs: 0 })
        assertApplied(await node.apply([{ ...put('k', bytes), ...how, issuedMs }]))
        assertBytes(await got(node, 'k'), bytes)
      }
    }
  })
  promise('what is copied from another node leaves its lease behind', async ({ node }) => {
    assertApplied(await node.apply([put('k', envelope(5n, { lease: { token: 3, until: 4 } }))]))
    assertBytes(await got(node, 'k'), envelope(5n))
  })
}

export function releases(promise: Promises): void {
  const release = async (node: CacheNode, token: number): Promise<void> => {
    assertApplied(await node.apply([{ op: 'release', key: 'k', lease: token }]))
  }
  promise('a release frees the key at once, and leaves nothing where nothing was', async ({ node }) => {
    await release(node, 7)
    await lease(node, 7)
    await release(node, 7)
    assert.equal(await got(node, 'k'), undefined)
    assert.deepEqual(await lease(node, 8), NOTHING)
  })
  promise('a release leaves what its lease lay in, with the life it has', async ({ node, ttlMs }) => {
    await node.apply([put('k', envelope(5n), 0)])
    await lease(node, 7, { seen: envelope(5n) })
    await release(node, 7)
    assertBytes(await got(node, 'k'), envelope(5n))
    assert.equal(await ttlMs('k'), 0)
  })
  promise("a release leaves another's lease, and what is no lease", async ({ node }) => {
    await lease(node, 7)
    await release(node, 8)
    assert.equal((await lease(node, 9)).state, 'held')
    await node.apply([put('k', envelope(5n, { kind: 'vacant' }))])
    await release(node, 0)
    assertBytes(await got(node, 'k'), envelope(5n, { kind: 'vacant' }))
    await node.apply([{ op: 'set', key: 'k', bytes: Buffer.from('foreign'), ttlMs: 60_000 }])
    await release(node, 7)
    assertBytes(await got(node, 'k'), Buffer.from('foreign'))
  })
}

/** Lets `ms` pass, where time can be moved, or asks until the answer is another than `held`. */
async function until({ pass }: NodeUnderTest, ms: number, ask: () => Promise<Leased>): Promise<Leased> {
  await pass?.(ms)
  for (;;) {
    const answer = await ask()
    if (answer.state !== 'held' || pass !== undefined) return answer
  }
}
