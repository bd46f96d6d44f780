/**
 * What the batcher's policy is worth: how many connections a node has, how many batches are under way on each, and how many keys one holds.
 *
 * One setting at a time is changed, at few calls under way and at many; the tiers share this process and a server, and take turns. No bar hangs on
 * it: it shows what the defaults of `src/node/batch-limits.ts` and `redisNode` are worth on this machine.
 */
import { type Cache, cacheAside, createTier, type RedisNodeOptions, redisNode, type Tier } from 'ringtail'
import { startRedisServer } from 'ringtail/testing'
import { closedLoop, type Measure } from '../harness/closed-loop.ts'
import { catalogue, type Product } from '../harness/products.ts'
import { aligned, whole } from '../harness/report.ts'
import { interleavedRounds, type RoundsPlan, type Run } from '../harness/rounds.ts'
import { summaryOf } from '../harness/statistics.ts'
import type { Findings, Study, StudyCall } from '../harness/study.ts'
import { hitting } from '../workloads/hits.ts'

const SETTINGS: ReadonlyMap<string, RedisNodeOptions> = new Map([
  ['as it comes', {}],
  ['1 connection', { connections: 1 }],
  ['3 connections', { connections: 3 }],
  ['1 batch under way', { batch: { maxFlights: 1 } }],
  ['8 batches under way', { batch: { maxFlights: 8 } }],
  ['32 keys a batch', { batch: { maxKeys: 32 } }],
  ['512 keys a batch', { batch: { maxKeys: 512 } }],
])
const LOADS = [1, 16, 64, 256, 1_024] as const
const PLAN: RoundsPlan = { rounds: 7, warmUpMs: 600, runMs: 200 }
const QUICK_PLAN: RoundsPlan = { rounds: 1, warmUpMs: 0, runMs: 10 }
const QUICK_PRODUCTS = 200
/** The first setting's, before anything is measured: what is compiled is everybody's. */
const FIRST_MS = 2_000

export const batching: Study = { name: 'batching', title: 'hits a second by how calls are put together', measure }

/** By how many are in flight, by setting. */
type Measured = ReadonlyMap<number, ReadonlyMap<string, readonly Measure[]>>

async function measure({ quick }: StudyCall): Promise<Findings> {
  const server = await startRedisServer()
  const tiers: Tier[] = []
  try {
    const objects = catalogue(quick ? QUICK_PRODUCTS : undefined)
    const caches = new Map<string, Cache<Product>>()
    for (const [name, options] of SETTINGS) {
      const tier = await createTier({ nodes: [redisNode(server.url, options)], replicas: 1 })
      tiers.push(tier)
      caches.set(name, tier.cache<Product>('product', { strategy: cacheAside(), ttl: '1h' }))
    }
    const [[, first]] = [...caches] as [[string, Cache<Product>]]
    await first.setMany(objects.keys.map((key, id) => [key, objects.products[id]!] as const))
    if (!quick) await closedLoop(hitting(first, objects), LOADS.at(-1)!, FIRST_MS)
    const measured = new Map<number, ReadonlyMap<string, readonly Measure[]>>()
    for (const load of LOADS) {
      const runs = Array.from(caches, ([name, cache]): [string, Run<Measure>] => [
        name,
        (ms) => closedLoop(hitting(cache, objects), load, ms),
      ])
      measured.set(load, await interleavedRounds(new Map(runs), quick ? QUICK_PLAN : PLAN))
    }
    return { rows: [], text: textOf(measured), doubts: [] }
  } finally {
    for (const tier of tiers) await tier.close()
    await server.stop()
  }
}

function textOf(measured: Measured): string {
  const lines = Array.from(SETTINGS.keys(), (name) => [
    `  ${name}`,
    ...Array.from(measured.values(), (of) => whole(summaryOf(of.get(name)!.map(({ rate }) => rate)).median)),
  ])
  return aligned([['  in flight', ...LOADS.map((load) => load.toLocaleString('en-US'))], ...lines]).join('\n')
}
