/**
 * How evenly entries lie on several nodes, each on three of them.
 */
import { Redis } from 'ioredis-6'
import { cacheAside, createTier, redisNode } from 'ringtail'
import { type RedisServer, startRedisServer } from 'ringtail/testing'
import { catalogue } from '../harness/products.ts'
import type { Row } from '../harness/report.ts'
import type { StudyCall } from '../harness/study.ts'

const FLEETS = [3, 5, 8]
const COPIES = 3
const ENTRIES = 30_000
const QUICK_ENTRIES = 3_000
const TTL_MS = 3_600_000
/** How far a node may be from its share, %. */
const BAR = 10

/** On three nodes each has everything: there is nothing to choose, and nothing to be uneven. */
export async function evenness({ quick }: StudyCall): Promise<{ readonly rows: Row[]; readonly text: string }> {
  const rows: Row[] = []
  const lines: string[] = []
  for (const nodes of FLEETS) {
    const held = await entriesOn(nodes, quick ? QUICK_ENTRIES : ENTRIES)
    const share = held.reduce((sum, each) => sum + each, 0) / nodes
    const apart = held.map((each) => (each / share - 1) * 100)
    const worst = Math.max(...apart.map(Math.abs))
    rows.push({
      name: `catalogue-memory/entries on ${nodes} nodes`,
      value: worst,
      bar: BAR,
      most: true,
      gated: true,
      ours: worst,
      peer: null,
      unit: '% from their share',
      spread: [Math.min(...apart), Math.max(...apart)],
    })
    lines.push(`  ${COPIES} copies on ${nodes} nodes: ${held.join(', ')} entries, ${worst.toFixed(1)} % from their share at most`)
  }
  return { rows, text: lines.join('\n') }
}

async function entriesOn(nodes: number, entries: number): Promise<number[]> {
  const servers: RedisServer[] = []
  try {
    for (let i = 0; i < nodes; i++) servers.push(await startRedisServer())
    // The places of a node follow from its name, which is to be the same in every run.
    const tier = await createTier({ nodes: servers.map(({ url }, at) => redisNode(url, { id: `node-${at + 1}` })), replicas: COPIES })
    const products = tier.cache('product', { strategy: cacheAside(), ttl: TTL_MS, consistency: { writes: 'all' } })
    const { keys } = catalogue(entries)
    for (let at = 0; at < keys.length; at += 500) await products.setMany(keys.slice(at, at + 500).map((key) => [key, {}] as const))
    const held = await Promise.all(servers.map(({ url }) => entriesHeld(url)))
    await tier.close()
    return held
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function entriesHeld(url: string): Promise<number> {
  const admin = new Redis(url)
  try {
    let held = 0
    for await (const keys of admin.scanStream({ match: 'rt:product:*', count: 1_000 })) held += new Set(keys as string[]).size
    return held
  } finally {
    admin.disconnect()
  }
}
