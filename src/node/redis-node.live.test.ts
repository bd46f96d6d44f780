import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { NO_STAMP } from '../entry.ts'
import { adminOf, connected, LIVE, server } from '../testing/live-redis.ts'
import { nodeConformance } from '../testing/node-conformance.ts'
import { assertApplied, envelope, got, PATIENT, put } from '../testing/node-subject.ts'
import { type RedisServer, startRedisServer } from '../testing/redis-server.ts'
import { redisNode } from './redis-node.ts'

let shared: RedisServer
let admin: Redis
before(async () => {
  shared = await startRedisServer()
  admin = new Redis(shared.port, '127.0.0.1')
})
after(async () => {
  admin.disconnect()
  await shared.stop()
})

for (const connections of [1, 3]) {
  nodeConformance({
    name: `a Redis node of ${connections} connection${connections === 1 ? '' : 's'}`,
    create: async () => {
      await admin.flushall()
      // Two seconds a try: this suite may share two cores with many others, and is not about deadlines.
      const node = redisNode(shared.url, { connections, timeout: '2s' })
      await node.connect()
      return {
        node,
        ttlMs: async (key) => {
          const ms = await admin.pttl(key)
          return ms === -2 ? undefined : ms === -1 ? 0 : ms
        },
        cleanup: () => node.close(),
      }
    },
  })
}

test('a server that forgot its scripts is sent them again, and nothing is lost or done twice', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, redis.url)
  const cli = adminOf(t, redis)
  for (let round = 1; round <= 5; round++) {
    await cli.script('FLUSH')
    assertApplied(await node.apply([put('a', envelope(BigInt(round)))]))
    await cli.script('FLUSH')
    const [leased] = await node.lease([{ key: 'l', token: round, leaseMs: 60_000, seen: NO_STAMP, force: true }])
    assert.deepEqual(leased, { state: 'granted', held: NO_STAMP })
    await cli.script('FLUSH')
    assert.equal(await node.run({ name: 'count', lua: "return redis.call('INCR', KEYS[1])" }, ['n'], []), round)
  }
})

test('without room a change fails alone, and what it would have overtaken is gone, whatever the call did before', LIVE, async (t) => {
  const redis = await server(t, { maxMemory: 512 * 1024 * 1024, policy: 'noeviction' })
  const { node } = await connected(t, redis.url)
  const cli = adminOf(t, redis)
  await node.apply(['a', 'b', 'c', 'old', 'z'].map((key) => put(key, envelope(5n))))
  await cli.config('SET', 'maxmemory', '1')
  const large = 'x'.repeat(1_000)
  const statuses = await node.apply([
    { op: 'drop', key: 'z' },
    put('a', envelope(6n, { payload: large })),
    put('b', envelope(6n, { kind: 'tombstone' })),
    put('old', envelope(4n)),
    put('new', envelope(1n)),
    { op: 'set', key: 'c', bytes: Buffer.from(large), ttlMs: 1_000 },
  ])
  assert.deepEqual(
    statuses.map(({ state }) => state),
    ['applied', 'failed', 'failed', 'refused', 'failed', 'failed'],
  )
  const found = await node.getMany(['a', 'b', 'c', 'new', 'z', 'old'])
  assert.deepEqual(
    found.map((bytes) => bytes !== undefined),
    [false, false, false, false, false, true],
  )
  await cli.config('SET', 'maxmemory', '0')
  assertApplied(await node.apply([put('a', envelope(6n)), put('b', envelope(6n))]))
})

test('without room no lease is granted and nothing is touched, what is there is said, and a release still gives back', LIVE, async (t) => {
  const redis = await server(t, { maxMemory: 512 * 1024 * 1024, policy: 'noeviction' })
  const { node } = await connected(t, redis.url)
  const ask = (key: string, token: number) => ({ key, token, leaseMs: 60_000, seen: NO_STAMP })
  await node.apply([put('value', envelope(5n)), put('buried', envelope(5n, { kind: 'tombstone' }))])
  await node.lease([ask('leased', 1)])
  await adminOf(t, redis).config('SET', 'maxmemory', '1')
  const states = (await node.lease([ask('new', 2), ask('buried', 2), ask('leased', 2), ask('value', 2)])).map(({ state }) => state)
  assert.deepEqual(states, ['failed', 'failed', 'held', 'changed'])
  const statuses = await node.apply([
    { op: 'touch', key: 'value', version: 5n, freshUntilMs: 2 ** 47, ttlMs: 90_000 },
    { op: 'release', key: 'leased', lease: 1 },
  ])
  assert.deepEqual(
    statuses.map(({ state }) => state),
    ['failed', 'applied'],
  )
  const found = await node.getMany(['new', 'leased', 'value', 'buried'])
  assert.deepEqual(
    found.map((bytes) => bytes !== undefined),
    [false, false, true, true],
  )
})

test('a key of another type fails alone, and reads as nothing', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, redis.url)
  await adminOf(t, redis).lpush('list', 'x')
  const statuses = await node.apply([put('list', envelope(1n)), put('a', envelope(1n))])
  assert.ok(statuses[0]?.state === 'failed' && /WRONGTYPE/.test(statuses[0].error.message))
  assert.equal(statuses[1]?.state, 'applied')
  assert.deepEqual((await node.getMany(['list', 'a'])).map(Boolean), [false, true])
  assertApplied(await node.apply([{ op: 'set', key: 'list', bytes: Buffer.from('x'), ttlMs: 0 }]))
})

test('small values are answered between large ones, however many of those wait', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, redis.url)
  const large = Array.from({ length: 20 }, (_, i) => `large:${i}`)
  const payload = Buffer.alloc(1024 * 1024, 'x')
  assertApplied(await node.apply([...large.map((key) => put(key, envelope(1n, { payload }))), put('small', envelope(1n))], PATIENT))
  await node.getMany(large, PATIENT)
  await node.getMany(Array.from({ length: 100 }, () => 'small'))
  let largeAnswered = 0
  const all = large.map((key) => got(node, key, PATIENT).then(() => largeAnswered++))
  await got(node, 'small', PATIENT)
  const before = largeAnswered
  await Promise.all(all)
  assert.ok(before <= 2, `${before} large values before the small one`)
})
