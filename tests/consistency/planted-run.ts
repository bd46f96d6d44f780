/**
 * One stale replica among many keys: everything is written by a tier, one key twice, and one owner of that key is given back what it held
 * before. A sweep of another process has to find that key on that node, and nothing else: not what others read and write meanwhile.
 */
import { type Cache, type ConsistencyReport, memoryStore, type Tier, writeThrough } from '../../src/index.ts'
import { seededRandom } from '../../src/testing/index.ts'
import { Ground, type Violation } from './ground.ts'

export interface PlantedPlan {
  readonly keys: number
  readonly seed: number
}

export interface PlantedReport {
  readonly planted: { readonly key: string; readonly node: string }
  readonly found: readonly Violation[]
  readonly report: ConsistencyReport
  readonly loadSeconds: number
  readonly sweepSeconds: number
  /** Reads and writes of other keys while it swept. */
  readonly operations: number
}

const CACHE = 'stock'
const BATCH = 4_096
/** Batches under way at once. */
const ABREAST = 2
/** Keys that are read and written during the sweep, beside those of the plan. */
export const BUSY_KEYS = 500
/** Between two operations on them, ms: the sweep shares the machine. */
const PAUSE_MS = 2

type Tell = (what: string) => void

export async function runPlanted({ keys, seed }: PlantedPlan, tell: Tell = () => {}): Promise<PlantedReport> {
  const random = seededRandom(seed)
  const ground = await Ground.prepare(3)
  try {
    const store = memoryStore<number>()
    const options = {
      strategy: writeThrough(store),
      ttl: '1h',
      consistency: { writes: 'all' },
      deadlines: { call: '30s', try: '10s', load: '30s' },
    } as const
    const [writing, checking] = await Promise.all([ground.tier(), ground.tier()])
    const cache = writing.cache<number>(CACHE, options)
    checking.cache<number>(CACHE, options)
    const startMs = performance.now()
    await fill(
      keys,
      async (batch) => {
        for (const result of (await cache.setMany(batch, { deadline: '60s' })).values()) if (!result.ok) throw result.error
      },
      tell,
    )
    const loadSeconds = (performance.now() - startMs) / 1_000
    const planted = await plant(ground, keyOf(Math.floor(random() * keys)), random, (key) => cache.set(key, -1))
    await cache.setMany(Array.from({ length: BUSY_KEYS }, (_, nth) => [busyKeyOf(nth), nth]))
    const swept = new AbortController()
    const working = work(cache, random, swept.signal)
    // Rejects where an operation failed.
    const sweep = await Promise.race([sweepOnce(checking, tell), working.then(() => Promise.reject(new Error('the work ended first')))])
    swept.abort()
    return { planted, ...sweep, loadSeconds, operations: await working }
  } finally {
    await ground.stop()
  }
}

async function fill(keys: number, put: (batch: [string, number][]) => Promise<void>, tell: Tell): Promise<void> {
  let next = 0
  const writer = async (): Promise<void> => {
    while (next < keys) {
      const from = next
      next = Math.min(keys, from + BATCH)
      await put(Array.from({ length: next - from }, (_, nth) => [keyOf(from + nth), from + nth]))
      if ((from / BATCH) % 32 === 0) tell(`${from} of ${keys} keys written`)
    }
  }
  await Promise.all(Array.from({ length: ABREAST }, writer))
}

/** One after the other until it is ended. @returns how many */
async function work(cache: Cache<number>, random: () => number, ended: AbortSignal): Promise<number> {
  for (let operations = 0; ; operations++) {
    if (ended.aborted) return operations
    const key = busyKeyOf(Math.floor(random() * BUSY_KEYS))
    if (random() < 0.5) await cache.get(key)
    else if (random() < 0.9) await cache.set(key, operations)
    else await cache.delete(key)
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
}

/** On one owner, drawn, of all three. */
async function plant(
  ground: Ground,
  key: string,
  random: () => number,
  change: (key: string) => Promise<void>,
): Promise<PlantedReport['planted']> {
  const wire = `rt:${CACHE}:${key}`
  const node = ground.ids[Math.floor(random() * ground.ids.length)]!
  const old = await ground.client(node).getBuffer(wire)
  if (old === null) throw new Error(`${node} holds nothing under ${wire}`)
  await change(key)
  await ground.client(node).set(wire, old, 'PX', 3_600_000)
  return { key, node }
}

async function sweepOnce(tier: Tier, tell: Tell): Promise<Pick<PlantedReport, 'found' | 'report' | 'sweepSeconds'>> {
  const found: Violation[] = []
  tier.on('consistency:violated', (violation) => found.push(violation))
  const startMs = performance.now()
  const check = tier.checkConsistency(CACHE, { share: 0, sweepEvery: '1h', keysPerSecond: 1_000_000 })
  const telling = setInterval(() => {
    const { checkedKeys, sweep, inDoubt } = check.report()
    tell(`${checkedKeys} keys looked at, ${sweep.nodesDone} of ${sweep.nodes} nodes walked, ${inDoubt} copies in doubt`)
  }, 2_000)
  try {
    const report = await check.swept()
    return { found, report, sweepSeconds: (performance.now() - startMs) / 1_000 }
  } finally {
    clearInterval(telling)
  }
}

const keyOf = (nth: number): string => `item-${nth}`
const busyKeyOf = (nth: number): string => `busy-${nth}`
