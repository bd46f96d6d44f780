/**
 * One process of a fleet whose cache follows its database: it reads all the time, and captures changes when it is told to.
 */
import pg from 'pg'
import { type Cache, type Capture, createTier, postgresStore, redisNode, type Tier, writeThrough } from '../../src/index.ts'
import { answerOrders } from './forked-worker.ts'

export type CaptureOrder =
  | { readonly do: 'open'; readonly nodes: readonly string[]; readonly database: string }
  /** Reads keys at random from now on. */
  | { readonly do: 'churn'; readonly rows: number }
  | { readonly do: 'capture'; readonly database: string }
  /** Answers once the reported lag says that all up to then is told; `sinceMs` since the epoch. Not while another follows. */
  | { readonly do: 'told since'; readonly sinceMs: number }
  | { readonly do: 'stats' }
  /** How many of these rows, of both tables, are served with another value than `n`. */
  | { readonly do: 'count old'; readonly from: number; readonly to: number; readonly n: number }

export interface CapturedItem {
  readonly n: number
}

/** The first has the trigger that raises versions; the second is changed by SQL that leaves them as they are. */
export const CAPTURED_TABLES = ['captured_items', 'captured_plain'] as const
const READ_AT_A_TIME = 64
const LOOK_EVERY_MS = 10

let tier: Tier | undefined
let pool: pg.Pool | undefined
let caches: readonly Cache<CapturedItem>[] = []
let capture: Capture | undefined
let isClosing = false
let churning = Promise.resolve()

async function open({ nodes, database }: Extract<CaptureOrder, { do: 'open' }>): Promise<void> {
  pool = new pg.Pool({ connectionString: database, max: 4 })
  pool.on('error', () => {})
  tier = await createTier({ nodes: nodes.map((url, at) => redisNode(url, { id: `n${at + 1}` })), replicas: 2 })
  caches = CAPTURED_TABLES.map((table) => {
    const strategy = writeThrough(postgresStore<CapturedItem>({ pool: pool!, table }))
    return tier!.cache<CapturedItem>(table, { strategy, ttl: '1h', near: { maxBytes: 8_000_000, ttl: '1h' }, deadlines: { load: '10s' } })
  })
}

async function churn(rows: number): Promise<void> {
  while (!isClosing) {
    const keys = Array.from({ length: READ_AT_A_TIME }, () => `k${Math.floor(Math.random() * rows)}`)
    for (const cache of caches) await cache.getMany(keys).catch(() => {})
    // Enough to fill the caches again at once, and little enough to leave the follower its share of two cores.
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function countOld({ from, to, n }: Extract<CaptureOrder, { do: 'count old' }>): Promise<number> {
  const keys = Array.from({ length: to - from }, (_, at) => `k${from + at}`)
  let old = 0
  for (const cache of caches) {
    const values = await cache.getMany(keys)
    old += keys.filter((key) => values.get(key)?.n !== n).length
  }
  return old
}

async function toldSince(sinceMs: number): Promise<void> {
  while (!isClosing) {
    // Before the lag is asked for: time that passes in between makes it no better.
    const nowMs = Date.now()
    const { lagMs } = capture!.stats()
    if (lagMs !== undefined && nowMs - lagMs > sinceMs) return
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  }
}

answerOrders<CaptureOrder>(
  async (order) => {
    switch (order.do) {
      case 'open':
        return open(order)
      case 'churn':
        churning = churn(order.rows)
        return undefined
      case 'capture':
        capture = await tier!.captureChanges({
          database: order.database,
          tables: CAPTURED_TABLES.map((table, at) => ({ table, cache: caches[at]! })),
          every: 100,
        })
        return undefined
      case 'told since':
        return toldSince(order.sinceMs)
      case 'stats':
        return capture!.stats()
      case 'count old':
        return countOld(order)
    }
  },
  async () => {
    isClosing = true
    await churning
    await tier?.close()
    await pool?.end()
  },
)
