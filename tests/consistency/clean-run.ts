/**
 * A tier that keeps its promises, under load from three processes' worth of tiers, and a check beside it that must accuse nobody.
 *
 * Seven caches, one a strategy and kind of store (rows in PostgreSQL among them, and writes that reach it later from a journal), over few and
 * hot keys with short lives: reads, writes, updates, deletes, deletes by tag and of everything, values that run out and rows that are not
 * there. The check takes every change and sweeps all the time.
 */
import type pg from 'pg'
import {
  type Cache,
  type ConsistencyReport,
  cacheAside,
  type Journal,
  type MemoryStore,
  memoryStore,
  postgresStore,
  postgresTable,
  readThrough,
  type StrategyChoice,
  type Tier,
  writeAround,
  writeBehind,
  writeThrough,
} from '../../src/index.ts'
import { seededRandom } from '../../src/testing/index.ts'
import { startPostgres } from '../support/postgres.ts'
import { Ground, type Violation } from './ground.ts'

export interface CleanPlan {
  readonly seed: number
  /** Ends when it has lasted so long and so many copies were judged. */
  readonly forMs: number
  readonly copies: number
}

export interface CleanReport {
  readonly found: readonly Violation[]
  readonly reports: readonly ConsistencyReport[]
  readonly operations: number
  /** Writes that an owner did not take in time: what they leave is stale in earnest. */
  readonly missed: number
  readonly errors: Readonly<Record<string, number>>
  readonly seconds: number
}

const TIERS = 3
const CALLERS = 4
const KEYS = 400
const TAGS = 8
/** Between two operations of a caller, ms: the servers and the check share the machine. */
const PAUSE_MS = 2
const LOOK_EVERY_MS = 200
/** Those that are changed by compare-and-set as well. */
const UPDATED: ReadonlySet<string> = new Set(['through', 'around', 'postgres', 'behind'])

type Tell = (what: string) => void

interface Truths {
  readonly rows: MemoryStore<number>
  readonly unversioned: MemoryStore<number>
  readonly around: MemoryStore<number>
  readonly read: MemoryStore<number>
  /** With the tables of `TABLES`. */
  readonly pool: pg.Pool
}

/** Caches of the same names are over them. */
const TABLES = ['postgres', 'behind'] as const

export async function runClean(plan: CleanPlan, tell: Tell = () => {}): Promise<CleanReport> {
  const ground = await Ground.prepare(4)
  const postgres = await startPostgres()
  try {
    const pool = postgres.pool(undefined, { max: 2 * (TIERS + 1) })
    for (const table of TABLES) await pool.query(postgresTable({ table, removals: `${table}_removals` }))
    const truths: Truths = {
      rows: memoryStore(),
      unversioned: memoryStore({ versioned: false }),
      around: memoryStore(),
      read: memoryStore(),
      pool,
    }
    const tiers = await Promise.all(Array.from({ length: TIERS + 1 }, () => ground.tier()))
    const journals = await Promise.all(tiers.map(() => ground.journal()))
    const counts = { operations: 0, missed: 0, errors: {} as Record<string, number> }
    for (const tier of tiers) tier.on('write:missed', ({ changes }) => (counts.missed += changes))
    const callers = tiers.slice(1).flatMap((tier, at) => {
      const caches = cachesOf(tier, truths, journals[at + 1]!)
      return Array.from(
        { length: CALLERS },
        (_, nth) => new Caller(caches, truths.read, seededRandom(plan.seed + at * CALLERS + nth), counts),
      )
    })
    return await observed(tiers[0]!, cachesOf(tiers[0]!, truths, journals[0]!), callers, plan, counts, tell)
  } finally {
    await ground.stop()
    await postgres.stop()
  }
}

type Counts = Pick<CleanReport, 'errors'> & { operations: number; missed: number }

async function observed(
  tier: Tier,
  caches: readonly Cache<number>[],
  callers: readonly Caller[],
  { forMs, copies }: CleanPlan,
  counts: Counts,
  tell: Tell,
): Promise<CleanReport> {
  const found: Violation[] = []
  tier.on('consistency:violated', (violation) => found.push(violation))
  const checks = caches.map((cache) => tier.checkConsistency(cache, { share: 1, sweepEvery: '1s', keysPerSecond: 1_000 }))
  const judged = (): number => checks.reduce((sum, check) => sum + check.report().checkedCopies, 0)
  const startMs = performance.now()
  const lasted = (): number => performance.now() - startMs
  const working = callers.map((caller) => caller.work())
  while (lasted() < forMs || judged() < copies) {
    await pause(LOOK_EVERY_MS)
    tell(`${Math.round(lasted() / 1_000)} s, ${counts.operations} operations, ${judged()} copies judged, ${found.length} found stale`)
  }
  for (const caller of callers) caller.stop()
  await Promise.all(working)
  // What is in doubt now is settled without changes that may excuse it.
  await Promise.all(checks.map((check) => check.swept()))
  const reports = checks.map((check) => check.report())
  return { found, reports, ...counts, seconds: lasted() / 1_000 }
}

function cachesOf(tier: Tier, { rows, unversioned, around, read, pool }: Truths, journal: Journal): Cache<number>[] {
  const choices: Record<string, StrategyChoice<number>> = {
    through: writeThrough(rows),
    unversioned: writeThrough(unversioned),
    around: writeAround(around),
    read: readThrough(read),
    aside: cacheAside(),
    postgres: writeThrough(postgresStore<number>({ pool, table: 'postgres', removals: 'postgres_removals' })),
    behind: writeBehind(postgresStore<number>({ pool, table: 'behind', removals: 'behind_removals' }), { journal }),
  }
  return Object.entries(choices).map(([name, strategy], at) =>
    tier.cache<number>(name, {
      strategy,
      ttl: '3s',
      grace: '3s',
      ...(name !== 'aside' && { negativeTtl: '1s' }),
      tags: (value) => [`t${value % TAGS}`],
      deadlines: { call: '10s', try: '5s', load: '5s' },
      consistency: { writes: at % 2 === 0 ? 'quorum' : 'all' },
      ...(name === 'through' && { near: { maxBytes: 100_000 } }),
    }),
  )
}

class Caller {
  readonly #caches: readonly Cache<number>[]
  readonly #read: MemoryStore<number>
  readonly #random: () => number
  readonly #counts: Counts
  #working = true

  constructor(caches: readonly Cache<number>[], read: MemoryStore<number>, random: () => number, counts: Counts) {
    this.#caches = caches
    this.#read = read
    this.#random = random
    this.#counts = counts
  }

  async work(): Promise<void> {
    while (this.#working) {
      const cache = this.#caches[this.#below(this.#caches.length)]!
      try {
        await this.#once(cache, `k${this.#below(KEYS)}`)
        this.#counts.operations++
      } catch (thrown) {
        const code = (thrown as { code?: string }).code ?? String(thrown)
        const errors = this.#counts.errors as Record<string, number>
        errors[code] = (errors[code] ?? 0) + 1
      }
      await pause(PAUSE_MS)
    }
  }

  stop(): void {
    this.#working = false
  }

  async #once(cache: Cache<number>, key: string): Promise<void> {
    const drawn = this.#random()
    const value = this.#below(1_000_000)
    if (drawn < 0.6) await cache.getMany([key, `k${this.#below(KEYS)}`])
    else if (drawn < 0.8) await this.#write(cache, key, value)
    else if (drawn < 0.9) await this.#remove(cache, key)
    else if (drawn < 0.95 && cache.name === 'aside') await cache.getOrSet(key, () => value)
    else if (drawn < 0.95 && UPDATED.has(cache.name)) await cache.update(key, (current = 0) => current + 1)
    else if (drawn < 0.994) await cache.get(key)
    else if (drawn < 0.999) await cache.deleteByTag(`t${this.#below(TAGS)}`)
    else await cache.clear()
  }

  /** What is only read here is changed elsewhere, and then forgotten. */
  async #write(cache: Cache<number>, key: string, value: number): Promise<void> {
    if (cache.name !== 'read') return cache.set(key, value)
    await this.#read.save([{ key, value, floor: 0n }])
    await cache.delete(key)
  }

  async #remove(cache: Cache<number>, key: string): Promise<void> {
    if (cache.name === 'read') await this.#read.remove([{ key, floor: 0n }])
    await cache.delete(key)
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
