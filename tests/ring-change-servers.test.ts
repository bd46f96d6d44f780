import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type CacheNode, createTier, memoryStore, redisNode, systemClock, type Tier, writeThrough } from '../src/index.ts'
import { seededRandom } from '../src/testing/index.ts'
import { type RedisServer, startRedisServer } from '../src/testing/redis-server.ts'

/** The ring of two processes on real servers that want a password: a node is added, one drained, one replaced, while both read and write. */

const IDS = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'] as const
const KEYS = 1_000
/** What a change of who answers may take to become known, ms. */
const BOUND_MS = 2_000
const LIVE = { timeout: 110_000 }

let servers: Record<string, RedisServer> = {}
before(async () => {
  servers = Object.fromEntries(
    await Promise.all(IDS.map(async (id) => [id, await startRedisServer({ args: ['--requirepass', 'secret'] })])),
  )
})
after(async () => {
  await Promise.all(Object.values(servers).map((server) => server.stop()))
})

const nodeOf = (id: string): CacheNode => redisNode(servers[id]!.url, { id, password: 'secret' })

interface Written {
  readonly value: number
  readonly atMs: number
}

class Shoppers {
  readonly #caches
  readonly #written = new Map<string, Written[]>()
  readonly #random = seededRandom(9)
  reads = 0
  misses = 0
  readonly old: string[] = []
  #isOver = false
  #value = 0

  constructor(tiers: readonly Tier[]) {
    const store = memoryStore<number>()
    this.#caches = tiers.map((tier) => tier.cache<number>('item', { strategy: writeThrough(store), ttl: '1h', grace: '1h' }))
  }

  get loads(): number {
    return this.#caches.reduce((sum, cache) => sum + cache.metrics().store!.keysLoaded, 0)
  }

  async fill(): Promise<void> {
    for (let nth = 0; nth < KEYS; nth++) await this.#write(0, `k${nth}`)
  }

  /** Until `end`: as one after the other as the servers answer, eight at a time. */
  async shop(): Promise<void> {
    await Promise.all(
      Array.from({ length: 8 }, async (_, nth) => {
        while (!this.#isOver) {
          const key = `k${Math.floor(this.#random() * KEYS)}`
          if (this.#random() < 0.1) await this.#write(nth % 2, key)
          else await this.#read(nth % 2, key)
          await new Promise<void>((resolve) => void systemClock.after(10, resolve))
        }
      }),
    )
  }

  end(): void {
    this.#isOver = true
  }

  async #write(by: number, key: string): Promise<void> {
    const value = ++this.#value
    await this.#caches[by]!.set(key, value)
    this.#written.set(key, [...(this.#written.get(key) ?? []), { value, atMs: systemClock.monotonic() }])
  }

  async #read(by: number, key: string): Promise<void> {
    const calledMs = systemClock.monotonic()
    const before = this.loads
    const found = await this.#caches[by]!.get(key)
    this.reads++
    if (this.loads !== before) this.misses++
    const written = this.#written.get(key)!
    const settled = written.findLast(({ atMs }) => calledMs - atMs > BOUND_MS)
    const at = written.findIndex(({ value }) => value === found)
    // Of two writes at once either may be the later in the store.
    if (settled !== undefined && at >= 0 && at < written.indexOf(settled) - 1)
      this.old.push(`${key}: ${found}, long after ${settled.value}`)
  }
}

test('a node is added, one drained and one replaced while everybody reads and writes: reads hit, and none is old', LIVE, async (t) => {
  const ids = ['n1', 'n2', 'n3', 'n4']
  const tiers = await Promise.all([0, 1].map(() => createTier({ nodes: ids.map(nodeOf) })))
  const [operator, other] = tiers as [Tier, Tier]
  const shoppers = new Shoppers(tiers)
  await shoppers.fill()
  const shopping = shoppers.shop()
  try {
    const added = await operator.changeRing({ add: [nodeOf('n5')] })
    await operator.changeRing({ remove: ['n1'] })
    // Whoever is told of a node by its record alone gets in with the password of its others.
    await other.changeRing({ add: [nodeOf('n6')], remove: ['n2'] })
    assert.ok(added.copied > KEYS / 3 && added.failed === 0, JSON.stringify(added))
  } finally {
    shoppers.end()
    await shopping
  }
  const report = `${shoppers.reads} reads, ${shoppers.misses} missed, ${shoppers.loads} loads`
  t.diagnostic(report)
  assert.deepEqual(shoppers.old, [])
  assert.ok(shoppers.misses <= shoppers.reads / 100, report)
  for (const tier of tiers) {
    assert.deepEqual(
      tier.topology().members.map(({ id }) => id),
      ['n3', 'n4', 'n5', 'n6'],
    )
    assert.ok((await tier.nodes()).every(({ entries }) => entries! > KEYS / 3))
  }
  await Promise.all(tiers.map((tier) => tier.close()))
})
