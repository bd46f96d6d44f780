import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redisAddress, systemLookup, urlOf } from './redis-address.ts'
import { redisNode } from './redis-node.ts'

const plain = { port: 6379, database: 0, username: undefined, password: undefined, tls: undefined }

test('a URL gives host, port, database, credentials and TLS', () => {
  assert.deepEqual(redisAddress('redis://10.0.0.1', {}), { ...plain, host: '10.0.0.1' })
  assert.deepEqual(redisAddress('valkey://cache:7000/', {}), { ...plain, host: 'cache', port: 7000 })
  assert.deepEqual(redisAddress('redis://[::1]:7000/2', {}), { ...plain, host: '::1', port: 7000, database: 2 })
  const full = { host: 'cache', port: 6380, database: 0, username: 'ap:p', password: 'p@ss', tls: {} }
  assert.deepEqual(redisAddress('rediss://ap%3Ap:p%40ss@cache:6380', {}), full)
})

test('an object gives the same, and options stand over the URL', () => {
  assert.deepEqual(redisAddress({ host: 'cache', port: 7000, database: 1 }, {}), { ...plain, host: 'cache', port: 7000, database: 1 })
  const options = { username: 'b', password: 'q', tls: { rejectUnauthorized: false } }
  assert.deepEqual(redisAddress('redis://a:p@cache', options), { ...plain, host: 'cache', ...options })
  assert.equal(redisAddress('rediss://cache', { tls: false }).tls, undefined)
})

test('what is no address is refused with what was needed, without showing a password', () => {
  for (const wrong of [
    '',
    'cache:6379',
    'http://cache',
    'redis://',
    'redis://u:hidden@',
    'redis://cache/x',
    'redis://u:hidden@cache/?db=1',
    'redis://u:hidden@cache:99999',
  ]) {
    const check = (error: Error & { code?: string }): boolean => error.code === 'CONFIGURATION' && !error.message.includes('hidden')
    assert.throws(() => redisNode(wrong), check, wrong)
  }
  for (const wrong of [{ host: '' }, { host: 'a', port: 0 }, { host: 'a', prot: 1 }, null])
    assert.throws(() => redisNode(wrong as never), { code: 'CONFIGURATION' })
})

test('a node takes its id from the address as written unless it is given one, and its label from its id', () => {
  assert.equal(redisNode('redis://user:secret@cache').id, 'cache:6379')
  const node = redisNode('redis://cache', { id: 'a', zone: 'z', weight: 2 })
  assert.deepEqual([node.id, node.label, node.zone, node.weight, node.engine], ['a', 'a', 'z', 2, 'redis'])
})

test('wrong options of a Redis node are refused', () => {
  const wrongs = [
    { id: '' },
    { weight: -1 },
    { connections: 0 },
    { timeout: 0 },
    { timeout: '50' },
    { connectTimeout: -1 },
    { batch: { maxKeys: 0 } },
    { batch: { keys: 1 } },
    { timeuot: 5 },
  ]
  for (const wrong of wrongs)
    assert.throws(() => redisNode('redis://cache', wrong as never), { code: 'CONFIGURATION' }, JSON.stringify(wrong))
})

test('before connect every call fails as not connected, and after close as closed', async () => {
  const node = redisNode('redis://cache')
  await assert.rejects(node.getMany(['a']), { code: 'NODE_FAILED' })
  await assert.rejects(node.ping(), { code: 'NODE_FAILED' })
  const [status] = await node.apply([{ op: 'drop', key: 'a' }])
  assert.equal(status?.state, 'failed')
  await node.close()
  await assert.rejects(node.getMany(['a']), { code: 'CLOSED' })
  await assert.rejects(node.connect(), { code: 'CLOSED' })
})

test('an address is its own lookup, without asking anyone', async () => {
  assert.deepEqual(await systemLookup('127.0.0.1'), ['127.0.0.1'])
  assert.deepEqual(await systemLookup('::1'), ['::1'])
})

test('an address is written without credentials, and read as the same', () => {
  for (const text of ['redis://cache-1:6379', 'rediss://10.0.0.1:6380/3', 'redis://[::1]:6379']) {
    const url = urlOf(redisAddress(text.replace('//', '//user:secret@'), {}))
    assert.equal(url, text)
    assert.deepEqual(redisAddress(url, { username: 'user', password: 'secret' }), redisAddress(text.replace('//', '//user:secret@'), {}))
  }
})
