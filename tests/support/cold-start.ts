/**
 * An empty cache under full load: every read is a read of the database, and there is less of that than is asked.
 *
 * The database is a real PostgreSQL with the capacity of a small one, whatever the machine: each statement needs one of two locks for as
 * long as it works, so that more of them at once only wait for one another, inside the server, with a connection each. Readers come by the
 * clock, not when the last was answered, as users do; of a pool as large as the server allows, as services that were scaled out have.
 */
import type pg from 'pg'
import { systemClock } from '../../src/clock.ts'
import { createTier, memoryNode, postgresReader, RingtailError, readThrough, type StoreGuardOptions } from '../../src/index.ts'
import { seededRandom } from '../../src/testing/index.ts'
import type { RunningPostgres } from './postgres.ts'

export const POOL = 90
const LOCKS = 2
const STATEMENT_MS = 20
const KEY_MS = 0.1

const SCHEMA = `
create or replace function costly(keys text[]) returns table (key text, value text) language plpgsql as $$
begin
  perform pg_advisory_xact_lock(floor(random() * ${LOCKS})::bigint);
  perform pg_sleep((${STATEMENT_MS} + ${KEY_MS} * cardinality(keys)) / 1000.0);
  return query select k, 'value of ' || k from unnest(keys) k;
end $$`

export interface ColdStartOptions {
  /** `false`: no guard. */
  readonly stores: StoreGuardOptions | false
  readonly rate: number
  readonly seconds: number
  readonly keys: number
}

export interface ColdStartFigures {
  readonly requests: number
  readonly answered: number
  /** Failed by an error's code. */
  readonly failed: Readonly<Record<string, number>>
  /** Statements under way at once at most, those included whose callers have left and those that wait for a connection. */
  readonly mostAtOnce: number
  readonly statements: number
  /** Of the last fifth of the load: the part that was answered, 0 to 1. */
  readonly answeredAtEnd: number
  /** When the cache answered all of a tenth of a second for the first time and from then on, ms from the start; undefined: never. */
  readonly wellAfterMs: number | undefined
  readonly p50Ms: number
  readonly p99Ms: number
  /** Keys that cannot be read once the load is over. */
  readonly missingAfter: number
}

export async function coldStart(postgres: RunningPostgres, options: ColdStartOptions): Promise<ColdStartFigures> {
  const pool = postgres.pool('postgres', { max: POOL, statement_timeout: 1_000, connectionTimeoutMillis: 10_000 })
  await pool.query(SCHEMA)
  // Not what it takes to connect is to be seen here.
  const clients: pg.PoolClient[] = []
  while (clients.length < POOL) clients.push(await pool.connect())
  for (const client of clients) client.release()
  const watched = new WatchedPool(pool)
  const reader = postgresReader<{ key: string; value: string }>({ pool: watched, name: 'costly', query: 'select * from costly($1)' })
  const tier = await createTier({ nodes: ['a', 'b', 'c'].map((id) => memoryNode({ id })), stores: options.stores })
  const cache = tier.cache('products', { strategy: readThrough(reader), ttl: '1h', grace: '1h' })
  try {
    const answers = await readByTheClock((key) => cache.get(key), options)
    await watched.idle()
    const { mostAtOnce, statements } = watched
    const missingAfter = await readAll((keys) => cache.getMany(keys), options.keys)
    return { ...figuresOf(answers, options), mostAtOnce, statements, missingAfter }
  } finally {
    await tier.close()
    await pool.end()
  }
}

/** @returns how many keys cannot be read, though it is tried for ten seconds */
async function readAll(readMany: (keys: readonly string[]) => Promise<ReadonlyMap<string, unknown>>, count: number): Promise<number> {
  const untilMs = systemClock.monotonic() + 10_000
  let missing = Array.from({ length: count }, (_, key) => `k${key}`)
  while (missing.length > 0 && systemClock.monotonic() < untilMs) {
    const part = missing.slice(0, 500)
    const found = await readMany(part).catch(() => undefined)
    if (found === undefined) await new Promise<void>((resolve) => void systemClock.after(100, resolve, { keepAlive: true }))
    else missing = missing.filter((key) => !found.has(key))
  }
  return missing.length
}

interface Answer {
  readonly atMs: number
  readonly tookMs: number
  readonly code: string | undefined
}

/** Each is due at its own time; who comes late counts from when it was due. */
async function readByTheClock(read: (key: string) => Promise<unknown>, options: ColdStartOptions): Promise<Answer[]> {
  const { rate, seconds, keys } = options
  const random = seededRandom(42)
  const total = rate * seconds
  const startMs = systemClock.monotonic()
  const reading: Promise<Answer>[] = []
  while (reading.length < total) {
    const dueMs = systemClock.monotonic() - startMs
    for (; reading.length < Math.min(total, (dueMs / 1_000) * rate); ) {
      const atMs = (reading.length / rate) * 1_000
      const answered = (code: string | undefined): Answer => ({ atMs, tookMs: systemClock.monotonic() - startMs - atMs, code })
      reading.push(
        read(`k${Math.floor(random() * keys)}`).then(
          () => answered(undefined),
          (error: unknown) => answered(error instanceof RingtailError ? error.code : 'UNTYPED'),
        ),
      )
    }
    await new Promise<void>((resolve) => void systemClock.after(1, resolve, { keepAlive: true }))
  }
  return Promise.all(reading)
}

function figuresOf(
  answers: readonly Answer[],
  { seconds }: ColdStartOptions,
): Omit<ColdStartFigures, 'mostAtOnce' | 'statements' | 'missingAfter'> {
  const failed: Record<string, number> = {}
  for (const { code } of answers) if (code !== undefined) failed[code] = (failed[code] ?? 0) + 1
  const tookMs = answers
    .filter(({ code }) => code === undefined)
    .map((answer) => answer.tookMs)
    .sort((a, b) => a - b)
  const lastFailure = answers.findLast(({ code }) => code !== undefined)
  const wellAfterMs = lastFailure === undefined ? 0 : lastFailure.atMs
  const end = answers.filter(({ atMs }) => atMs >= seconds * 800)
  return {
    requests: answers.length,
    answered: tookMs.length,
    failed,
    answeredAtEnd: end.filter(({ code }) => code === undefined).length / end.length,
    wellAfterMs: wellAfterMs >= seconds * 990 ? undefined : wellAfterMs,
    p50Ms: tookMs[Math.floor(tookMs.length * 0.5)] ?? Number.NaN,
    p99Ms: tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.NaN,
  }
}

/** Counts what is under way, given up by its caller or not. */
class WatchedPool {
  mostAtOnce = 0
  statements = 0
  readonly #pool: pg.Pool
  readonly #underWay = new Set<Promise<unknown>>()

  constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  query(query: pg.QueryConfig): Promise<{ rows: unknown[] }> {
    this.statements++
    const answer = this.#pool.query(query)
    this.#underWay.add(answer)
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#underWay.size)
    const over = (): void => void this.#underWay.delete(answer)
    answer.then(over, over)
    return answer
  }

  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }
}
