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
  | { readonly do: 'catch up' }
  | { readonly do: 'stats' }
  /** How many of these rows are served with another value than `n`. */
  | { readonly do: 'count old'; readonly from: number; readonly to: number; readonly n: number }

export interface CapturedItem {
  readonly n: number
}

export const CAPTURED_TABLE = 'captured_items'
const READ_AT_A_TIME = 64
const PATIENT = { call: '10s', try: '5s', load: '10s' } as const

let tier: Tier | undefined
let pool: pg.Pool | undefined
let cache: Cache<CapturedItem> | undefined
let capture: Capture | undefined
let isClosing = false
let churning = Promise.resolve()

async function open({ nodes, database }: Extract<CaptureOrder, { do: 'open' }>): Promise<void> {
  pool = new pg.Pool({ connectionString: database, max: 4 })
  pool.on('error', () => {})
  tier = await createTier({ nodes: nodes.map((url, at) => redisNode(url, { id: `n${at + 1}`, timeout: '5s' })), replicas: 2 })
  const strategy = writeThrough(postgresStore<CapturedItem>({ pool, table: CAPTURED_TABLE }))
  cache = tier.cache('items', { strategy, ttl: '1h', near: { maxBytes: 8_000_000, ttl: '1h' }, deadlines: PATIENT })
}

async function churn(rows: number): Promise<void> {
  while (!isClosing) {
    const keys = Array.from({ length: READ_AT_A_TIME }, () => `k${Math.floor(Math.random() * rows)}`)
    await cache!.getMany(keys).catch(() => {})
    // Enough to fill the caches again at once, and little enough to leave the follower its share of two cores.
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function countOld({ from, to, n }: Extract<CaptureOrder, { do: 'count old' }>): Promise<number> {
  const keys = Array.from({ length: to - from }, (_, at) => `k${from + at}`)
  const values = await cache!.getMany(keys)
  return keys.filter((key) => values.get(key)?.n !== n).length
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
        capture = await tier!.captureChanges({ database: order.database, tables: [{ table: CAPTURED_TABLE, cache: cache! }], every: 100 })
        return undefined
      case 'catch up':
        return capture!.caughtUp({ deadline: '30s' })
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
