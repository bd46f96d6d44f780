/**
 * What the shop sells, and what its shoppers will do: catalogue, read trace and event log joined into one.
 *
 * They come from different shops, so they are joined by order: the n-th distinct object of the read trace is product n, and the n-th
 * distinct SKU of the event log is product n; one to one each. A SKU that is itself a product of the catalogue is that product: the
 * catalogue is put into the log's order first. Where the catalogue is short, products are generated like its own. A product's initial stock
 * is half of what the log sells of it, rounded up. Whatever has no file is generated.
 */

import { harmless } from '../shown.ts'
import { BadLines } from './bad-lines.ts'
import { type Catalogue, type Product, readCatalogue } from './catalogue.ts'
import { type Customer, type Orders, readEvents } from './events.ts'
import { GENERATED, generateOrders, generateProducts, generateReads } from './generator.ts'
import { inspect, type OnProgress } from './lines.ts'
import { type Reads, readReads } from './reads.ts'

export interface Workload {
  readonly products: readonly Product[]
  /** By product, in the order of `products`. */
  readonly initialStock: Int32Array
  readonly customers: readonly Customer[]
  /** Products read, in order, as indexes of `products`. */
  readonly reads: Int32Array
  /** Items are indexes of `products`, customers of `customers`. */
  readonly orders: Orders
  readonly origin: Origin
  readonly bad: readonly BadLines[]
  /** What the user should know of the data beside bad lines, in sentences. */
  readonly notes: readonly string[]
}

/** Where the data came from, for the report. */
export interface Origin {
  readonly catalogue: string
  readonly reads: string
  readonly events: string
  readonly productsOfFile: number
  readonly productsGenerated: number
  readonly rejected: number
  readonly objectsRead: number
  readonly lines: { readonly sales: number; readonly cancellations: number; readonly adjustments: number }
}

export interface Sources {
  readonly catalogue: string | undefined
  readonly reads: string | undefined
  readonly events: string | undefined
  readonly seed: number
}

/** Generated reads go to at most so many products, so that a large catalogue is not read once and never again. */
const MOST_OBJECTS = 50_000

/** Told what is being read or generated, and how far it is. */
export type OnStep = (step: string) => OnProgress

/** @throws UsageError when a file is missing or wrong */
export async function prepareWorkload(sources: Sources, onStep: OnStep): Promise<Workload> {
  // A misspelt name is told of at once, not after the other files were read.
  for (const what of ['catalogue', 'reads', 'events'] as const) if (sources[what] !== undefined) await inspect(sources[what], `--${what}`)
  const catalogue = await catalogueOf(sources, onStep)
  const reads = sources.reads === undefined ? undefined : await readReads(sources.reads, onStep(`reads ${sources.reads}`))
  const log = sources.events === undefined ? undefined : await readEvents(sources.events, onStep(`events ${sources.events}`))

  const like = sources.catalogue === undefined ? [] : catalogue.products
  let generated = 0
  const generate = (count: number) => {
    generated += count
    return generateProducts(count, sources.seed + generated, like, generated - count)
  }
  const products = inOrderOf(log?.skus ?? [], catalogue.products, generate)
  const needed = Math.max(reads?.objects ?? 0, sources.catalogue === undefined ? GENERATED.products : 0)
  if (products.length < needed) products.push(...generate(needed - products.length))

  const generating = reads === undefined || log === undefined ? onStep('generated reads and orders') : undefined
  const order = reads?.order ?? generateReads(GENERATED.reads, Math.min(products.length, MOST_OBJECTS), sources.seed + 1)
  const { orders, customers } =
    log ?? generateOrders(GENERATED.orders, Math.min(products.length, GENERATED.products), GENERATED.customers, sources.seed + 2)
  generating?.(1)

  return {
    products,
    initialStock: halfOfSales(orders, products.length),
    customers,
    reads: order,
    orders,
    origin: {
      catalogue: sources.catalogue ?? 'generated',
      reads: sources.reads ?? 'generated',
      events: sources.events ?? 'generated',
      productsOfFile: catalogue.products.length,
      productsGenerated: generated,
      rejected: catalogue.bad.count,
      objectsRead: reads?.objects ?? new Set(order).size,
      lines: log?.lines ?? { sales: orders.item.length, cancellations: 0, adjustments: 0 },
    },
    bad: [catalogue.bad, reads?.bad, log?.bad].filter((each) => each !== undefined && each.count > 0) as BadLines[],
    notes: reads === undefined || reads.leftOut === 0 ? [] : [leftOutOf(sources.reads!, reads)],
  }
}

function leftOutOf(file: string, { order, leftOut }: Reads): string {
  return `${harmless(file)}: the first ${order.length} reads are used, ${leftOut} lines after them are left out`
}

async function catalogueOf(sources: Sources, onStep: OnStep): Promise<Catalogue> {
  if (sources.catalogue === undefined) return { products: [], bad: new BadLines('generated') }
  return await readCatalogue(sources.catalogue, onStep(`catalogue ${sources.catalogue}`))
}

/** The products in an order in which SKU n is product n wherever the SKU is a product, and some other product where it is none. */
export function inOrderOf(skus: readonly string[], products: readonly Product[], generate: (count: number) => Product[]): Product[] {
  const byId = new Map(products.map((product) => [product.id, product]))
  const sold = skus.map((sku) => byId.get(sku))
  for (const product of sold) if (product !== undefined) byId.delete(product.id)
  const unsold = [...byId.values()]
  const holes = sold.filter((product) => product === undefined).length
  const fillings = [...unsold.slice(0, holes), ...generate(Math.max(0, holes - unsold.length))].values()
  return [...sold.map((product) => product ?? fillings.next().value!), ...unsold.slice(holes)]
}

export function halfOfSales(orders: Orders, products: number): Int32Array {
  const sold = new Float64Array(products)
  for (const [line, item] of orders.item.entries()) sold[item]! += orders.quantity[line]!
  return Int32Array.from(sold, (quantity) => Math.ceil(quantity / 2))
}
