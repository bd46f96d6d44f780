/**
 * Fills the shards: products, prices, stock, reviews and profiles, many rows a statement, all shards at once.
 *
 * Each product's rows go to the product's shard. Reviews are made up here (no file has any): 1 to 12 a product, from the seed.
 */
import type { Product } from '../data/catalogue.ts'
import { Draws } from '../data/draws.ts'
import type { Customer } from '../data/events.ts'
import type { OnProgress } from '../data/lines.ts'
import type { Workload } from '../data/workload.ts'
import { createIndexes } from './schema.ts'
import { byShard, type Shard } from './shards.ts'

export interface Profile {
  readonly country: string
  readonly language: string
  readonly memberSince: string
  readonly favouriteCategories: readonly string[]
  readonly newsletter: boolean
}

/** The profile of everyone who shops without an account: an id that no event log can hold. */
export const GUEST = '~guest'

const ROWS_A_STATEMENT = 2_000

export async function loadShop(shards: readonly Shard[], workload: Workload, seed: number, onProgress: OnProgress): Promise<void> {
  const stocked = workload.products.map((product, index) => ({ product, stock: workload.initialStock[index]! }))
  const parts = byShard(stocked, ({ product }) => product.id, shards.length)
  const categories = [...new Set(workload.products.slice(0, 5_000).flatMap(({ category }) => category.slice(0, 1)))]
  const users = byShard(profilesOf(workload.customers, categories, seed), ({ id }) => id, shards.length)
  let done = 0
  await Promise.all(
    shards.map(async (shard, index) => {
      await loadUsers(shard, users[index]!)
      const draws = new Draws(seed + 100 + index)
      for (const batch of batches(parts[index]!)) {
        await loadProducts(shard, batch)
        await loadReviews(shard, batch, draws)
        done += batch.length
        onProgress(Math.min(0.99, done / stocked.length))
      }
      await createIndexes(shard)
    }),
  )
  onProgress(1)
}

interface Stocked {
  readonly product: Product
  readonly stock: number
}

async function loadProducts(shard: Shard, batch: readonly Stocked[]): Promise<void> {
  const products = JSON.stringify(
    batch.map(({ product }) => ({ ...product, retail: product.retailPrice })).map(({ retailPrice, ...row }) => row),
  )
  await shard.aside.query(
    `with rows as materialized (
       select * from json_to_recordset($1::json) as r(
         id text, name text, brand text, category text[], currency text, price numeric, retail numeric, description text, images jsonb, specs jsonb)
     ), priced as (
       insert into prices (product_id, currency, amount, retail) select id, currency, price, retail from rows
     )
     insert into products (id, name, brand, category, description, images, specs)
     select id, name, brand, category, description, images, specs from rows`,
    [products],
  )
  await shard.aside.query('insert into stock (product_id, quantity) select * from unnest($1::text[], $2::int[])', [
    batch.map(({ product }) => product.id),
    batch.map(({ stock }) => stock),
  ])
}

async function loadReviews(shard: Shard, batch: readonly Stocked[], draws: Draws): Promise<void> {
  const productIds: string[] = []
  const ratings: number[] = []
  const words: string[] = []
  const written: string[] = []
  for (const { product } of batch) {
    const count = Math.min(12, Math.max(1, Math.round(draws.logNormal(2, 0.8))))
    for (let review = 0; review < count; review++) {
      productIds.push(product.id)
      ratings.push(Math.min(5, draws.whole(2, 6)))
      words.push(`${draws.pick(OPENINGS)} ${draws.pick(MIDDLES)} ${draws.pick(ENDINGS)}`)
      written.push(new Date(FIRST_DAY_MS + draws.fraction() * YEAR_MS).toISOString())
    }
  }
  await shard.aside.query(
    'insert into reviews (product_id, rating, words, written_at) select * from unnest($1::text[], $2::smallint[], $3::text[], $4::timestamptz[])',
    [productIds, ratings, words, written],
  )
}

async function loadUsers(shard: Shard, users: readonly { id: string; profile: Profile }[]): Promise<void> {
  for (const batch of batches(users)) {
    await shard.aside.query('insert into users (id, value) select * from unnest($1::text[], $2::jsonb[])', [
      batch.map(({ id }) => id),
      batch.map(({ profile }) => JSON.stringify(profile)),
    ])
  }
}

function profilesOf(customers: readonly Customer[], categories: readonly string[], seed: number): { id: string; profile: Profile }[] {
  const draws = new Draws(seed + 50)
  const everyone = [{ id: GUEST, country: 'unknown' }, ...customers]
  return everyone.map(({ id, country }) => ({
    id,
    profile: {
      country,
      language: 'en',
      memberSince: new Date(FIRST_DAY_MS - draws.fraction() * 5 * YEAR_MS).toISOString().slice(0, 10),
      favouriteCategories: categories.length === 0 ? [] : [draws.pick(categories), draws.pick(categories)],
      newsletter: draws.fraction() < 0.4,
    },
  }))
}

function* batches<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < rows.length; from += ROWS_A_STATEMENT) yield rows.slice(from, from + ROWS_A_STATEMENT)
}

const YEAR_MS = 365 * 24 * 3_600_000
const FIRST_DAY_MS = Date.UTC(2011, 0, 1)
const OPENINGS = [
  'Just what I was looking for:',
  'Bought as a present,',
  'Came a day early,',
  'I had hoped for more:',
  'After three months of use',
  'My second one:',
]
const MIDDLES = [
  'the finish is good',
  'the size is as described',
  'the colour is a little darker than shown',
  'it feels solid',
  'the material is thin',
  'it does its work',
]
const ENDINGS = [
  'and I would buy it again.',
  'and that is all I ask.',
  'so I sent it back.',
  'for the price.',
  'and the parcel was well packed.',
  'as one would expect.',
]
