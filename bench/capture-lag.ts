/**
 * `npm run bench:capture`: how long after its commit a change made in SQL has reached the cache's nodes.
 *
 * A real PostgreSQL and three Redis servers on this machine; a client that updates rows of a table at a steady rate, a few to a
 * transaction; and a capture in this process. What is measured is from each transaction's commit, by the database's clock, to when a
 * quorum of the nodes had acknowledged all of its changes. A cache with hot keys reads beside it, so that there is something to invalidate.
 * A figure is of the rate that was asked for: where the client could not keep to it, the run has failed.
 *
 *     npm run bench:capture -- --rate 2000 --seconds 10
 */
import { parseArgs } from 'node:util'
import { createTier, postgresStore, postgresTable, postgresVersionTrigger, redisNode, setUpCapture, writeThrough } from 'ringtail'
import { type RedisServer, startRedisServer } from 'ringtail/testing'
import { startPostgres } from '../tests/support/postgres.ts'

const BAR_MS = 250
/** Of the rate that was asked for: by how much the client may fall short. */
const SHORT = 0.05
const ROWS = 10_000
const ROWS_A_TRANSACTION = 10
const TABLE = 'captured'

interface Item {
  readonly n: number
}

const { values } = parseArgs({ options: { rate: { type: 'string', default: '2000' }, seconds: { type: 'string', default: '10' } } })
const [rate, seconds] = [values.rate, values.seconds].map(Number) as [number, number]
if (!(rate >= ROWS_A_TRANSACTION && seconds > 0)) {
  console.error(`bench:capture: needs --rate of at least ${ROWS_A_TRANSACTION} changes a second and --seconds above 0`)
  process.exit(2)
}
process.exitCode = await main()

async function main(): Promise<number> {
  const postgres = await startPostgres({ settings: { wal_level: 'logical', synchronous_commit: 'on' } })
  const servers: RedisServer[] = []
  try {
    for (let i = 0; i < 3; i++) servers.push(await startRedisServer())
    const pool = postgres.pool()
    await pool.query(`${postgresTable({ table: TABLE })}; ${postgresVersionTrigger({ table: TABLE })}`)
    await pool.query(`insert into ${TABLE} (key, value) select i::text, '{"n": 0}' from generate_series(0, ${ROWS - 1}) i`)
    await setUpCapture({ database: postgres.url(), tables: [TABLE] })
    const tier = await createTier({ nodes: servers.map(({ url }, at) => redisNode(url, { id: `n${at + 1}` })) })
    const cache = tier.cache<Item>('items', { strategy: writeThrough(postgresStore<Item>({ pool, table: TABLE })), ttl: '1h' })
    const capture = await tier.captureChanges({ database: postgres.url(), tables: [{ table: TABLE, cache }] })
    const tookMs = await change(
      (from) => pool.query(update(from)),
      () => cache.getMany(hot()),
    )
    await capture.caughtUp()
    const { latency, changes } = capture.stats()
    await tier.close()
    const made = (changes * 1_000) / tookMs
    const said = [`p50 ${latency.p50.toFixed(1)}`, `p99 ${latency.p99.toFixed(1)}`, `max ${latency.max.toFixed(1)} ms`]
    console.log(
      `${changes} changes at ${made.toFixed(0)}/s in ${latency.count} transactions, ${(tookMs / 1_000).toFixed(1)} s: from commit to the nodes ${said.join(', ')}`,
    )
    const isSlow = latency.p99 > BAR_MS
    if (isSlow) console.error(`bench:capture: p99 needs to be at most ${BAR_MS} ms, but got: ${latency.p99.toFixed(1)}`)
    const isShort = made < rate * (1 - SHORT)
    if (isShort)
      console.error(`bench:capture: needs ${rate} changes a second, but got: ${made.toFixed(0)}; the machine is too busy for that rate`)
    return isSlow || isShort ? 1 : 0
  } finally {
    await Promise.allSettled(servers.map((server) => server.stop()))
    await postgres.stop()
  }
}

/** @returns how long it took, ms */
async function change(commit: (from: number) => Promise<unknown>, read: () => Promise<unknown>): Promise<number> {
  const everyMs = (1_000 * ROWS_A_TRANSACTION) / rate
  const total = Math.round((rate * seconds) / ROWS_A_TRANSACTION)
  const startMs = performance.now()
  const underWay = new Set<Promise<unknown>>()
  for (let nth = 0; nth < total; nth++) {
    const waitMs = startMs + nth * everyMs - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    // As many at a time as the pool has connections: one that waits would be late by the client, not by the capture.
    if (underWay.size >= 4) await Promise.race(underWay)
    const work = Promise.all([commit((nth * ROWS_A_TRANSACTION) % ROWS), nth % 10 === 0 ? read() : undefined]).finally(() =>
      underWay.delete(work),
    )
    underWay.add(work)
  }
  await Promise.all(underWay)
  return performance.now() - startMs
}

function update(from: number): { text: string; values: unknown[] } {
  const keys = Array.from({ length: ROWS_A_TRANSACTION }, (_, at) => String(from + at))
  return { text: `update ${TABLE} set value = jsonb_build_object('n', (value->>'n')::int + 1) where key = any($1)`, values: [keys] }
}

function hot(): string[] {
  return Array.from({ length: 64 }, () => String(Math.floor(Math.random() * ROWS)))
}
