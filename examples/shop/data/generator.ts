/**
 * A shop's data from a seed, for everyone who has no files at hand.
 *
 * Its figures are those of real data: product objects as large as a marketplace's (JSON median 347 bytes, p95 695, one in twenty rich with
 * description, images and specs), reads as skewed as an e-commerce application's (the top 1 % of objects take 33 % of reads, the top 10 %
 * 76 %), orders as a wholesaler's (half of them above 15 lines, the top 10 % of products in 45 % of lines). `generator.test.ts` holds it
 * to them.
 */
import type { Product } from './catalogue.ts'
import { Draws, RankLaw } from './draws.ts'
import { type Customer, OrderLog, type Orders } from './events.ts'

export const GENERATED = { products: 5_000, reads: 1_000_000, orders: 20_000, customers: 4_000 } as const

/** @param own products to take after; none: from the generator's own words @param from the number of the first one, so that ids differ */
export function generateProducts(count: number, seed: number, own: readonly Product[] = [], from = 0): Product[] {
  const draws = new Draws(seed)
  return Array.from({ length: count }, (_, index) => {
    const id = `${own.length > 0 ? 'like' : 'item'}-${String(from + index).padStart(7, '0')}`
    return own.length > 0 ? productLike(draws.pick(own), draws.pick(own), id, draws) : productOfWords(id, draws)
  })
}

/** @returns objects read, in order, of 0 … objects − 1; the popular ones are spread over all of them */
export function generateReads(count: number, objects: number, seed: number): Int32Array {
  const draws = new Draws(seed)
  const law = new RankLaw(objects, 1.42, 0.008)
  const objectOfRank = shuffled(objects, draws)
  return Int32Array.from({ length: count }, () => objectOfRank[law.draw(draws)]!)
}

export function generateOrders(
  count: number,
  products: number,
  customers: number,
  seed: number,
): { orders: Orders; customers: Customer[] } {
  const draws = new Draws(seed)
  const law = new RankLaw(products, 1.08, 0.03)
  const productOfRank = shuffled(products, draws)
  const log = new OrderLog()
  const skus = Array.from({ length: products }, (_, product) => `${product}`)
  // Named first, so that the log's numbers are the products': in order of first appearance.
  for (const sku of skus) log.name(sku)
  for (let order = 0; order < count; order++) {
    // 18 % of the orders are a guest's.
    const customer = draws.fraction() < 0.18 ? '' : `C${draws.whole(1, customers)}`
    const country = draws.fraction() < 0.9 ? 'United Kingdom' : draws.pick(COUNTRIES)
    const lines = Math.min(300, Math.max(1, Math.round(draws.logNormal(15, 1.05))))
    for (let line = 0; line < lines; line++) {
      const quantity = Math.min(2_000, Math.max(1, Math.round(draws.logNormal(3.5, 1.3))))
      log.add(`${100_000 + order}`, skus[productOfRank[law.draw(draws)]!]!, quantity, customer, country)
    }
  }
  return log.finish()
}

/** A product of the file's own brands, categories, prices and sizes, under a name put together from two of its names. */
function productLike(body: Product, other: Product, id: string, draws: Draws): Product {
  const [left, right] = [body.name.split(' '), other.name.split(' ')]
  const name = [...left.slice(0, Math.ceil(left.length / 2)), ...right.slice(Math.floor(right.length / 2))].join(' ')
  const price = Math.max(0.01, Math.round(body.price * (0.8 + 0.4 * draws.fraction()) * 100) / 100)
  return { ...body, id, name, price, retailPrice: body.retailPrice === null ? null : Math.max(price, body.retailPrice) }
}

function productOfWords(id: string, draws: Draws): Product {
  const brand = draws.fraction() < 0.3 ? null : draws.pick(BRANDS)
  const [department, things] = draws.pick(DEPARTMENTS)
  const thing = draws.pick(things)
  const size = draws.logNormal(1.05, 0.5)
  const adjectives = words(ADJECTIVES, Math.round(1 + 2.1 * size), draws)
  const name = [brand, ...adjectives, thing].filter((word) => word !== null).join(' ')
  const price = Math.round(draws.logNormal(550, 0.95)) + 0.99
  const category = [
    department,
    `${department} & more`,
    thing,
    ...words(ADJECTIVES, Math.round(2.9 * size), draws).map((word) => `${word} ${thing}`),
    name,
  ]
  const base = { id, name, brand, category, currency: 'INR', price, retailPrice: Math.round(price * (1 + draws.fraction())) }
  if (draws.fraction() >= 0.046) return { ...base, description: null, images: [], specs: [] }
  return { ...base, ...richPart(name, thing, draws) }
}

/** What one product in twenty has beside the ordinary: about 1.5 kB of JSON. */
function richPart(name: string, thing: string, draws: Draws): Pick<Product, 'description' | 'images' | 'specs'> {
  const sentences = Array.from({ length: Math.max(1, Math.round(draws.logNormal(12, 0.4))) }, () => {
    return `This ${thing.toLowerCase()} is ${words(ADJECTIVES, 3, draws).join(', ').toLowerCase()} and made of ${draws.pick(MATERIALS).toLowerCase()}.`
  })
  const images = Array.from(
    { length: draws.whole(1, 4) },
    (_, index) => `https://images.example/${draws.whole(1e8, 1e9)}/${index}-1100x1100.jpeg`,
  )
  const specs = Array.from({ length: draws.whole(3, 12) }, () => ({ key: draws.pick(SPECS), value: draws.pick(MATERIALS) }))
  return { description: `Key features of ${name}. ${sentences.join(' ')}`, images, specs }
}

function words(from: readonly string[], count: number, draws: Draws): string[] {
  return Array.from({ length: Math.min(count, 12) }, () => draws.pick(from))
}

/** Fisher and Yates. */
function shuffled(count: number, draws: Draws): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const other = draws.whole(0, last)
    const moved = order[last]!
    order[last] = order[other]!
    order[other] = moved
  }
  return order
}

const BRANDS = [
  'Alder',
  'Brookline',
  'Corvane',
  'Dunmore',
  'Elsing',
  'Farrow',
  'Glenhart',
  'Hexley',
  'Ivorine',
  'Juniper & Rye',
  'Kestrel',
  'Lindqvist',
  'Marlow',
  'Norrland',
  'Oakham',
  'Pellworm',
]
const ADJECTIVES = [
  'Solid',
  'Striped',
  'Floral',
  'Classic',
  'Slim',
  'Handmade',
  'Vintage',
  'Cotton',
  'Leather',
  'Compact',
  'Waterproof',
  'Folding',
  'Printed',
  'Quilted',
  'Woven',
  'Matte',
  'Polished',
  'Soft',
  'Large',
  'Small',
]
const MATERIALS = ['Cotton', 'Linen', 'Wool', 'Steel', 'Oak', 'Beech', 'Glass', 'Ceramic', 'Canvas', 'Brass', 'Cork', 'Recycled polyester']
const SPECS = [
  'Material',
  'Outer material',
  'Color',
  'Ideal for',
  'Sales package',
  'Type',
  'Pattern',
  'Finish',
  'Care',
  'Width',
  'Height',
  'Number of contents',
]
const COUNTRIES = ['France', 'Germany', 'EIRE', 'Spain', 'Netherlands', 'Belgium', 'Switzerland', 'Portugal', 'Norway', 'Japan']
const DEPARTMENTS: readonly (readonly [string, readonly string[]])[] = [
  ['Clothing', ['Shirt', 'Jacket', 'Scarf', 'Trousers', 'Dress', 'Socks']],
  ['Footwear', ['Boots', 'Sandals', 'Ballerinas', 'Trainers', 'Slippers']],
  ['Home Furnishing', ['Towel Set', 'Curtain', 'Cushion Cover', 'Bedsheet', 'Table Runner']],
  ['Kitchen', ['Teapot', 'Saucepan', 'Cutting Board', 'Storage Jar', 'Ladle']],
  ['Jewellery', ['Necklace', 'Ring', 'Bracelet', 'Earrings']],
  ['Toys', ['Puzzle', 'Building Blocks', 'Kite', 'Spinning Top']],
  ['Tools', ['Screwdriver Set', 'Hammer', 'Tape Measure', 'Clamp']],
  ['Stationery', ['Notebook', 'Fountain Pen', 'Desk Organiser', 'Gift Wrap']],
]
