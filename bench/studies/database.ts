/**
 * What the tier spares a shop: product page, user profile and cart update, straight on PostgreSQL and through the tier.
 *
 * Straight, a page and a profile are one prepared statement each, a cart update is a transaction that locks the cart, reads it, puts a line and counts the
 * version up, with every commit on the disk. Through the tier, the first two are one get of what the statement gave before (a hit), and the
 * update is a read-modify-write of a write-behind cache, acknowledged once the node and the journal's disk have it; the rows follow, in the same
 * database, while it is measured. Latencies are of one caller at a time, and of an open loop at 70 % of the most that the database could do
 * in a closed one, which the tier is given too. All are on one machine, by turns.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { type Cache, cacheAside, createTier, openJournal, postgresStore, postgresTable, redisNode, writeBehind } from 'ringtail'
import { startRedisServer } from 'ringtail/testing'
import { startPostgres } from '../../tests/support/postgres.ts'
import { closedLoop } from '../harness/closed-loop.ts'
import { type OneByOne, oneByOne } from '../harness/one-by-one.ts'
import { type Arrivals, openLoop } from '../harness/open-loop.ts'
import type { Row } from '../harness/report.ts'
import { ratioOf, summaryOf } from '../harness/statistics.ts'
import type { Findings, Study, StudyCall } from '../harness/study.ts'
import { CART, makeShop, PRODUCT_PAGE, plansOf, type ShopSizes, USER_PROFILE } from './shop-database.ts'

const SETTINGS = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', shared_buffers: '512MB', max_wal_size: '4GB' }
const CONNECTIONS = 10
const LOAD = 0.7
/** Times faster through the tier, by operation. */
const EXPECTED = { 'product-page': 56, 'user-profile': 76, 'cart-update': 43 } as const
const STRIDE = 7_919

const WHY = `  why not more, or less: database, Redis, journal and callers share the cores of one machine, over loopback; the database has every row in its
  memory, and an index for each large table, with statements prepared; a hit costs one round trip and the parse of its JSON, an update one to read, one for the journal's
  disk and one to write. A database further away, larger than its memory or with queries that no index serves is slower.`

interface Plan extends ShopSizes {
  readonly rounds: number
  readonly maximumMs: number
  readonly idleMs: number
  readonly loadedMs: number
}

const PLAN: Plan = { products: 10_000, users: 5_000, rounds: 3, maximumMs: 2_000, idleMs: 700, loadedMs: 2_000 }
const QUICK_PLAN: Plan = { products: 100, users: 100, rounds: 1, maximumMs: 60, idleMs: 20, loadedMs: 40 }

interface Operation {
  readonly name: keyof typeof EXPECTED
  readonly straight: () => Promise<unknown>
  readonly tiered: () => Promise<unknown>
  /** Of closed loops. */
  readonly inFlight: number
}

interface Side {
  readonly idle: OneByOne[]
  readonly loaded: Arrivals[]
  /** Calls a second. */
  readonly most: number[]
}

export const database: Study = { name: 'database', title: 'a shop on its database, and through the tier', measure }

async function measure({ quick, say }: StudyCall): Promise<Findings> {
  const plan = quick ? QUICK_PLAN : PLAN
  const stops: (() => Promise<unknown>)[] = []
  try {
    const postgres = await startPostgres({ settings: SETTINGS })
    stops.unshift(() => postgres.stop())
    const redis = await startRedisServer({ maxMemory: 512 * 2 ** 20 })
    stops.unshift(() => redis.stop())
    const pool = postgres.pool('postgres', { max: CONNECTIONS })
    await makeShop(pool, plan)
    const operations = await operationsOf(pool, redis.url, plan, stops)
    const rows: Row[] = []
    const text: string[] = [
      `  ${plan.products} products, ${plan.users} users; ${CONNECTIONS} connections, each commit on the disk, all data in its memory`,
    ]
    for (const operation of operations) {
      if (!quick) say(`  … ${operation.name}`)
      const { straight, tiered, rate } = await measured(operation, plan)
      rows.push(...rowsOf(operation.name, straight, tiered))
      text.push(textOf(operation.name, straight, tiered, rate))
    }
    const plans = await plansOf(pool)
    // Tables of a smoke run are so small that the database reads them from end to end.
    return { rows, text: [...text, WHY].join('\n'), details: quick ? '  (of a smoke run: left out)' : plans, doubts: [] }
  } finally {
    for (const stop of stops) await stop()
  }
}

async function measured({ straight, tiered, inFlight }: Operation, plan: Plan) {
  const sides: Record<'straight' | 'tiered', Side> = {
    straight: { idle: [], loaded: [], most: [] },
    tiered: { idle: [], loaded: [], most: [] },
  }
  const calls = { straight, tiered }
  const most = async (call: () => Promise<unknown>): Promise<number> => {
    const { rate } = await closedLoop(
      async (turns) => {
        while (!turns.over) {
          turns.taken++
          await call()
        }
      },
      inFlight,
      plan.maximumMs,
    )
    return rate
  }
  // Of both, that what is measured afterwards is warm.
  for (let round = 0; round < plan.rounds; round++)
    for (const side of ['straight', 'tiered'] as const) sides[side].most.push(await most(calls[side]))
  const rate = summaryOf(sides.straight.most).median * LOAD
  for (let round = 0; round < plan.rounds; round++) {
    for (const side of ['straight', 'tiered'] as const) sides[side].idle.push(await oneByOne(calls[side], plan.idleMs))
    for (const side of ['straight', 'tiered'] as const) sides[side].loaded.push(await loaded(calls[side], rate, plan.loadedMs))
  }
  return { ...sides, rate }
}

/** It rests between its turns, for the database needs the core. */
async function loaded(call: () => Promise<unknown>, rate: number, ms: number): Promise<Arrivals> {
  const arrivals = await openLoop({ call }, { rate, warmUpMs: 0, ms, restMs: 1, mostWaiting: Number.POSITIVE_INFINITY })
  if (arrivals.failed > 0)
    throw new Error(`needed an answer to every call, but got: ${arrivals.failure ?? `${arrivals.failed} without one`}`)
  return arrivals
}

async function operationsOf(pool: pg.Pool, url: string, plan: Plan, stops: (() => Promise<unknown>)[]): Promise<Operation[]> {
  const directory = mkdtempSync(join(tmpdir(), 'ringtail-bench-database-'))
  stops.unshift(async () => rmSync(directory, { recursive: true, force: true }))
  const journal = await openJournal({ directory })
  stops.unshift(() => journal.close())
  const tier = await createTier({ nodes: [redisNode(url)], replicas: 1 })
  stops.unshift(() => tier.close())
  const pages = tier.cache<object>('page', { strategy: cacheAside(), ttl: '1h' })
  const profiles = tier.cache<object>('profile', { strategy: cacheAside(), ttl: '1h' })
  await pool.query(postgresTable({ table: 'cart_documents', removals: 'cart_documents_removals' }))
  const store = postgresStore<Cart>({ pool, table: 'cart_documents', removals: 'cart_documents_removals' })
  const carts = tier.cache<Cart>('cart', { strategy: writeBehind(store, { journal }), ttl: '1h' })

  const page = one(pool, 'product page', PRODUCT_PAGE)
  const profile = one(pool, 'user profile', USER_PROFILE)
  await fill(pages, plan.products, page)
  await fill(profiles, plan.users, profile)
  await fillCarts(carts, pool, plan.users)
  const turn = { page: 0, profile: 0, cart: 0 }
  const next = (of: keyof typeof turn, count: number): number => (++turn[of] * STRIDE) % count
  return [
    {
      name: 'product-page',
      straight: () => page(next('page', plan.products)),
      tiered: () => hit(pages, next('page', plan.products)),
      inFlight: 64,
    },
    {
      name: 'user-profile',
      straight: () => profile(next('profile', plan.users)),
      tiered: () => hit(profiles, next('profile', plan.users)),
      inFlight: 64,
    },
    {
      name: 'cart-update',
      straight: () => updateStraight(pool, next('cart', plan.users), turn.cart % plan.products),
      tiered: () => updateTiered(carts, next('cart', plan.users), turn.cart % plan.products),
      inFlight: 64,
    },
  ]
}

interface Cart {
  readonly items: readonly { readonly product: number; readonly quantity: number }[]
}

function one(pool: pg.Pool, name: string, text: string): (id: number) => Promise<object> {
  return async (id) => {
    const { rows } = await pool.query<object>({ name, text, values: [id] })
    if (rows.length !== 1) throw new Error(`needed ${name} ${id}, but got: ${rows.length} rows`)
    return rows[0]!
  }
}

async function hit(cache: Cache<object>, id: number): Promise<object> {
  const found = await cache.get(String(id))
  if ((found as { id?: number } | undefined)?.id !== id) throw new Error(`needed ${id} in the cache, but got: ${JSON.stringify(found)}`)
  return found!
}

/** Each as the database tells it. */
async function fill(cache: Cache<object>, count: number, read: (id: number) => Promise<object>): Promise<void> {
  let next = 0
  const filler = async (): Promise<void> => {
    while (next < count) {
      const id = next++
      await cache.set(String(id), await read(id))
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, filler))
}

async function fillCarts(carts: Cache<Cart>, pool: pg.Pool, users: number): Promise<void> {
  const { rows } = await pool.query<{ cart: number; items: Cart['items'] }>(
    `select cart_id as cart, json_agg(json_build_object('product', product_id, 'quantity', quantity)) as items from cart_items group by 1`,
  )
  if (rows.length !== users) throw new Error(`needed ${users} carts, but got: ${rows.length}`)
  for (let from = 0; from < rows.length; from += 500)
    await carts.setMany(rows.slice(from, from + 500).map(({ cart, items }) => [String(cart), { items }] as const))
}

/** As a service does it that needs to see the cart, to answer with it: its rows are read and changed under a lock. */
async function updateStraight(pool: pg.Pool, cart: number, product: number): Promise<Cart> {
  const client = await pool.connect()
  const query = (name: keyof typeof CART, values: unknown[]) => client.query({ name, text: CART[name], values })
  try {
    await client.query('begin')
    await query('lock', [cart])
    const { rows } = await query('read', [cart])
    const changed = withLine({ items: rows }, product)
    await query('put', [cart, product, changed.items.find((item) => item.product === product)!.quantity])
    await query('touch', [cart])
    await client.query('commit')
    return changed
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

async function updateTiered(carts: Cache<Cart>, cart: number, product: number): Promise<void> {
  await carts.update(String(cart), (current) => withLine(current!, product))
}

/** One more of a product; of 20 lines, the last gives way, so that carts do not grow for as long as it is measured. */
function withLine({ items }: Cart, product: number): Cart {
  const quantity = (items.find((item) => item.product === product)?.quantity ?? 0) + 1
  return { items: [{ product, quantity }, ...items.filter((item) => item.product !== product)].slice(0, 20) }
}

function rowsOf(operation: keyof typeof EXPECTED, straight: Side, tiered: Side): Row[] {
  const faster = (name: string, bar: number | null, of: (side: Side) => number[]): Row => {
    // As rates, so that more is better: what one caller gets a millisecond.
    const [ours, theirs] = [of(tiered), of(straight)].map((figures) => figures.map((figure) => 1 / figure)) as [number[], number[]]
    const { median, min, max } = ratioOf(ours, theirs)
    const own = { ours: summaryOf(ours).median, peer: summaryOf(theirs).median }
    return { name: `database/${operation} ${name}`, value: median, bar, gated: false, ...own, unit: 'answers/ms', spread: [min, max] }
  }
  const expected = EXPECTED[operation]
  const most = ratioOf(tiered.most, straight.most)
  return [
    faster('idle', expected, ({ idle }) => idle.map(({ p50Ms }) => p50Ms)),
    faster('idle p99', null, ({ idle }) => idle.map(({ p99Ms }) => p99Ms)),
    faster('loaded', expected, ({ loaded }) => loaded.map(({ p50Ms }) => p50Ms)),
    faster('loaded p99', null, ({ loaded }) => loaded.map(({ p99Ms }) => p99Ms)),
    {
      name: `database/${operation} most`,
      value: most.median,
      bar: null,
      gated: false,
      ours: summaryOf(tiered.most).median,
      peer: summaryOf(straight.most).median,
      unit: 'answers/s',
      spread: [most.min, most.max],
    },
  ]
}

function textOf(operation: string, straight: Side, tiered: Side, rate: number): string {
  const line = (name: string, of: (side: Side) => readonly OneByOne[]): string => {
    const [p50, p99, ownP50, ownP99] = [straight, tiered].flatMap((side) =>
      (['p50Ms', 'p99Ms'] as const).map((part) => summaryOf(of(side).map((latencies) => latencies[part])).median),
    ) as [number, number, number, number]
    const times = `${(p50 / ownP50).toFixed(1)} × and ${(p99 / ownP99).toFixed(1)} ×`
    return `    ${name}: p50 ${ms(p50)}, p99 ${ms(p99)}; through the tier ${ms(ownP50)}, ${ms(ownP99)}: ${times}`
  }
  const late = summaryOf([...straight.loaded, ...tiered.loaded].map(({ lagP99Ms }) => lagP99Ms)).max
  const [theirs, ours] = [straight, tiered].map((side) => summaryOf(side.most).median) as [number, number]
  return [
    `  ${operation}`,
    line('one caller', ({ idle }) => idle),
    line(`${Math.round(rate)} calls a second, 70 % of its most (the generator's ticks late by ${ms(late)} at p99)`, ({ loaded }) => loaded),
    `    at most: ${Math.round(theirs)} a second; through the tier ${Math.round(ours)}: ${(ours / theirs).toFixed(1)} ×`,
  ].join('\n')
}

function ms(figure: number): string {
  return `${figure.toFixed(2)} ms`
}
