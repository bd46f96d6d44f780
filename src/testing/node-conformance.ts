/**
 * The contract of a cache node as tests: an implementation of `CacheNode` passes them or is not one.
 *
 * `nodeConformance({ name, create })` registers the tests with `node:test`; the file that calls it is run by `node --test`. Each test gets a
 * node of its own from `create`, connected and empty. Nothing here sleeps: what must come is awaited, and what must expire is judged by the
 * remaining time that the node itself tells.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NO_STAMP } from '../entry.ts'
import type { CacheNode, Status } from '../node/node.ts'
import { fills, leases, releases } from './node-lease-laws.ts'
import {
  assertApplied,
  assertBytes,
  assertWithin,
  bytes,
  changed,
  envelope,
  got,
  Heard,
  type NodeUnderTest,
  PATIENT,
  type Promises,
  put,
} from './node-subject.ts'
import { touches } from './node-touch-laws.ts'
import { expectations, lateness, versions } from './node-version-laws.ts'
import { seededRandom } from './seeded-random.ts'

export type { NodeUnderTest } from './node-subject.ts'

export interface NodeConformanceOptions {
  readonly name: string
  create(): Promise<NodeUnderTest>
}

/** Every test is given up after this long, ms. */
const GIVE_UP_MS = 20_000

export function nodeConformance({ name, create }: NodeConformanceOptions): void {
  const promise = (fact: string, check: (under: NodeUnderTest) => Promise<void>): void => {
    test(fact, { timeout: GIVE_UP_MS }, async () => {
      const under = await create()
      try {
        await check(under)
      } finally {
        await under.cleanup()
      }
    })
  }
  describe(`${name} keeps the contract of a cache node`, () => {
    reads(promise)
    versions(promise)
    expectations(promise)
    lateness(promise)
    touches(promise)
    leases(promise)
    fills(promise)
    releases(promise)
    expiry(promise)
    records(promise)
    watching(promise)
    scanning(promise)
    life(promise)
  })
}

function reads(promise: Promises): void {
  promise('a get of a key that is not there answers undefined', async ({ node }) => {
    assert.equal(await got(node, 'nothing'), undefined)
  })
  promise('a get answers the bytes that were put, with the node that holds them', async ({ node }) => {
    const bytes = envelope(1n, { payload: 'hello' })
    assertApplied(await node.apply([put('k', bytes)]))
    const answer = await new Promise<[Uint8Array | undefined, CacheNode]>((resolve, reject) => {
      node.get('k', { answered: (found, from) => resolve([found, from]), failed: reject })
    })
    assertBytes(answer[0], bytes)
    assert.equal(answer[1], node)
  })
  promise('a single change tells its status once, with the node, and those of one turn are applied in order', async ({ node }) => {
    const told: [Status, CacheNode][] = []
    const { promise: all, resolve } = Promise.withResolvers<void>()
    const settled = (status: Status, from: CacheNode): void => {
      if (told.push([status, from]) === 3) resolve()
    }
    for (const version of [2n, 1n, 3n]) node.change(put('k', envelope(version)), { settled })
    await all
    const applied = { state: 'applied' }
    assert.deepEqual(
      told.map(([status]) => status),
      [applied, { state: 'refused', version: 2n }, applied],
    )
    assert.ok(told.every(([, from]) => from === node))
    assertBytes(await got(node, 'k'), envelope(3n))
    assert.equal(told.length, 3)
  })
  promise('gets of the same key at the same time are all answered', async ({ node }) => {
    await node.apply([put('k', envelope(1n))])
    const answers = await Promise.all(Array.from({ length: 500 }, () => got(node, 'k')))
    for (const answer of answers) assertBytes(answer, envelope(1n))
  })
  promise(
    'getMany answers 1,000 keys in their order, with undefined for those not there and one answer for each time a key is asked',
    async ({ node }) => {
      const keys = Array.from({ length: 1_000 }, (_, i) => `key:${i}`)
      assertApplied(await node.apply(keys.filter((_, i) => i % 3 !== 0).map((key) => put(key, envelope(1n, { payload: key })))))
      const asked = [...keys, 'key:1', 'key:1']
      const answers = await node.getMany(asked)
      assert.equal(answers.length, asked.length)
      for (const [i, key] of asked.entries()) {
        if (i < 1_000 && i % 3 === 0) assert.equal(answers[i], undefined)
        else assertBytes(answers[i], envelope(1n, { payload: key }))
      }
    },
  )
  promise('nothing asked or changed is nothing answered', async ({ node }) => {
    assert.deepEqual(await node.getMany([]), [])
    assert.deepEqual(await node.apply([]), [])
    assert.deepEqual(await node.lease([]), [])
  })
  promise('keys with spaces, percent signs, braces, line breaks, NUL and any script are told apart and found again', async ({ node }) => {
    const keys = [
      'a b',
      'a%20b',
      '{a}b',
      'a\r\nb',
      'a\0b',
      'a*b',
      'a?b',
      '[ab]',
      'a\\b',
      'ключ',
      '键',
      '🔑',
      '"',
      "'",
      '__proto__',
      'constructor',
    ]
    assertApplied(await node.apply(keys.map((key, i) => put(key, envelope(BigInt(i + 1), { payload: key })))))
    const answers = await node.getMany(keys)
    for (const [i, key] of keys.entries()) assertBytes(answers[i], envelope(BigInt(i + 1), { payload: key }))
  })
  promise('a value of 1 MiB of any bytes comes back as it was', async ({ node }) => {
    const random = seededRandom(7)
    const payload = Buffer.from(Uint8Array.from({ length: 1024 * 1024 }, () => Math.floor(random() * 256)))
    const bytes = envelope(1n, { payload })
    assertApplied(await node.apply([put('large', bytes)], PATIENT))
    assertBytes((await node.getMany(['large', 'nothing'], PATIENT))[0], bytes)
  })
}

function expiry(promise: Promises): void {
  promise('an entry lives as long as its change said, and for ever with 0', async ({ node, ttlMs, pass }) => {
    await node.apply([
      put('short', envelope(1n), 5_000),
      put('fraction', envelope(1n), 0.25),
      put('kept', envelope(1n), 0),
      { op: 'set', key: 'raw', bytes: Buffer.from('raw'), ttlMs: 7_000 },
    ])
    assertWithin(await ttlMs('short'), 1, 5_000)
    assertWithin(await ttlMs('raw'), 5_001, 7_000)
    assert.equal(await ttlMs('kept'), 0)
    if (pass === undefined) return
    await pass(5_000)
    assert.deepEqual((await node.getMany(['short', 'fraction'])).concat(await got(node, 'short')), [undefined, undefined, undefined])
    assert.ok((await node.getMany(['raw', 'kept'])).every((bytes) => bytes !== undefined))
    await pass(2_000)
    assert.equal(await got(node, 'raw'), undefined)
    await pass(10 * 365 * 86_400_000)
    assertBytes(await got(node, 'kept'), envelope(1n))
  })
  promise('a newer put sets the time to live anew, and a refused one leaves it', async ({ node, ttlMs }) => {
    await node.apply([put('k', envelope(2n), 0)])
    await node.apply([put('k', envelope(1n), 5_000)])
    assert.equal(await ttlMs('k'), 0)
    await node.apply([put('k', envelope(3n), 5_000)])
    assertWithin(await ttlMs('k'), 1, 5_000)
    await node.apply([put('k', envelope(4n), 0)])
    assert.equal(await ttlMs('k'), 0)
  })
}

function records(promise: Promises): void {
  promise('a control record is written only over what was expected, byte for byte', async ({ node }) => {
    const { control } = node
    assert.equal(await control.get('topology'), undefined)
    assert.equal(await control.compareAndSet('topology', bytes('one'), bytes('two')), false)
    assert.equal(await control.compareAndSet('topology', undefined, bytes('one')), true)
    assert.equal(await control.compareAndSet('topology', undefined, bytes('two')), false)
    assert.equal(await control.compareAndSet('topology', bytes('on'), bytes('two')), false)
    assertBytes(await control.get('topology'), bytes('one'))
    assert.equal(await control.compareAndSet('topology', bytes('one'), bytes('')), true)
    assertBytes(await control.get('topology'), bytes(''))
    assert.equal(await control.compareAndSet('topology', bytes(''), bytes('three')), true)
    assert.equal(await control.get('other'), undefined)
  })
  promise('a control record has no expiry', async ({ node, ttlMs }) => {
    await node.control.compareAndSet('topology', undefined, bytes('one'))
    assert.equal(await ttlMs('rt:!topology'), 0)
  })
  promise('of many who change a control record at once one wins each round, so that nothing is lost', async ({ node }) => {
    const increment = async (): Promise<void> => {
      for (;;) {
        const held = await node.control.get('counter', PATIENT)
        const next = bytes(String(Number(Buffer.from(held ?? bytes('0')).toString()) + 1))
        if (await node.control.compareAndSet('counter', held, next, PATIENT)) return
      }
    }
    await Promise.all(Array.from({ length: 20 }, increment))
    assertBytes(await node.control.get('counter'), bytes('20'))
  })
}

function watching(promise: Promises): void {
  promise('a watcher is told of changed keys under its prefixes, and of no others, until it stops', async ({ node }) => {
    const heard = new Heard()
    const stop = await node.watch(['rt:a:', 'rt:b:'], heard)
    await node.apply([
      put('rt:a:1', envelope(1n)),
      put('rt:c:1', envelope(1n)),
      put('rt:b:1', envelope(1n)),
      { op: 'set', key: 'rt:b:2', bytes: bytes('x'), ttlMs: 9_000 },
    ])
    await heard.of('rt:a:1', 'rt:b:1', 'rt:b:2')
    heard.keys.clear()
    await node.apply([{ op: 'drop', key: 'rt:b:1' }])
    await heard.of('rt:b:1')
    await stop()
    heard.keys.clear()
    const other = new Heard()
    const stopOther = await node.watch(['rt:'], other)
    await node.apply([put('rt:a:2', envelope(1n)), put('rt:c:1', envelope(2n))])
    await other.of('rt:a:2', 'rt:c:1')
    await stopOther()
    assert.deepEqual([...heard.keys], [], 'not after it stopped')
    assert.ok(!heard.everHeard.has('rt:c:1'))
    assert.deepEqual(heard.losses, [])
  })
  promise('prefixes of which one begins another are watched all the same', async ({ node }) => {
    const heard = new Heard()
    const stop = await node.watch(['rt:a', 'rt:', 'rt:a'], heard)
    await node.apply([put('rt:a:1', envelope(1n)), put('rt:z', envelope(1n))])
    await heard.of('rt:a:1', 'rt:z')
    await stop()
  })
}

function scanning(promise: Promises): void {
  promise('a scan gives every key under its prefix, whatever is in the prefix, and no other', async ({ node }) => {
    const inside = Array.from({ length: 300 }, (_, i) => `p*[a]?\\:${i}`)
    const outside = ['p', 'pX[a]?\\:1', 'p*a?\\:1', 'q']
    assertApplied(await node.apply([...inside, ...outside].map((key) => put(key, envelope(1n)))))
    const found = new Set<string>()
    for await (const batch of node.scan('p*[a]?\\:', { batch: 50 })) for (const key of batch) found.add(key)
    assert.deepEqual([...found].sort(), inside.sort())
  })
  promise('a scan ends when its signal is aborted', async ({ node }) => {
    await node.apply(Array.from({ length: 100 }, (_, i) => put(`k${i}`, envelope(1n))))
    const abort = new AbortController()
    const reason = new Error('enough')
    await assert.rejects(async () => {
      for await (const _ of node.scan('', { batch: 10, signal: abort.signal })) abort.abort(reason)
    }, reason)
  })
  promise('stats tell the entries held and the bytes used', async ({ node }) => {
    const before = await node.stats()
    await node.apply(Array.from({ length: 50 }, (_, i) => put(`k${i}`, envelope(1n, { payload: 'x'.repeat(1_000) }))))
    const after = await node.stats()
    assert.equal(after.entries - before.entries, 50)
    assert.ok(after.usedBytes - before.usedBytes >= 50_000)
    assert.match(after.engine, /^(memory|redis|valkey)$/)
    assert.notEqual(after.engineVersion, '')
  })
  promise('stats tell how many keys were looked up and found, by reads, and by what judges changes and leases', async ({ node }) => {
    const before = await node.stats()
    await node.apply([put('k', envelope(1n))])
    await node.apply([put('k', envelope(2n))])
    await node.getMany(['k', 'k', 'missing'])
    await node.lease([{ key: 'absent', token: 1, leaseMs: 1_000, seen: { version: 0n, freshUntilMs: 0, begun: 0 } }])
    const after = await node.stats()
    assert.deepEqual([after.hits - before.hits, after.misses - before.misses], [3, 3])
  })
  promise('ping tells how long it took, and the time of the node', async ({ node }) => {
    const { rttMs, timeMs } = await node.ping()
    assert.ok(rttMs >= 0 && rttMs < GIVE_UP_MS)
    assert.ok(timeMs > 1_600_000_000_000 && Number.isInteger(timeMs))
  })
}

function life(promise: Promises): void {
  promise('connect may be called again', async ({ node }) => {
    await node.connect()
  })
  promise('close lets what is under way finish, and after it every call fails with ClosedError', async ({ node }) => {
    await node.apply([put('k', envelope(1n))])
    const underWay = [got(node, 'k'), got(node, 'k')]
    await node.close()
    for (const answer of await Promise.all(underWay)) assertBytes(answer, envelope(1n))
    const closed = { code: 'CLOSED' }
    await assert.rejects(got(node, 'k'), closed)
    await assert.rejects(node.getMany(['k']), closed)
    const [status] = await node.apply([put('k', envelope(2n))])
    assert.ok(status?.state === 'failed' && status.error.code === 'CLOSED')
    const single = await changed(node, put('k', envelope(2n)))
    assert.ok(single.state === 'failed' && single.error.code === 'CLOSED')
    const [leased] = await node.lease([{ key: 'k', token: 1, leaseMs: 1_000, seen: NO_STAMP }])
    assert.ok(leased?.state === 'failed' && leased.error.code === 'CLOSED')
    await assert.rejects(node.ping(), closed)
    await assert.rejects(node.stats(), closed)
    await assert.rejects(node.control.get('x'), closed)
    await assert.rejects(node.watch(['x'], new Heard()), closed)
    await assert.rejects(node.connect(), closed)
    await node.close()
  })
}
