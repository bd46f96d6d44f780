import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { LIVE, server } from '../testing/live-redis.ts'
import { connectClient, createClient, endClient, openChannel, type RedisClient } from './redis-client.ts'
import { type Channel, RespChannel } from './resp-channel.ts'
import type { Reply } from './resp-reader.ts'
import { SLAB_BYTES } from './slab-socket.ts'

async function client(t: TestContext, protocol: 2 | 3 = 3): Promise<RedisClient> {
  const redis = await server(t)
  const address = { host: '127.0.0.1', port: redis.port, database: 3, username: undefined, password: undefined, tls: undefined }
  const made = await createClient({ address, ip: '127.0.0.1', connectTimeoutMs: 1_000, protocol })
  t.after(() => endClient(made))
  await connectClient(made)
  return made
}

function mget(channel: Channel, keys: readonly string[]): Promise<Reply> {
  return new Promise((replied, lost) => channel.mget(keys, { replied, lost }))
}

const KEYS = ['plain', 'with space', 'crlf\r\n$1\r\n', 'é', '\u{1f980}', '\0', '', 'k'.repeat(5_000)]
const VALUES = [Buffer.from('v'), Buffer.alloc(0), Buffer.from('\r\n'), Buffer.from([0, 255, 254, 13, 10]), Buffer.alloc(2 ** 20, 'large')]

for (const protocol of [2, 3] as const) {
  test(`protocol ${protocol}: a real server gives back any value under any key, through the channel`, LIVE, async (t) => {
    const channel = openChannel(await client(t, protocol), 'n1')
    assert.ok(channel instanceof RespChannel, 'the socket was taken over')
    const pairs = KEYS.flatMap((key, k) => VALUES.map((value, v) => ({ key: `${key}:${k}:${v}`, value })))
    await Promise.all(pairs.map(({ key, value }) => channel.call('SET', [key, value])))
    const keys = pairs.map(({ key }) => key)
    const found = (await mget(channel, [...keys, 'absent'])) as (Buffer | null)[]
    assert.equal(found.pop(), null)
    for (let i = 0; i < pairs.length; i++) assert.ok(pairs[i]!.value.equals(found[i]!), JSON.stringify(keys[i]!.slice(0, 40)))
    assert.equal(await channel.call('DBSIZE', []), pairs.length)
    await assert.rejects(channel.call('EVALSHA', ['0'.repeat(40), 0]), { name: 'ReplyError', message: /^NOSCRIPT/ })
  })
}

test('small replies lie in one slab', LIVE, async (t) => {
  const channel = openChannel(await client(t), 'n1')
  await channel.call('SET', ['key', 'value'])
  const [first, second] = [await channel.call('GET', ['key']), await channel.call('GET', ['key'])] as [Buffer, Buffer]
  assert.equal(first.buffer.byteLength, SLAB_BYTES)
  assert.equal(second.buffer, first.buffer)
  assert.deepEqual([String(first), String(second)], ['value', 'value'])
})

test('a client whose address is none fails to connect, and ends', async () => {
  const address = { host: '127.0.0.1', port: 70_000, database: 0, username: undefined, password: undefined, tls: undefined }
  const made = await createClient({ address, ip: '127.0.0.1', connectTimeoutMs: 1_000, protocol: 3 })
  await assert.rejects(connectClient(made), /70000/)
  await endClient(made)
  assert.equal(made.status, 'end')
})

/** What a server's scripts, lists and maps look like through the channel and through the client's own methods. */
async function shapes(channel: Channel): Promise<unknown> {
  await channel.call('HSET', ['hash', 'field', 'value'])
  await channel.call('SADD', ['set', 'a'])
  await channel.call('ZADD', ['scores', '1.5', 'a'])
  await channel.call('SET', ['key', 'value'])
  return {
    hash: await channel.call('HGETALL', ['hash']),
    set: await channel.call('SMEMBERS', ['set']),
    score: await channel.call('ZSCORE', ['scores', 'a']),
    infinite: await channel.call('EVAL', ['redis.setresp(3) return {double = 1/0}', 0]),
    yes: await channel.call('EVAL', ['redis.setresp(3) return true', 0]),
    nested: await channel.call('EVAL', ["return {1, 'a', {2, {ok = 'fine'}}, false}", 0]),
    status: await channel.call('PING', []),
    scanned: await channel.call('SCAN', ['0', 'MATCH', 'key']),
    read: await mget(channel, ['key', 'absent']),
  }
}

for (const protocol of [2, 3] as const) {
  test(
    `protocol ${protocol}: a client that reads its socket otherwise than is known is used by its own methods, with the same replies`,
    LIVE,
    async (t) => {
      const other = await client(t, protocol)
      other.stream!.on('data', () => {})
      const fallback = openChannel(other, 'n1')
      assert.ok(!(fallback instanceof RespChannel))
      const taken = openChannel(await client(t, protocol), 'n1')
      assert.deepEqual(await shapes(taken), await shapes(fallback))
      await assert.rejects(fallback.call('EVALSHA', ['0'.repeat(40), 0]), { name: 'ReplyError', message: /^NOSCRIPT/ })
      await endClient(other)
      await assert.rejects(mget(fallback, ['key']), { code: 'NODE_FAILED' })
    },
  )
}
