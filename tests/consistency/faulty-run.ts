/**
 * A check while nodes fail: one stops for a while, one is killed and comes back empty, and one comes back with what it had long before.
 *
 * Only the last is stale. Each finding is held against what was committed when: it is true if the copy was older than a row that had been
 * there for the bound, and anything else is a false alarm. So that the last is seen at all, nothing is written or read after it.
 */
import { type Cache, type MemoryStore, memoryStore, type Save, type Store, type Tier, writeThrough } from '../../src/index.ts'
import { seededRandom } from '../../src/testing/index.ts'
import { Ground, type Violation } from './ground.ts'

export interface FaultyReport {
  /** Before the node came back with old copies. */
  readonly meanwhile: readonly Violation[]
  readonly falseAlarms: readonly Violation[]
  /** Keys that the old copies are of. */
  readonly stale: ReadonlySet<string>
  readonly returned: string
  readonly found: readonly Violation[]
  readonly copies: number
}

const KEYS = 60
const BOUND_MS = 1_000
const CACHE = 'stock'
const COPIES = 600

/** A store that remembers when which version of a row was committed. */
class Commits {
  readonly store: Store<number>
  readonly #rows: MemoryStore<number> = memoryStore<number>()
  readonly #committed = new Map<string, { readonly version: bigint; readonly atMs: number }[]>()

  constructor() {
    const rows = this.#rows
    this.store = {
      name: 'commits',
      versioned: true,
      load: (keys, call) => rows.load(keys, call),
      save: async (saves, call) => {
        const statuses = await rows.save(saves, call)
        for (const [at, status] of statuses.entries()) if (status.state === 'saved') this.#note(saves[at]!, status.version)
        return statuses
      },
      remove: (removals, call) => rows.remove(removals, call),
      stats: () => rows.stats(),
    }
  }

  /** Whether a row newer than the copy had been there for the bound when the copy was last seen. */
  isTrue({ key, version, foundMs }: Violation & { readonly foundMs: number }): boolean {
    return (this.#committed.get(key) ?? []).some((each) => each.version > BigInt(version) && each.atMs <= foundMs - BOUND_MS)
  }

  #note({ key }: Save<number>, version: bigint): void {
    this.#committed.set(key, [...(this.#committed.get(key) ?? []).slice(-1_000), { version, atMs: Date.now() }])
  }
}

export async function runFaulty(seed: number): Promise<FaultyReport> {
  const random = seededRandom(seed)
  const ground = await Ground.prepare(3)
  try {
    const commits = new Commits()
    const [writing, checking] = await Promise.all([ground.tier(), ground.tier()])
    const cache = cacheOf(writing, commits.store)
    cacheOf(checking, commits.store)
    const told: (Violation & { foundMs: number })[] = []
    checking.on('consistency:violated', (violation) => told.push({ ...violation, foundMs: Date.now() }))
    const check = checking.checkConsistency(CACHE, { share: 1, bound: BOUND_MS, sweepEvery: '500ms', keysPerSecond: 2_000 })
    const until = async (copies: number): Promise<void> => {
      const from = check.report().checkedCopies
      while (check.report().checkedCopies < from + copies) await write(cache, random, 5)
    }
    await cache.setMany(Array.from({ length: KEYS }, (_, nth) => [`k${nth}`, nth]))
    await until(COPIES)
    ground.server('a').pause()
    await write(cache, random, 5)
    ground.server('a').resume()
    await until(COPIES)
    await ground.replace('b')
    await until(COPIES)
    const meanwhile = [...told]

    const old = await copiesOn(ground, 'c')
    await ground.replace('c')
    await until(COPIES)
    const stale = await cacheAll(cache, old)
    for (const [wire, bytes] of old) await ground.client('c').set(wire, bytes, 'PX', 3_600_000)
    // The sweep under way may have passed some of the keys already; the one after it meets them all.
    await check.swept()
    await check.swept()
    // Listeners are told a few at a time, after what they are told of.
    while (told.length < check.report().findings) await new Promise((resolve) => setImmediate(resolve))
    const found = told.slice(meanwhile.length)
    const falseAlarms = told.filter((violation) => !commits.isTrue(violation))
    return { meanwhile, falseAlarms, stale, returned: 'c', found, copies: check.report().checkedCopies }
  } finally {
    await ground.stop()
  }
}

function cacheOf(tier: Tier, store: Store<number>): Cache<number> {
  return tier.cache<number>(CACHE, { strategy: writeThrough(store), ttl: '1h', deadlines: { call: '2s', try: '500ms', load: '5s' } })
}

/** What an owner does not take in time is told, and none of this run's business. */
async function write(cache: Cache<number>, random: () => number, times: number): Promise<void> {
  for (let nth = 0; nth < times; nth++) {
    const key = `k${Math.floor(random() * KEYS)}`
    if (random() < 0.5) await cache.get(key).catch(() => {})
    else await cache.set(key, Math.floor(random() * 1_000)).catch(() => {})
  }
}

async function copiesOn(ground: Ground, id: string): Promise<Map<string, Buffer>> {
  const copies = new Map<string, Buffer>()
  const wires = Array.from({ length: KEYS }, (_, nth) => `rt:${CACHE}:k${nth}`)
  for (const [at, bytes] of (await ground.client(id).mgetBuffer(wires)).entries()) if (bytes !== null) copies.set(wires[at]!, bytes)
  return copies
}

/** Overwrites every key that there are old copies of. @returns these keys */
async function cacheAll(cache: Cache<number>, old: ReadonlyMap<string, Buffer>): Promise<Set<string>> {
  const keys = Array.from(old.keys(), (wire) => wire.slice(`rt:${CACHE}:`.length))
  for (const result of (await cache.setMany(keys.map((key) => [key, -1]))).values()) if (!result.ok) throw result.error
  return new Set(keys)
}
