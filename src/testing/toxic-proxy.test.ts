import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { ClosedError, ConfigurationError, UnavailableError } from '../errors.ts'
import { SOON, stage, until, whileNothingComes } from './tcp-stage.ts'
import { startToxicProxy } from './toxic-proxy.ts'

test('a reset reaches both sides as a reset', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  const one = client()
  await one.says('a')
  proxy.reset()
  await one.ended()
  await until(() => echo.ends.length === 1)
  assert.deepEqual([one.ends, echo.ends], [['ECONNRESET'], ['ECONNRESET']])
  await until(() => proxy.connections === 0)
  await client().says('and the next one is well')
})

test('a reset after so many bytes comes in the middle of the reply, of each connection until it is taken off', SOON, async (t) => {
  const { proxy, client } = await stage(t)
  const one = client()
  await one.says('before')
  proxy.set({ resetAfterBytes: 7 }, 'down')
  one.send('abc')
  await until(() => one.text === 'beforeabc')
  proxy.set({ latencyMs: 0 }, 'down')
  one.send('defghij')
  await one.ended()
  assert.deepEqual([one.text, one.ends], ['beforeabcdefg', ['ECONNRESET']])
  const next = client()
  next.send('0123456789')
  await next.ended()
  assert.deepEqual([next.text, next.ends], ['0123456', ['ECONNRESET']])
  proxy.set({ resetAfterBytes: 0 }, 'down')
  const none = client()
  none.send('nothing of it')
  await none.ended()
  assert.deepEqual([none.text, none.ends], ['', ['ECONNRESET']])
  proxy.set({ resetAfterBytes: undefined }, 'down')
  await client().says('all of it')
})

test('a refusing proxy refuses who comes, keeps who is there, and listens on the same port again', SOON, async (t) => {
  const { proxy, client } = await stage(t)
  const there = client()
  await there.says('a')
  const port = proxy.port
  proxy.refuse()
  const refused = client()
  await refused.ended()
  assert.deepEqual(refused.ends, ['ECONNREFUSED'])
  await there.says('b')
  await proxy.accept()
  assert.equal(proxy.port, port)
  await client(port).says('c')
})

test('a proxy that is told to refuse, or closed, while it is about to listen does not listen after all', SOON, async (t) => {
  for (const end of ['refuse', 'close'] as const) {
    const { proxy, client } = await stage(t)
    proxy.refuse()
    const accepting = proxy.accept()
    await proxy[end]()
    if (end === 'refuse') await accepting
    const one = client()
    await one.ended()
    assert.deepEqual(one.ends, ['ECONNREFUSED'])
    await accepting
  }
})

test('a port that another has taken meanwhile is told of', SOON, async (t) => {
  const { proxy } = await stage(t)
  proxy.refuse()
  const thief = createServer().listen(proxy.port, '127.0.0.1')
  await once(thief, 'listening')
  await assert.rejects(proxy.accept(), UnavailableError)
  thief.close()
  await once(thief, 'close')
  await proxy.accept()
})

test('a server that is away resets who comes through the proxy', SOON, async (t) => {
  const { proxy: gone } = await stage(t)
  gone.refuse()
  const { proxy, client } = await stage(t, { to: { host: '127.0.0.1', port: gone.port } })
  const one = client()
  await one.ended()
  assert.deepEqual(one.ends, ['ECONNRESET'])
  await until(() => proxy.connections === 0)
})

test('one client can be cut off at a door of its own, and what is done to the proxy is done to all doors', SOON, async (t) => {
  const { proxy, client, echo } = await stage(t)
  const [door, same] = await Promise.all([proxy.door('one'), proxy.door('one')])
  assert.equal(same, door)
  assert.equal(await proxy.door('main'), await proxy.door('main'))
  const [cut, well] = [client(door.port), client((await proxy.door('other')).port)]
  await Promise.all([cut.says('a'), well.says('b')])
  door.set({ blackhole: true })
  cut.send('c')
  await well.says('d')
  await whileNothingComes()
  assert.equal([...echo.heard].sort().join(''), 'abd')
  assert.deepEqual([door.connections, proxy.connections, proxy.accepted], [1, 2, 2])
  await door.heal()
  await until(() => cut.text === 'ac')
  proxy.set({ resetAfterBytes: 1 }, 'down')
  const later = client((await proxy.door('later')).port)
  for (const each of [cut, well, later]) each.send('xyz')
  await Promise.all([cut.ended(), well.ended(), later.ended()])
  assert.deepEqual([cut.text, well.text, later.text], ['acx', 'bdx', 'x'])
})

test('connections have a bound, past which who comes is reset', SOON, async (t) => {
  const { proxy, client } = await stage(t, { maxConnections: 1 })
  const one = client()
  await one.says('a')
  const more = client()
  await more.ended()
  assert.deepEqual([more.ends, proxy.connections], [['ECONNRESET'], 1])
  await one.says('b')
})

test('closing ends every connection and timer, is harmless twice, and is for good', SOON, async (t) => {
  const { proxy, client, clock } = await stage(t)
  proxy.set({ latencyMs: 1_000 })
  const one = client()
  one.send('a')
  await until(() => proxy.held.up === 1)
  await proxy.close()
  await proxy.close()
  await one.ended()
  assert.deepEqual([proxy.connections, proxy.held.up, clock.pendingTimers], [0, 0, 0])
  await assert.rejects(proxy.accept(), ClosedError)
  await assert.rejects(proxy.door('x'), ClosedError)
  const late = client()
  await late.ended()
  assert.deepEqual(late.ends, ['ECONNREFUSED'])
})

test('its URL is that of the server with its own address in it', SOON, async (t) => {
  const { proxy: plain, echo } = await stage(t)
  assert.equal(plain.url(), `redis://127.0.0.1:${plain.port}`)
  assert.equal(plain.url('http'), `http://127.0.0.1:${plain.port}`)
  const { proxy } = await stage(t, { to: `postgres://app:s%40t@127.0.0.1:${echo.port}/shop?sslmode=disable` })
  assert.equal(proxy.url(), `postgres://app:s%40t@127.0.0.1:${proxy.port}/shop?sslmode=disable`)
})

test('what no proxy can be is refused where it is said', SOON, async (t) => {
  const { proxy } = await stage(t)
  for (const to of ['', 'nonsense', 'ftp://host', { host: '', port: 1 }, { host: 'x', port: 0 }])
    await assert.rejects(startToxicProxy({ to }), ConfigurationError)
  await assert.rejects(startToxicProxy({ to: 'ftp://app:secret@host' }), (error: Error) => !error.message.includes('secret'))
  for (const toxics of [{ latencyMs: -1 }, { sliceBytes: 0 }, { bytesPerSecond: 0 }, { blackhole: 1 }, { latency: 5 }])
    assert.throws(() => proxy.set(toxics as object), ConfigurationError)
  assert.throws(() => proxy.set({}, 'sideways' as 'up'), ConfigurationError)
})
