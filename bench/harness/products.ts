/**
 * What is cached: 10,000 products of 256 bytes of JSON each, the same for every contestant.
 *
 * `id` is the product's place in the list, so that whoever reads a product can tell, for the price of a comparison, that it was truly read,
 * parsed, and the one asked for.
 */

export interface Product {
  readonly id: number
  readonly sku: string
  readonly title: string
  readonly category: string
  readonly price: number
  readonly stock: number
  readonly description: string
}

export interface Catalogue {
  readonly keys: readonly string[]
  readonly products: readonly Product[]
}

export const PRODUCTS = 10_000
export const JSON_BYTES = 256

const TEXT =
  'Hard-wearing and easy to clean, tested by people who use it every day, and delivered with everything that it needs to start at once. '

/** Shares no factor with the number of products, so that turns visit all of them, near ones far apart. */
const STRIDE = 7_919

export function catalogue(count: number = PRODUCTS): Catalogue {
  const products = Array.from({ length: count }, (_, id) => productOf(id))
  return { products, keys: products.map(({ sku }) => sku) }
}

/** Which product the n-th turn is about. */
export function productOfTurn(turn: number, count: number): number {
  return (turn * STRIDE) % count
}

function productOf(id: number): Product {
  const product = {
    id,
    sku: `B${String(id).padStart(6, '0')}`,
    title: `Wireless mouse, model ${id}`,
    category: 'electronics/computers/mice',
    price: 5 + (id % 900) / 10,
    stock: (id * 37) % 500,
    description: '',
  }
  const room = JSON_BYTES - JSON.stringify(product).length
  return { ...product, description: TEXT.slice(0, room) }
}
