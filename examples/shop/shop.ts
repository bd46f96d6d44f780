/**
 * The shop from opening to closing: data, databases, nodes, one tier, three services, shoppers, and the report.
 *
 * Read top down: `runShop` is the whole day; what follows are its parts, in order. Everything that is started registers its own undoing
 * in `undo`, and the caller runs that, however the day ended.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { ConfigurationError, createTier, type Journal, type NodeReport, type Tier } from 'ringtail'
import { prepareWorkload, type Workload } from './data/workload.ts'
import { GUEST, loadShop } from './database/load.ts'
import { settlePending } from './database/orders.ts'
import { startPostgresServers } from './database/postgres-servers.ts'
import { readBack } from './database/read-back.ts'
import { createSchema, createTables, dropSchema } from './database/schema.ts'
import { connectShards, disconnectShards, type Shard, tryDatabases } from './database/shards.ts'
import { openTemporaryJournal } from './journal/temporary-journal.ts'
import { unlessInterrupted } from './lifecycle/interruption.ts'
import type { UndoStack } from './lifecycle/undo.ts'
import { startProbe } from './measure/improvement.ts'
import { type StartedNodes, startNodes } from './nodes/cache-nodes.ts'
import { clearEntries } from './nodes/clear-entries.ts'
import { tryNodes } from './nodes/try-nodes.ts'
import { type ShopOptions, withoutPassword } from './options.ts'
import { buildReport, type Report } from './report/report.ts'
import { Avoided } from './services/avoided.ts'
import { CACHE_NAMES, openCaches, type ShopCaches } from './services/caches.ts'
import { createCartService } from './services/cart-service.ts'
import { Carts } from './services/carts.ts'
import { listen, Troubles } from './services/http.ts'
import { OrderDesk } from './services/order-desk.ts'
import { createOrderService } from './services/order-service.ts'
import { ProductPages } from './services/product-pages.ts'
import { createProductService } from './services/product-service.ts'
import { Profiles } from './services/profiles.ts'
import { captureStock, type StockCapture } from './services/stock-capture.ts'
import { type Shoppers, startShoppers } from './shoppers/shoppers.ts'
import { UsageError } from './usage-error.ts'
import { count } from './view/format.ts'
import type { Teller } from './view/teller.ts'

const SHARDS = 3
/** Shoppers at a time when no rate is set, and with one: enough for either on a small machine, and a bound on both. */
const SHOPPERS = 16
const SHOPPERS_AT_A_RATE = 64
const MOMENT_EVERY_MS = 500
const ASK_NODES_TIMES = 5

/** What the parts need of each other. */
interface Premises {
  readonly workload: Workload
  readonly shards: readonly Shard[]
  readonly databaseUrls: readonly string[]
  readonly tier: Tier
  readonly journal: Journal
  readonly started: StartedNodes
  readonly nodesAre: string
  readonly databaseIs: string
}

interface OpenShop extends Premises {
  readonly carts: ShopCaches['carts']
  readonly captures: readonly StockCapture[]
  readonly urls: { readonly product: string; readonly cart: string; readonly order: string }
  readonly pages: ProductPages
  readonly profiles: Profiles
  readonly avoided: Avoided
  readonly troubles: Troubles
}

/** @param signal ends the day early: during start-up it rejects with the signal's reason, later the report comes sooner */
export async function runShop(options: ShopOptions, teller: Teller, undo: UndoStack, signal: AbortSignal): Promise<Report> {
  const premises = await prepare(options, teller, undo, signal)
  const shop = await unlessInterrupted(open(premises, options, teller, undo), signal)
  const shoppers = options.rate === undefined ? SHOPPERS : SHOPPERS_AT_A_RATE
  const day = await keepOpen(shop, options, shoppers, teller, undo, signal)
  const leftPending = await settlePending(shop.shards)
  // The last carts come to the database before anything is closed.
  await shop.carts.drained()
  return buildReport({
    ...shop,
    ...day,
    options,
    shoppers,
    leftPending,
    nodes: await allNodes(shop.tier),
    readBack: await readBack(shop.shards, shop.workload),
  })
}

/** A node that was too busy to tell is asked again, now that the shop is quiet. */
async function allNodes(tier: Tier): Promise<NodeReport[]> {
  for (let tries = 1; ; tries++) {
    const nodes = await tier.nodes()
    if (tries === ASK_NODES_TIMES || nodes.every(({ entries }) => entries !== undefined)) return nodes
    await sleep(200)
  }
}

/** Data, databases and nodes at the same time, for none needs another; then the rows go in. */
async function prepare(options: ShopOptions, teller: Teller, undo: UndoStack, signal: AbortSignal): Promise<Premises> {
  const starting = new AbortController()
  const opening = openDatabases(options, undo, starting.signal)
  const starts = [
    prepareWorkload(options, (step) => teller.step(step)),
    teller.during('databases', opening),
    teller.during('cache nodes', openTier(options, undo, opening)),
  ] as const
  try {
    const [workload, databases, tier] = await unlessInterrupted(Promise.all(starts), signal)
    for (const line of [...workload.bad.flatMap((bad) => bad.describe()), ...workload.notes]) teller.line(line)
    await unlessInterrupted(
      loadShop(databases.shards, workload, options.seed, teller.step(`${count(workload.products.length)} products into the shards`)),
      signal,
    )
    return { workload, ...databases, ...tier }
  } catch (error) {
    // What is half started must have registered its undoing before anything is undone.
    starting.abort(error)
    await Promise.allSettled(starts.slice(1))
    throw error
  }
}

async function openDatabases(
  options: ShopOptions,
  undo: UndoStack,
  signal: AbortSignal,
): Promise<Pick<Premises, 'shards' | 'databaseUrls' | 'databaseIs'>> {
  const own = options.databases.length === 0
  if (!own) await tryDatabases(options.databases)
  const urls = own ? await startPostgresServers(SHARDS, undo, signal) : options.databases
  signal.throwIfAborted()
  const shards = connectShards(urls)
  undo.add({ what: 'database connections', stop: () => disconnectShards(shards) })
  for (const [index, shard] of shards.entries()) {
    await createSchema(shard, urls[index]!)
    // A server of our own goes as a whole.
    if (!own) undo.add({ what: `schema on ${withoutPassword(urls[index]!)}`, stop: () => dropSchema(shard) })
  }
  await Promise.all(shards.map(createTables))
  const { rows } = await shards[0]!.aside.query<{ server_version: string }>('show server_version')
  const version = rows[0]!.server_version.split(' ')[0]
  return {
    shards,
    databaseUrls: urls,
    databaseIs: `${shards.length} PostgreSQL ${version} ${shards.length === 1 ? 'shard' : 'shards'}${own ? ', fsync on' : ' given'}`,
  }
}

/** @param databases are closed after the tier, which brings the last carts there */
async function openTier(
  options: ShopOptions,
  undo: UndoStack,
  databases: Promise<unknown>,
): Promise<Pick<Premises, 'tier' | 'journal' | 'started' | 'nodesAre'>> {
  if (options.nodes.length > 0) await tryNodes(options.nodes)
  const started = await startNodes(options.nodes, undo)
  await databases.catch(() => {})
  const journal = await openTemporaryJournal(undo)
  const tier = await createTier({ nodes: started.nodes, replicas: options.replicas }).catch((error) => {
    throw error instanceof ConfigurationError ? new UsageError(error.message) : error
  })
  undo.add({ what: 'the tier', stop: () => tier.close() })
  if (options.nodes.length > 0) await useGivenNodes(tier, started, undo)
  return { tier, journal, started, nodesAre: started.description }
}

/** Nodes that live longer than the shop must hold nothing of an earlier one, nor of this one when it is over. */
async function useGivenNodes(tier: Tier, { nodes }: StartedNodes, undo: UndoStack): Promise<void> {
  const down = (await tier.nodes()).find(({ up }) => !up)
  if (down !== undefined) {
    const reason = await nodes
      .find(({ id }) => id === down.id)!
      .ping()
      .then(
        () => 'it came late',
        (error: Error) => error.message,
      )
    throw UsageError.of('--nodes', 'nodes that a tier can use', `${down.id}: ${reason}`)
  }
  await clearEntries(nodes, CACHE_NAMES)
  undo.add({ what: 'entries on the nodes', stop: () => clearEntries(nodes, CACHE_NAMES) })
}

async function open(premises: Premises, options: ShopOptions, teller: Teller, undo: UndoStack): Promise<OpenShop> {
  const { shards, databaseUrls, tier, journal } = premises
  const caches = openCaches(tier, shards, journal)
  const troubles = new Troubles()
  tier.on('journal:refused', ({ cache, reason }) => troubles.add(`${cache}: written through: ${reason}`))
  tier.on('write:buried', ({ cache, reason }) => troubles.add(`${cache}: refused for good: ${reason}`))
  tier.on('store:failed', ({ cache, operation, reason }) => troubles.add(`${cache}: ${operation}: ${reason}`))
  tier.on('cache:bypassed', ({ cache, operation, reason }) => troubles.add(`${cache}: ${operation} without the cache: ${reason}`))
  tier.on('entry:rejected', ({ cache, reason }) => troubles.add(`${cache}: entry rejected: ${reason}`))
  tier.on('capture:failed', ({ capture, reason }) => troubles.add(`${capture}: ${reason}`))
  tier.on('capture:lost', ({ capture, reason }) => troubles.add(`${capture}: caches emptied: ${reason}`))
  tier.on('capture:lagging', ({ capture, lagMs }) => troubles.add(`${capture}: ${lagMs} ms behind the database`))
  tier.on('node:down', ({ node, reason }) => troubles.add(`${node} is down: ${reason}`))
  const given = options.databases.length > 0
  const capturing = captureStock({ tier, stock: caches.stock, shards, databaseUrls, given, say: (line) => teller.line(line) }, undo)
  const captures = await teller.during('changes of stock followed', capturing)
  const avoided = new Avoided()
  const pages = new ProductPages(caches, shards, avoided)
  const carts = new Carts(caches, shards, avoided)
  const profiles = new Profiles(caches, shards, avoided)
  const serve = async (service: FastifyInstance) => {
    undo.add({ what: 'a service', stop: () => service.close() })
    return await listen(service)
  }
  const urls = {
    product: await serve(createProductService(pages, troubles)),
    cart: await serve(createCartService(carts, troubles)),
    order: await serve(createOrderService(new OrderDesk(caches, shards, avoided), profiles, troubles)),
  }
  return { ...premises, carts: caches.carts, captures, urls, pages, profiles, avoided, troubles }
}

/** The shoppers come, until the time is over, someone interrupts, or they fail. */
async function keepOpen(shop: OpenShop, options: ShopOptions, shoppers: number, teller: Teller, undo: UndoStack, signal: AbortSignal) {
  const { workload, shards, tier, urls } = shop
  const task = {
    services: urls,
    productIds: workload.products.map(({ id }) => id),
    reads: workload.reads,
    orders: workload.orders,
    userIds: workload.customers.map(({ id }) => id),
    guestId: GUEST,
    shoppers,
    rate: options.rate,
  }
  const productIds = task.productIds.slice(0, 100)
  const probing = await unlessInterrupted(
    startProbe({ nodeUrls: shop.started.nodeUrls, databaseUrls: shop.databaseUrls, replicas: options.replicas, productIds }, shop, undo),
    signal,
  )
  const queriesBefore = shards.map((shard) => shard.queries())
  const queries = () => shards.map((shard, index) => shard.queries() - queriesBefore[index]!)
  const running = await unlessInterrupted(startShoppers(task, undo), signal)
  const startMs = performance.now()
  teller.run({ ...options, ...shop, products: workload.products.length })
  let nodes: readonly NodeReport[] = await tier.nodes()
  const elapsedMs = () => performance.now() - startMs
  const look = async () => {
    nodes = await tier.nodes()
    const counted = shards.map(({ id }, index) => ({ id, queries: queries()[index]! }))
    teller.moment({
      elapsedMs: elapsedMs(),
      tally: running.tally(),
      nodes,
      shards: counted,
      avoided: shop.avoided.statements,
      troubles: shop.troubles.count,
    })
  }
  const looking = setInterval(() => void look().catch(() => {}), MOMENT_EVERY_MS)
  try {
    await untilClosing(running, options.forMs, signal)
    const seconds = elapsedMs() / 1_000
    const tally = await running.stop()
    return { tally, seconds, queries: queries(), avoided: shop.avoided.statements, improvement: await probing.stop() }
  } finally {
    clearInterval(looking)
    teller.end()
  }
}

async function untilClosing(shoppers: Shoppers, forMs: number | undefined, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>((resolve) => {
    if (forMs !== undefined) timer = setTimeout(resolve, forMs)
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  try {
    await Promise.race([over, shoppers.failed])
  } finally {
    clearTimeout(timer)
  }
}
