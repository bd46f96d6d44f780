import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type CacheNode, createTier, memoryStore, readThrough, redisNode, systemClock, type Tier } from '../src/index.ts'
import { seededRandom } from '../src/testing/index.ts'
import { type RedisServer, startRedisServer } from '../src/testing/redis-server.ts'

/** What an operator that serves nothing learns of a fleet's traffic from real servers, which count their processes' own looks as well. */

const IDS = ['n1', 'n2', 'n3', 'n4'] as const
const KEYS = 20_000
const LIVE = { timeout: 60_000 }

let servers: Record<string, RedisServer> = {}
before(async () => {
  servers = Object.fromEntries(await Promise.all(IDS.map(async (id) => [id, await startRedisServer()])))
})
after(async () => {
  await Promise.all(Object.values(servers).map((server) => server.stop()))
})

const nodeOf = (id: string): CacheNode => redisNode(servers[id]!.url, { id })
const tierOf = (): Promise<Tier> => createTier({ nodes: ['n1', 'n2', 'n3'].map(nodeOf), replicas: 2 })

test('loads of others are had from what servers count, and looks at records are not taken for them', LIVE, async () => {
  const [serving, operator] = await Promise.all([tierOf(), tierOf()])
  const store = memoryStore<number>({ rows: Array.from({ length: KEYS }, (_, nth) => [`k${nth}`, nth]) })
  const cache = serving.cache<number>('item', { strategy: readThrough(store), ttl: '1h' })
  const random = seededRandom(5)
  let isOver = false
  const reading = (async () => {
    while (!isOver) {
      // Half of the reads are of few keys, which are soon there.
      await Promise.all(Array.from({ length: 8 }, (_, nth) => cache.get(`k${Math.floor(random() * (nth % 2 === 0 ? 50 : KEYS))}`)))
      await new Promise<void>((resolve) => void systemClock.after(10, resolve))
    }
  })()
  const loads = (): number => cache.metrics().store!.keysLoaded
  const earlier = loads()
  const { database } = await operator.planRingChange({ remove: ['n3'] }, { measureFor: '3s' })
  const loaded = loads() - earlier
  isOver = true
  await reading
  assert.equal(database.ofThisProcess, undefined)
  const { loadsSeen, hitsSeen } = database.ofAllProcesses!
  assert.ok(loaded > 200 && Math.abs(loadsSeen - loaded) <= loaded * 0.2, `${loadsSeen} by the servers, of ${loaded}`)
  assert.ok(hitsSeen > loaded * 0.7 && hitsSeen < loaded * 2, `${hitsSeen} hits, ${loaded} loads`)

  // Fills go on behind their callers; then nobody asks for more than the record of the ring, which is not there, and then is.
  const quiet = async (change: { readonly remove?: readonly string[]; readonly add?: readonly CacheNode[] }): Promise<void> => {
    const plan = await operator.planRingChange(change, { measureFor: '1s' })
    assert.ok((plan.database.ofAllProcesses?.loadsSeen ?? 0) <= 1, JSON.stringify(plan.database.ofAllProcesses))
    assert.ok((plan.database.ofAllProcesses?.hitsSeen ?? 0) <= 2, JSON.stringify(plan.database.ofAllProcesses))
  }
  await quiet({ remove: ['n3'] })
  await operator.changeRing({ add: [nodeOf('n4')] })
  await quiet({ remove: ['n3'] })
  await Promise.all([serving.close(), operator.close()])
})
