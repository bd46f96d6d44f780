/**
 * Products from a catalogue file: one JSON object a line, of one of two shapes, told apart by their content.
 *
 * A product needs a key, a name and a price. A line that is no JSON, lacks one of these or repeats an earlier key is rejected: counted,
 * told with its line number, skipped. A file in which none of the first lines is a product of a known shape is the wrong file.
 */
import { shown } from '../shown.ts'
import { UsageError } from '../usage-error.ts'
import { BadLines } from './bad-lines.ts'
import { type OnProgress, readLines } from './lines.ts'

export interface Product {
  readonly id: string
  readonly name: string
  readonly brand: string | null
  readonly category: readonly string[]
  readonly currency: string
  /** In units of the currency, two decimals. */
  readonly price: number
  readonly retailPrice: number | null
  readonly description: string | null
  readonly images: readonly string[]
  readonly specs: readonly Spec[]
}

export interface Spec {
  readonly key: string | null
  readonly value: string
}

export interface Catalogue {
  readonly products: readonly Product[]
  readonly bad: BadLines
}

/** So many lines may pass without one recognisable product before the file is taken for something else. */
const PATIENCE_LINES = 100

/** The smallest coin, and what the database's column holds. */
const MIN_PRICE = 0.01
const MAX_PRICE = 1e9

/** What became of a line: a product, or why not. */
type Parsed = Product | string
type Shape = (line: Record<string, unknown>) => Parsed

/** @throws UsageError when the file cannot be read or holds no products */
export async function readCatalogue(file: string, onProgress?: OnProgress): Promise<Catalogue> {
  const bad = new BadLines(file)
  const products = new Map<string, Product>()
  let shape: Shape | undefined
  for await (const { first, lines } of readLines(file, '--catalogue', onProgress)) {
    for (const [index, line] of lines.entries()) {
      if (line.trim() === '') continue
      const object = parseObject(line)
      shape ??= object === undefined ? undefined : shapeOf(object)
      if (shape === undefined && first + index >= PATIENCE_LINES) throw wrongFile(file, shown(line))
      const parsed = object === undefined ? 'not a JSON object' : shape === undefined ? 'neither uniq_id nor sku' : shape(object)
      if (typeof parsed === 'string') bad.add(first + index, parsed)
      else if (products.has(parsed.id)) bad.add(first + index, `the key ${shown(parsed.id)} is there twice`)
      else products.set(parsed.id, parsed)
    }
  }
  if (products.size === 0) throw wrongFile(file, bad.shown[0] === undefined ? 'an empty file' : `line 1: ${bad.shown[0].reason}`)
  return { products: [...products.values()], bad }
}

function wrongFile(file: string, got: string): UsageError {
  return UsageError.of(`--catalogue ${file}`, 'NDJSON products with uniq_id (flipkart) or sku (online-retail), and a price', got)
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function shapeOf(line: Record<string, unknown>): Shape | undefined {
  if ('uniq_id' in line) return flipkart
  if ('sku' in line) return onlineRetail
  return undefined
}

function flipkart(line: Record<string, unknown>): Parsed {
  const price = record(line.price)
  return product({
    id: line.uniq_id,
    name: line.name,
    brand: line.brand,
    category: line.category,
    currency: price.currency,
    price: price.discounted ?? price.retail,
    retailPrice: price.retail,
    description: line.description,
    images: line.images,
    specs: line.specs,
  })
}

function onlineRetail(line: Record<string, unknown>): Parsed {
  return product({ id: line.sku, name: line.name, currency: 'GBP', price: record(line.price_gbp).median, specs: [] })
}

/** Checks what a file said, field by field: only id, name and price must be there. */
function product(said: Partial<Record<keyof Product, unknown>>): Parsed {
  const { id, name, price } = said
  if (typeof id !== 'string' || id === '' || id.length > 64 || id.includes('\0')) return 'a product needs a key of 1 to 64 characters'
  if (typeof name !== 'string' || name.trim() === '') return 'a product needs a name'
  if (typeof price !== 'number' || !(price >= MIN_PRICE && price < MAX_PRICE)) return 'a product needs a price'
  return {
    id,
    name: plain(name),
    brand: typeof said.brand === 'string' ? plain(said.brand) : null,
    category: strings(said.category),
    currency: typeof said.currency === 'string' ? plain(said.currency) : 'GBP',
    price: Math.round(price * 100) / 100,
    retailPrice:
      typeof said.retailPrice === 'number' && said.retailPrice >= MIN_PRICE && said.retailPrice < MAX_PRICE ? said.retailPrice : null,
    description: typeof said.description === 'string' ? plain(said.description) : null,
    images: strings(said.images),
    specs: Array.isArray(said.specs) ? said.specs.flatMap(spec) : [],
  }
}

function spec(said: unknown): Spec[] {
  const { key, value } = record(said)
  return typeof value === 'string' ? [{ key: typeof key === 'string' ? plain(key) : null, value: plain(value) }] : []
}

function strings(said: unknown): string[] {
  return Array.isArray(said) ? said.filter((each) => typeof each === 'string').map(plain) : []
}

function record(said: unknown): Record<string, unknown> {
  return typeof said === 'object' && said !== null ? (said as Record<string, unknown>) : {}
}

/** PostgreSQL's text holds every character but NUL. */
function plain(text: string): string {
  return text.replaceAll('\0', '')
}
