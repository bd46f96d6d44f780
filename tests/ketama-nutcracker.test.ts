/**
 * The ketama ring against the real thing: what twemproxy puts on a server, our ring expects there.
 *
 * Needs `redis-server` (or `valkey-server`) and the Debian package `nutcracker`.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { type KetamaOptions, ketamaRing } from '../src/ring/ketama.ts'
import { type RedisServer, startRedisServer } from '../src/testing/redis-server.ts'
import { type ProxiedServer, startNutcracker } from './support/nutcracker.ts'

/** With 25 servers, 1/25 in 32-bit floats is short of a whole: each gets 39 hashes where exact arithmetic says 40. */
const SERVERS = 25
/** The plain, the tagged, the tagged with nothing, and the one that twemproxy does not hash at all. */
const KEYS = Array.from({ length: 10_000 }, (_, i) => {
  if (i === 0) return ''
  if (i % 7 === 0) return `größe:{${i % 500}}:${i}`
  if (i % 11 === 0) return `{}x${i}`
  return i % 13 === 0 ? `x${i}}y` : `product:B${i}`
})

let servers: RedisServer[] = []
const closing: (() => Promise<unknown>)[] = []

before(async () => {
  const starting = Array.from({ length: SERVERS }, () => startRedisServer())
  servers = (await Promise.allSettled(starting)).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  await Promise.all(starting)
})

after(async () => {
  for (const close of closing.reverse()) await close()
  await Promise.all(servers.map((server) => server.stop()))
})

test('10,000 keys lie where twemproxy puts them with equal weights', async () => {
  await sameOwners(servers.slice(0, 5).map(({ port }) => ({ port })))
})

test('10,000 keys lie where twemproxy puts them with unequal weights', async () => {
  // In the second and the third, twemproxy's 32-bit floats come to other numbers of points than doubles or exact fractions would.
  for (const weights of [
    [1, 2, 3, 7, 50, 1],
    [5, 4, 3],
    [29, 30, 1],
  ]) {
    await sameOwners(weights.map((weight, i) => ({ port: servers[i]!.port, weight })))
  }
})

test('10,000 keys lie where twemproxy puts them on named servers', async () => {
  await sameOwners(
    ['alpha', 'beta', 'gamma-with-a-longer-name', 'd'].map((name, i) => ({ port: servers[i]!.port, name, weight: 1 + (i % 2) })),
  )
})

test('10,000 keys lie where twemproxy puts them on as many servers as its 32-bit floats round down', async () => {
  await sameOwners(servers.map(({ port }) => ({ port })))
})

test('10,000 keys lie where twemproxy puts them when two servers share a point', async () => {
  // MD5 puts a point of both at 2969580666, and of both of the others at 960591348. The configuration's order is not what decides.
  for (const names of [
    ['cache430', 'cache086'],
    ['cache408', 'node431'],
  ]) {
    await sameOwners(names.map((name, i) => ({ port: servers[i]!.port, name })))
  }
})

test('10,000 keys lie where twemproxy puts them by hash tag', async () => {
  await sameOwners(
    servers.slice(0, 3).map(({ port }) => ({ port })),
    { hashTag: '{}' },
  )
})

test('10,000 keys lie where twemproxy puts them when a server has the port that labels leave out', async () => {
  const host = await forwardDefaultPort(servers[2]!.port)
  await sameOwners([{ port: servers[0]!.port }, { port: servers[1]!.port }, { host, port: 11_211 }])
})

/** Sets all keys through a nutcracker in front of the servers, then compares what lies on each server with what the ring says. */
async function sameOwners(proxied: readonly ProxiedServer[], options: KetamaOptions = {}): Promise<void> {
  const nodes = proxied.map(({ host, port }) => new Redis({ host: host ?? '127.0.0.1', port }))
  const proxy = await startNutcracker(proxied, options)
  try {
    await Promise.all(nodes.map((node) => node.flushall()))
    const client = proxy.client()
    for (let start = 0; start < KEYS.length; start += 500) {
      await Promise.all(KEYS.slice(start, start + 500).map((key) => client.set(key, '1')))
    }
    const ring = ketamaRing(options).build(
      // Listed in another order than in the proxy's configuration, for that must not matter.
      proxied.map((server, i) => ({ id: `n${i}`, weight: server.weight ?? 1, label: labelOf(server) })).reverse(),
      1,
    )
    const expected = new Map(ring.members.map(({ id }) => [id, new Set<string>()]))
    for (const key of KEYS) expected.get(ring.ownersOf(key)[0]!.id)!.add(key)
    for (const [i, node] of nodes.entries()) assert.deepEqual(new Set(await node.keys('*')), expected.get(`n${i}`), `keys of server ${i}`)
  } finally {
    for (const node of nodes) node.disconnect()
    await proxy.close()
  }
}

function labelOf({ host = '127.0.0.1', port, name }: ProxiedServer): string {
  return name ?? `${host}:${port}`
}

/** Forwards port 11211 of the first loopback address that has it free, for the port itself may be taken. @returns the address */
async function forwardDefaultPort(port: number): Promise<string> {
  for (let last = 1; last < 250; last++) {
    const host = `127.0.0.${last}`
    const forwarder = createServer((socket) => {
      const onward = connect(port, '127.0.0.1')
      socket.on('error', () => onward.destroy()).pipe(onward)
      onward.on('error', () => socket.destroy()).pipe(socket)
    })
    if (!(await listening(forwarder, host))) continue
    closing.push(() => new Promise((resolve) => forwarder.close(resolve)))
    return host
  }
  throw new Error('needs a loopback address with port 11211 free, but found none')
}

async function listening(server: Server, host: string): Promise<boolean> {
  const ready = once(server, 'listening')
  server.listen(11_211, host)
  return ready.then(
    () => true,
    () => false,
  )
}
