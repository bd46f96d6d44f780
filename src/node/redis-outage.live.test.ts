import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../clock.ts'
import { adminOf, answers, connected, failsAtOnce, LIVE, server, turn, until } from '../testing/live-redis.ts'
import { assertApplied, assertBytes, envelope, got, Heard, put } from '../testing/node-subject.ts'

test(
  'a frozen server costs one timeout: then gets fail at once, until it goes on, and late replies answer nobody else',
  LIVE,
  async (t) => {
    const redis = await server(t)
    const { node, told } = await connected(t, redis.url, { timeout: '200ms' })
    assertApplied(await node.apply([put('a', envelope(1n)), put('b', envelope(2n))]))
    redis.pause()
    const since = systemClock.monotonic()
    await assert.rejects(got(node, 'a'), { code: 'DEADLINE_EXCEEDED' })
    const tookMs = systemClock.monotonic() - since
    assert.ok(tookMs >= 199 && tookMs < 1_000, `took ${tookMs} ms`)
    assert.equal(failsAtOnce(node, 'a'), 'NODE_FAILED')
    await assert.rejects(node.ping(), { code: 'NODE_FAILED' })
    const [status] = await node.apply([put('a', envelope(3n))])
    assert.equal(status?.state, 'failed', 'what was not sent did not happen')
    redis.resume()
    await until(() => answers(node, 'b'))
    assertBytes(await got(node, 'b'), envelope(2n))
    assertBytes(await got(node, 'a'), envelope(1n))
    assert.deepEqual(told.names, [], 'the connection was kept')
  },
)

test('a change sent to a server that froze is unknown, and is applied when the server goes on', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, redis.url, { timeout: '200ms' })
  assertApplied(await node.apply([{ op: 'drop', key: 'a' }]))
  redis.pause()
  const [status] = await node.apply([put('a', envelope(1n))])
  assert.ok(status?.state === 'unknown' && status.error.code === 'DEADLINE_EXCEEDED')
  redis.resume()
  await until(() => answers(node, 'a'))
  assertBytes(await got(node, 'a'), envelope(1n))
})

test('a server frozen for longer is down: its connection is made anew when it goes on', LIVE, async (t) => {
  const redis = await server(t)
  const { node, told } = await connected(t, redis.url, { timeout: '200ms' })
  await node.apply([put('a', envelope(1n))])
  redis.pause()
  await assert.rejects(got(node, 'a'), { code: 'DEADLINE_EXCEEDED' })
  await told.until('node:down')
  assert.equal(failsAtOnce(node, 'a'), 'NODE_FAILED')
  redis.resume()
  await told.until('node:up')
  assertBytes(await got(node, 'a'), envelope(1n))
  await until(async () => (await node.stats()).connections === 2)
})

test('a server that only pings notice to be frozen is down too', LIVE, async (t) => {
  const redis = await server(t)
  const { node, told } = await connected(t, redis.url, { timeout: '200ms' })
  redis.pause()
  await assert.rejects(node.ping(), { code: 'DEADLINE_EXCEEDED' })
  await told.until('node:down')
  redis.resume()
  await told.until('node:up')
  await node.ping()
})

test('a killed server fails what is under way without waiting, says down, and is up again once it is back on its port', LIVE, async (t) => {
  const redis = await server(t)
  const { node, told } = await connected(t, redis.url)
  redis.pause()
  const read = assert.rejects(got(node, 'a', { timeoutMs: 60_000 }), { code: 'NODE_FAILED' })
  const written = node.apply([put('a', envelope(1n))], { timeoutMs: 60_000 })
  const scripted = assert.rejects(node.run({ name: 'one', lua: 'return 1' }, [], [], { timeoutMs: 60_000 }), {
    code: 'NODE_FAILED',
    outcome: 'unknown',
  })
  await turn()
  await redis.kill()
  await read
  assert.equal((await written)[0]?.state, 'unknown')
  await scripted
  await told.until('node:down')
  assert.equal(failsAtOnce(node, 'a'), 'NODE_FAILED')
  const [status] = await node.apply([put('a', envelope(1n))])
  assert.equal(status?.state, 'failed')
  await server(t, { port: redis.port })
  await told.until('node:up')
  assert.equal(await got(node, 'a'), undefined)
  assert.deepEqual(told.names, ['node:down', 'node:restarted', 'node:up'])
})

test('a watcher is told of a lost connection and of its return, then of changes again; and when the server is emptied', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, redis.url)
  const cli = adminOf(t, redis)
  const heard = new Heard()
  const stop = await node.watch(['rt:'], heard)
  await cli.client('KILL', 'TYPE', 'PUBSUB')
  await until(() => heard.losses.length === 2)
  await until(async () => {
    const [status] = await node.apply([{ op: 'set', key: 'rt:a', bytes: Buffer.from('x'), ttlMs: 0 }])
    return status?.state === 'applied'
  })
  await heard.of('rt:a')
  await cli.flushall()
  await until(() => heard.losses.length === 3)
  await stop()
  await until(async () => !/name=.*sub=1/.test(String(await cli.client('LIST', 'TYPE', 'PUBSUB'))))
  assert.equal(heard.losses.length, 3)
})

test('a watch whose server froze is told as lost by its heartbeat', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, redis.url, { timeout: '200ms' })
  const heard = new Heard()
  await node.watch(['rt:'], heard)
  redis.pause()
  assert.match(await heard.loss(), /heartbeat/)
  redis.resume()
  await until(() => heard.losses.length === 2)
})
