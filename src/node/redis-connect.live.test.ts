import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import type { TierEvents } from '../events.ts'
import { adminOf, connected, LIVE, server, Told, turn } from '../testing/live-redis.ts'
import { assertApplied, assertBytes, envelope, got, Heard, put } from '../testing/node-subject.ts'
import { type RedisServerOptions, startRedisServer } from '../testing/redis-server.ts'
import { redisNode } from './redis-node.ts'

test('connect rejects while there is no server, and the node goes on trying until there is one', LIVE, async (t) => {
  const first = await startRedisServer()
  await first.stop()
  const told = new Told()
  const node = redisNode(first.url, { connectTimeout: '100ms' })
  t.after(() => node.close())
  await assert.rejects(node.connect({ emit: told.emit }), { code: 'NODE_FAILED', message: /ECONNREFUSED/ })
  assert.deepEqual(told.names, ['node:down'])
  await server(t, { port: first.port })
  await told.until('node:up')
  await node.connect()
  assert.equal(await got(node, 'a'), undefined)
})

test('a server whose policy may evict what must be kept is told as misconfigured, with what to set', LIVE, async (t) => {
  const wrong = await server(t, { maxMemory: 64 * 1024 * 1024, policy: 'allkeys-lru' })
  const { told } = await connected(t, wrong.url, { id: 'wrong', connections: 2 })
  assert.deepEqual(told.names, ['node:misconfigured'])
  assert.match(JSON.stringify(told.events[0]?.payload), /allkeys-lru.*volatile-lfu/)
  const right = await server(t, { maxMemory: 64 * 1024 * 1024 })
  assert.deepEqual((await connected(t, right.url)).told.names, [])
})

test('settings that could be better are advised on, once, with what was found and what is recommended', LIVE, async (t) => {
  const advised = async (options: RedisServerOptions) => {
    const { told } = await connected(t, (await server(t, options)).url, { id: 'n', connections: 2 })
    const events = told.events.map(({ name, payload }) => ({ name, ...(payload as TierEvents['node:advised']) }))
    return events.map(({ name, node, advice }) => [
      name,
      node,
      ...advice.map(({ setting, found, recommended }) => `${setting} ${found}: ${recommended}`),
    ])
  }
  const memory = 'maxmemory 0: about three quarters of the memory of its machine'
  const maxMemory = 64 * 1024 * 1024
  assert.deepEqual(await advised({ policy: 'volatile-lru', maxMemory }), [
    ['node:advised', 'n', 'maxmemory-policy volatile-lru: volatile-lfu'],
  ])
  assert.deepEqual(await advised({ policy: 'noeviction', maxMemory: 0 }), [
    ['node:advised', 'n', memory, 'maxmemory-policy noeviction: volatile-lfu'],
  ])
  assert.deepEqual(await advised({ policy: 'volatile-lfu', maxMemory: 0 }), [['node:advised', 'n', memory]])
  assert.deepEqual(await advised({ policy: 'volatile-lfu', maxMemory }), [])
})

test('settings that are not known are not judged: an account that may not ask for INFO', LIVE, async (t) => {
  const redis = await server(t, { policy: 'noeviction' })
  await adminOf(t, redis).call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info')
  const { node, told } = await connected(t, redis.url, { username: 'app', password: 'secret' })
  assert.deepEqual(told.names, [])
  assertApplied(await node.apply([put('a', envelope(1n))]))
})

test('a name that stands for another address after a loss is followed there, under the same id', LIVE, async (t) => {
  const first = await server(t)
  const second = await server(t, { host: '127.0.0.2', port: first.port })
  let address = '127.0.0.1'
  const asked: string[] = []
  const lookup = async (host: string): Promise<string[]> => {
    asked.push(host)
    return [address]
  }
  const { node, told } = await connected(t, `redis://cache.example:${first.port}`, { lookup })
  assert.equal(node.id, `cache.example:${first.port}`)
  await node.apply([put('a', envelope(1n))])
  address = '127.0.0.2'
  await first.kill()
  await told.until('node:up')
  assert.equal(await got(node, 'a'), undefined, 'another server answers')
  assert.equal((await node.stats()).entries, 0)
  assert.ok(asked.length >= 2 && asked.every((host) => host === 'cache.example'))
  await second.stop()
})

test('all addresses of a name are tried', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, `redis://cache.example:${redis.port}`, { lookup: async () => ['127.0.0.9', '127.0.0.1'] })
  await node.ping()
})

test('credentials come from the URL or the options; wrong ones are refused without being shown', LIVE, async (t) => {
  const redis = await server(t, { args: ['--requirepass', 'p@ss w0rd', '--user', 'app', 'on', '>secret', '~*', '&*', '+@all', '-info'] })
  for (const [url, options] of [
    [`redis://:${encodeURIComponent('p@ss w0rd')}@127.0.0.1:${redis.port}`, {}],
    [`redis://app:secret@127.0.0.1:${redis.port}`, {}],
    [redis.url, { username: 'app', password: 'secret' }],
  ] as const) {
    const { node } = await connected(t, url, options)
    assertApplied(await node.apply([put('a', envelope(1n)), { op: 'drop', key: 'a' }]))
  }
  const wrong = redisNode(`redis://app:not-this-one@127.0.0.1:${redis.port}`, { connectTimeout: '1s' })
  t.after(() => wrong.close())
  await assert.rejects(wrong.connect(), (error: Error) => /WRONGPASS/.test(error.message) && !/not-this-one/.test(error.message))
  await assert.rejects(connected(t, redis.url, { connectTimeout: '1s' }), /NOAUTH/)
})

test('TLS is spoken with the certificate checked against the name', LIVE, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtail-tls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const request = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=cache.example',
  ]
  execFileSync('openssl', [...request, '-addext', 'subjectAltName=DNS:cache.example', '-keyout', key, '-out', cert], { stdio: 'pipe' })
  const tlsPort = await freePort()
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert]
  await server(t, { args: ['--tls-port', String(tlsPort), ...files, '--tls-auth-clients', 'no'] })
  const lookup = async (): Promise<string[]> => ['127.0.0.1']
  const ca = readFileSync(cert)
  const { node } = await connected(t, `rediss://cache.example:${tlsPort}`, { tls: { ca }, lookup })
  assertApplied(await node.apply([put('a', envelope(1n))]))
  assertBytes(await got(node, 'a'), envelope(1n))
  const refused = async (host: string, tls: object | true, why: RegExp): Promise<void> =>
    assert.rejects(connected(t, `rediss://${host}:${tlsPort}`, { tls, lookup, connectTimeout: '1s' }), {
      code: 'NODE_FAILED',
      message: why,
    })
  await refused('cache.example', true, /self.signed/)
  await refused('other.example', { ca }, /does not match/)
})

function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address() as { port: number }
    probe.close(() => resolve(port))
  })
  return promise
}

const child = (script: string, ...options: string[]) =>
  promisify(execFile)(process.execPath, [...options, '--input-type=module', '-e', script], { cwd: import.meta.dirname, timeout: 20_000 })

test('a closed node keeps neither socket nor timer, whatever it was in the midst of', LIVE, async (t) => {
  const redis = await server(t)
  const script = `
    import { redisNode } from './redis-node.ts'
    const up = redisNode('${redis.url}', { connections: 3 })
    await up.connect()
    await up.watch(['a'], { changed() {}, lost() {} })
    up.get('k', { answered() {}, failed() {} })
    const down = redisNode('redis://127.0.0.1:1', { connectTimeout: '50ms' })
    await down.connect().catch(() => {})
    const never = redisNode('redis://127.0.0.1:1')
    const halfway = redisNode('${redis.url}')
    const connecting = halfway.connect().catch((error) => error.code)
    await Promise.all([up, down, never, halfway].map((node) => node.close()))
    const left = process.getActiveResourcesInfo().filter((name) => /TCP|Timeout|Immediate/.test(name))
    console.log(JSON.stringify({ connecting: await connecting, left }))`
  const { stdout } = await child(script)
  assert.deepEqual(JSON.parse(stdout), { connecting: 'CLOSED', left: [] })
})

test('close waits for commands under way, and gives up a watch that is being made', LIVE, async (t) => {
  const redis = await server(t)
  const { node } = await connected(t, redis.url)
  const underWay = [node.stats(), node.ping(), node.run({ name: 'one', lua: 'return 1' }, [], [])]
  await turn()
  await node.close()
  await Promise.all(underWay)
  const { node: other } = await connected(t, redis.url)
  redis.pause()
  const watching = assert.rejects(other.watch(['a'], new Heard()), { code: 'CLOSED' })
  await other.close()
  await watching
})

test('without ioredis connect says what to install', LIVE, async () => {
  const absent = `import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) {
      if (name === 'ioredis') throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
      return next(name, context)
    } })`
  const script = `
    import { redisNode } from './redis-node.ts'
    await redisNode('redis://127.0.0.1:1').connect().catch((error) => console.log(error.code, error.message))`
  const { stdout } = await child(script, '--import', `data:text/javascript,${encodeURIComponent(absent)}`)
  assert.match(stdout, /^CONFIGURATION .*npm install ioredis/)
})
