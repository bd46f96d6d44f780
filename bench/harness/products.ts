/**
 * What is cached: products as JSON of one size, 256 bytes by default, the same for every contestant.
 *
 * `id` is the product's place in the list, so that whoever reads a product can tell, for the price of a comparison, that it was truly read,
 * parsed, and the one asked for. Larger ones have reviews, whose text is drawn from a made vocabulary as unevenly as words are: a run of one
 * sentence would be compressed away by those who compress.
 */
export interface Product {
  readonly id: number
  readonly sku: string
  readonly title: string
  readonly category: string
  readonly price: number
  readonly stock: number
  readonly description: string
  readonly reviews?: readonly Review[]
}

interface Review {
  readonly by: string
  readonly stars: number
  readonly text: string
}

export interface Catalogue {
  readonly keys: readonly string[]
  readonly products: readonly Product[]
}

export const PRODUCTS = 10_000
export const JSON_BYTES = 256

/** By bytes: what keys begin with, and how many there are for each of 256 bytes, so that all sizes of everybody fit one server. */
const SIZES: Readonly<Record<number, { readonly letter: string; readonly share: number }>> = {
  256: { letter: 'B', share: 1 },
  2048: { letter: 'M', share: 0.2 },
  65536: { letter: 'L', share: 0.02 },
}
/** As many as `redis-benchmark` writes for `__rand_int__`. */
const KEY_DIGITS = 12
const REVIEW_CHARACTERS = 240
const WORDS = 3_000
const SYLLABLES = [
  'ba',
  'cor',
  'del',
  'en',
  'fi',
  'gra',
  'ho',
  'in',
  'ju',
  'ka',
  'lum',
  'mer',
  'no',
  'or',
  'pel',
  'qua',
  'ris',
  'so',
  'ter',
  'u',
  'vin',
  'wa',
]

/** Shares no factor with the number of products, so that turns visit all of them, near ones far apart. */
const STRIDE = 7_919

/** @param count of those of 256 bytes; of larger ones there are fewer @param bytes of each one's JSON: 256, 2,048 or 65,536 */
export function catalogue(count: number = PRODUCTS, bytes: number = JSON_BYTES): Catalogue {
  const size = SIZES[bytes]
  if (size === undefined) throw new RangeError(`needs one of ${Object.keys(SIZES).join(', ')} bytes, but got: ${bytes}`)
  const text = new MadeText(bytes)
  const products = Array.from({ length: Math.ceil(count * size.share) }, (_, id) => productOf(id, size.letter, bytes, text))
  return { products, keys: products.map(({ sku }) => sku) }
}

/** Which product the n-th turn is about. */
export function productOfTurn(turn: number, count: number): number {
  return (turn * STRIDE) % count
}

function productOf(id: number, letter: string, bytes: number, text: MadeText): Product {
  const product: Product = {
    id,
    sku: `${letter}${String(id).padStart(KEY_DIGITS, '0')}`,
    title: `Wireless mouse, model ${id}`,
    category: 'electronics/computers/mice',
    price: 5 + (id % 900) / 10,
    stock: (id * 37) % 500,
    description: '',
  }
  const filled = bytes <= 2 * JSON_BYTES ? product : { ...product, reviews: reviewsIn(bytes - JSON_BYTES, text) }
  const room = bytes - JSON.stringify(filled).length
  return { ...filled, description: text.of(room) }
}

function reviewsIn(bytes: number, text: MadeText): Review[] {
  const reviews: Review[] = []
  for (let room = bytes; room > 2 * REVIEW_CHARACTERS; ) {
    const review = { by: text.of(12), stars: 1 + (reviews.length % 5), text: text.of(REVIEW_CHARACTERS) }
    reviews.push(review)
    room -= JSON.stringify(review).length + 1
  }
  return reviews
}

/** Text of the same words for the same seed. */
class MadeText {
  readonly #random: () => number
  readonly #words: readonly string[]
  #rest = ''

  constructor(seed: number) {
    this.#random = drawing(seed)
    const syllable = (): string => SYLLABLES[Math.floor(this.#random() * SYLLABLES.length)]!
    this.#words = Array.from({ length: WORDS }, () => Array.from({ length: 1 + Math.floor(this.#random() * 4) }, syllable).join(''))
  }

  /** So many characters, all of one byte. */
  of(characters: number): string {
    while (this.#rest.length < characters) this.#rest += `${this.#words[Math.floor(this.#random() ** 3 * WORDS)]} `
    const text = this.#rest.slice(0, characters)
    this.#rest = this.#rest.slice(characters)
    return text
  }
}

/** Numbers in [0, 1), the same for the same seed (a linear congruence modulo 2³²). Loads nothing: every library's process makes products. */
function drawing(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
