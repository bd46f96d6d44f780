/**
 * The laws of versions on a cache node: whatever order changes arrive in, the newest stays, and compare-and-set means what it says.
 *
 * A part of `node-conformance.ts`.
 */
import assert from 'node:assert/strict'
import type { Version } from '../entry.ts'
import { type CacheNode, type Change, LATE_MS, type Status } from '../node/node.ts'
import { assertApplied, assertBytes, BEGUN_MS, envelope, got, type Promises, put } from './node-subject.ts'
import { seededRandom } from './seeded-random.ts'

export function versions(promise: Promises): void {
  promise(
    'a newer version takes the place of an older one, and an older one is refused with the version that is held',
    async ({ node }) => {
      assertApplied(await node.apply([put('k', envelope(5n))]))
      assert.deepEqual(await node.apply([put('k', envelope(4n))]), [{ state: 'refused', version: 5n }])
      assertApplied(await node.apply([put('k', envelope(6n))]))
      assertBytes(await got(node, 'k'), envelope(6n))
    },
  )
  promise('versions are compared as 63-bit numbers, byte by byte', async ({ node }) => {
    const rising = [1n, 0x7fn, 0x80n, 0xffn, 0x100n, 0xffff_ffffn, 0x1_0000_0000n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 62n, 2n ** 63n - 1n]
    for (const [i, version] of rising.entries()) {
      assertApplied(await node.apply([put('k', envelope(version))]))
      const older = rising.slice(0, i)
      const refused = await node.apply(older.map((each) => put('k', envelope(each))))
      assert.deepEqual(refused, Array(older.length).fill({ state: 'refused', version }))
    }
  })
  promise(
    'of equal versions the one that began later stays, with however short a life, and the same one again is applied',
    async ({ node }) => {
      const at = (begun: number, freshUntilMs: number) => envelope(5n, { begun: BEGUN_MS + begun, freshUntilMs })
      assertApplied(await node.apply([put('k', at(1_000, 2_000))]))
      assert.deepEqual(await node.apply([put('k', at(999, 9_000))]), [{ state: 'refused', version: 5n }])
      assertApplied(await node.apply([put('k', at(1_000, 2_000))]))
      assertApplied(await node.apply([put('k', at(1_001, 1))]))
      assertBytes(await got(node, 'k'), at(1_001, 1))
    },
  )
  promise('of equal versions that began at the same time the one that is fresh for longer stays', async ({ node }) => {
    assertApplied(await node.apply([put('k', envelope(5n, { freshUntilMs: 2_000 }))]))
    assert.deepEqual(await node.apply([put('k', envelope(5n, { freshUntilMs: 1_000 }))]), [{ state: 'refused', version: 5n }])
    const longest = envelope(5n, { freshUntilMs: 2 ** 41 })
    assertApplied(await node.apply([put('k', longest)]))
    assertBytes(await got(node, 'k'), longest)
  })
  promise('when an entry began is compared through the wrap of its 32 bits, up to half the circle', async ({ node }) => {
    const issuedMs = (await node.ping()).timeMs
    const at = (begun: number): Change => ({ ...put('k', envelope(5n, { begun })), issuedMs })
    const rising = [2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1, 0, 1, 2 ** 31 - 3]
    for (const [i, begun] of rising.entries()) {
      assertApplied(await node.apply([at(begun)]))
      if (i > 0)
        assert.deepEqual(await node.apply([at(rising[i - 1]!)]), [{ state: 'refused', version: 5n }], `${rising[i - 1]} before ${begun}`)
    }
    assert.deepEqual(await node.apply([at(2 ** 32 - 3)]), [{ state: 'refused', version: 5n }], 'half the circle is no advance')
  })
  promise('a tombstone is an entry: an older put does not bring back what it buried', async ({ node }) => {
    await node.apply([put('k', envelope(5n))])
    assertApplied(await node.apply([put('k', envelope(7n, { kind: 'tombstone' }))]))
    assert.deepEqual(await node.apply([put('k', envelope(6n))]), [{ state: 'refused', version: 7n }])
    assertBytes(await got(node, 'k'), envelope(7n, { kind: 'tombstone' }))
  })
  promise('puts and deletes of a key in any order, over any calls at once, leave the newest', async ({ node }) => {
    const random = seededRandom(42)
    for (let round = 0; round < 40; round++) {
      const key = `k${round}`
      const entries = Array.from({ length: 8 }, (_, i) => envelope(BigInt(i + 1), { kind: i % 3 === 2 ? 'tombstone' : 'value' }))
      const shuffled = entries.map((bytes) => ({ bytes, at: random() })).sort((a, b) => a.at - b.at)
      const calls: Change[][] = [[], [], []]
      for (const { bytes } of shuffled) calls[Math.floor(random() * 3)]!.push(put(key, bytes))
      const statuses = (await Promise.all(calls.map((changes) => node.apply(changes)))).flat()
      assert.ok(statuses.every(({ state }) => state === 'applied' || state === 'refused'))
      assertBytes(await got(node, key), entries[7])
    }
  })
  promise('changes of one call to one key are applied in order, each with a status of its own', async ({ node }) => {
    const statuses = await node.apply([
      put('k', envelope(3n)),
      put('k', envelope(2n)),
      { op: 'drop', key: 'k' },
      put('k', envelope(1n)),
      { op: 'set', key: 'f', bytes: Buffer.from('first'), ttlMs: 10_000 },
      { op: 'set', key: 'f', bytes: Buffer.from('last'), ttlMs: 10_000 },
    ])
    const applied = { state: 'applied' }
    assert.deepEqual(statuses, [applied, { state: 'refused', version: 3n }, applied, applied, applied, applied])
    assertBytes(await got(node, 'k'), envelope(1n))
    assertBytes(await got(node, 'f'), Buffer.from('last'))
  })
  promise('a put takes the place of bytes that are no envelope', async ({ node }) => {
    for (const [i, foreign] of ['', 'x', '{"json":true}'.repeat(10), '\xc7'].entries()) {
      const key = `foreign:${i}`
      assertApplied(await node.apply([{ op: 'set', key, bytes: Buffer.from(foreign, 'latin1'), ttlMs: 10_000 }, put(key, envelope(1n))]))
      assertBytes(await got(node, key), envelope(1n))
    }
  })
  promise('set and drop ask for no version', async ({ node }) => {
    await node.apply([put('k', envelope(9n))])
    assertApplied(await node.apply([{ op: 'set', key: 'k', bytes: Buffer.from('raw'), ttlMs: 10_000 }]))
    assertBytes(await got(node, 'k'), Buffer.from('raw'))
    assertApplied(
      await node.apply([
        { op: 'drop', key: 'k' },
        { op: 'drop', key: 'was never there' },
      ]),
    )
    assert.equal(await got(node, 'k'), undefined)
  })
  promise('a put of bytes that are no envelope fails, alone', async ({ node }) => {
    const statuses = await node.apply([put('a', envelope(1n)), put('bad', Buffer.from('no envelope')), put('b', envelope(1n))])
    assert.deepEqual(
      statuses.map(({ state }) => state),
      ['applied', 'failed', 'applied'],
    )
    assert.equal(await got(node, 'bad'), undefined)
  })
  promise('bytes handed in may be changed or reused afterwards', async ({ node }) => {
    const bytes = envelope(1n, { payload: 'mine' })
    assertApplied(await node.apply([put('k', bytes)]))
    bytes.fill(0)
    assertBytes(await got(node, 'k'), envelope(1n, { payload: 'mine' }))
  })
}

export function lateness(promise: Promises): void {
  const LATE = LATE_MS + 20_000
  promise('a put that began, or was issued, long before the node is told of it fails, whatever it expects', async ({ node }) => {
    const { timeMs } = await node.ping()
    const late = put('k', envelope(5n, { begun: timeMs - LATE }))
    const changes: Change[] = [
      late,
      { ...late, expected: 0n },
      { ...late, lease: 7 },
      { ...put('k', envelope(5n, { kind: 'tombstone', begun: timeMs })), issuedMs: timeMs - LATE },
    ]
    for (const status of await node.apply(changes)) {
      assert.ok(status.state === 'failed')
      assert.match(status.error.message, /LATE issued 1[67]\d{4} ms ago/)
    }
    assert.equal(await got(node, 'k'), undefined)
  })
  promise(
    'what began long before is taken where it was issued now, and so is what is not late yet, or from the future',
    async ({ node }) => {
      const { timeMs } = await node.ping()
      const old = { ...put('old', envelope(1n, { begun: timeMs - 10 * LATE })), issuedMs: timeMs }
      const justInTime = put('just', envelope(1n, { begun: timeMs - LATE_MS + 60_000 }))
      const future = put('future', envelope(1n, { begun: timeMs + 20 * 86_400_000 }))
      assertApplied(await node.apply([old, justInTime, future]))
    },
  )
}

export function expectations(promise: Promises): void {
  const attempt = async (node: CacheNode, expected: Version, next: Version): Promise<Status> => {
    const [status] = await node.apply([{ ...put('k', envelope(next)), expected } as Change])
    return status!
  }
  promise('with `expected` a put is applied to exactly that version', async ({ node }) => {
    await node.apply([put('k', envelope(5n))])
    assert.deepEqual(await attempt(node, 4n, 6n), { state: 'refused', version: 5n })
    assert.deepEqual(await attempt(node, 6n, 7n), { state: 'refused', version: 5n })
    assert.deepEqual(await attempt(node, 0n, 7n), { state: 'refused', version: 5n })
    assert.deepEqual(await attempt(node, 5n, 6n), { state: 'applied' })
  })
  promise('`expected` of another version is refused by an empty key, with version 0', async ({ node }) => {
    assert.deepEqual(await attempt(node, 5n, 6n), { state: 'refused', version: 0n })
    assert.equal(await got(node, 'k'), undefined)
  })
  promise('`expected` 0 is met by no key, and by a negative, tombstone or vacant entry that is older', async ({ node }) => {
    assert.deepEqual(await attempt(node, 0n, 1n), { state: 'applied' })
    for (const kind of ['negative', 'tombstone', 'vacant'] as const) {
      await node.apply([{ op: 'drop', key: 'k' }, put('k', envelope(5n, { kind }))])
      assert.deepEqual(await attempt(node, 5n, 9n), { state: 'refused', version: 5n }, `${kind} has no value to compare with`)
      assert.deepEqual(await attempt(node, 0n, 4n), { state: 'refused', version: 5n }, `older than the ${kind}`)
      assert.deepEqual(await attempt(node, 0n, 6n), { state: 'applied' }, kind)
    }
  })
  promise('a pending entry counts as a value', async ({ node }) => {
    await node.apply([put('k', envelope(5n, { kind: 'pending' }), 0)])
    assert.deepEqual(await attempt(node, 0n, 6n), { state: 'refused', version: 5n })
    assert.deepEqual(await attempt(node, 5n, 6n), { state: 'applied' })
  })
  promise('of many who expect the same version one is applied, the others told by which version', async ({ node }) => {
    await node.apply([put('k', envelope(1n))])
    const statuses = await Promise.all(Array.from({ length: 50 }, (_, i) => attempt(node, 1n, BigInt(i + 2))))
    const winners = statuses.flatMap(({ state }, i) => (state === 'applied' ? [BigInt(i + 2)] : []))
    assert.equal(winners.length, 1)
    for (const status of statuses) if (status.state !== 'applied') assert.deepEqual(status, { state: 'refused', version: winners[0] })
  })
}
