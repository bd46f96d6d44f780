/**
 * Moving over from twemproxy with a warm cache: what was set through it is a hit through a tier, on the same node, and the other way round.
 *
 * Needs `redis-server` (or `valkey-server`) and the Debian package `nutcracker`.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { cacheAside, createTier, ketamaRing, redisNode, type Serializer } from '../src/index.ts'
import { type RedisServer, startRedisServer } from '../src/testing/redis-server.ts'
import { type ProxiedServer, startNutcracker } from './support/nutcracker.ts'

let servers: RedisServer[] = []
before(async () => {
  servers = await Promise.all(Array.from({ length: 5 }, () => startRedisServer()))
})
after(async () => {
  await Promise.all(servers.map((server) => server.stop()))
})

const KEYS = Array.from({ length: 10_000 }, (_, i) => (i % 3 === 0 ? `größe:${i}` : i % 3 === 1 ? `user:{${i}}:cart` : `p ${i}`))

/** Ten thousand calls in one turn are asked where keys lie, not how quick a busy machine is. */
const PATIENT = { call: '10s', try: '10s' } as const

/** What many old clients write: text as it is. */
const text: Serializer<string> = {
  id: 9,
  name: 'text',
  encode: (value) => Buffer.from(value),
  decode: (bytes, start, end) => Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString(),
}

const setUps: Record<string, Partial<ProxiedServer>[]> = {
  'equal weights': [{}, {}, {}, {}, {}],
  'unequal weights': [{ weight: 1 }, { weight: 3 }, { weight: 2 }, { weight: 7 }, { weight: 50 }],
  'names and weights': [{ name: 'alpha' }, { name: 'beta', weight: 2 }, { name: 'gamma' }],
}

for (const [name, shapes] of Object.entries(setUps)) {
  test(`10,000 values set through twemproxy with ${name} are hits through the tier, on the node that holds them`, async () => {
    const proxied = shapes.map((shape, at) => ({ ...shape, port: servers[at]!.port }))
    const proxy = await startNutcracker(proxied)
    const nodes = proxied.map((server) =>
      redisNode(`redis://127.0.0.1:${server.port}`, {
        label: server.name ?? `127.0.0.1:${server.port}`,
        weight: server.weight ?? 1,
        timeout: '10s',
      }),
    )
    const tier = await createTier({ nodes, replicas: 1, ring: ketamaRing() })
    try {
      const client = proxy.client()
      await Promise.all(KEYS.map((key) => client.set(key, `${name}: ${key}`)))
      const cache = tier.cache<string>('legacy', {
        strategy: cacheAside(),
        ttl: '1m',
        keys: 'plain',
        codec: { serializer: text },
        deadlines: PATIENT,
      })
      const outcomes = await Promise.all(KEYS.map((key) => cache.getWithOutcome(key)))
      for (const [at, { value, outcome }] of outcomes.entries()) {
        assert.equal(value, `${name}: ${KEYS[at]}`)
        assert.equal(outcome, 'hit')
      }
      const { hits, byNode } = cache.metrics()
      assert.equal(hits, KEYS.length)
      assert.equal(Object.keys(byNode).length, shapes.length)
      const written = new Map(KEYS.slice(0, 1_000).map((key) => [key, `by the tier: ${key}`]))
      await cache.setMany(written)
      for (const [key, value] of written) assert.equal(await client.get(key), value)
    } finally {
      await Promise.all([tier.close(), proxy.close()])
    }
  })
}
