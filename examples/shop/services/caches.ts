/**
 * The shop's caches: one tier, and for each kind of data the strategy that suits it.
 *
 * | cache | holds | strategy | why |
 * |---|---|---|---|
 * | shop-page | product, price, reviews | read-through, joined by SQL | dear to make, hardly ever changed |
 * | shop-stock | stock of a product | write-through, refreshed after each order and by CDC | orders change it by SQL of their own, others by theirs; the row's version keeps the newest |
 * | shop-profile | user profiles | write-around | read at each visit, seldom changed, then often not read again soon |
 * | shop-cart | carts | write-behind, `update` | changed all the time, by compare-and-set: the journal's disk is waited for, not the database |
 * | shop-order | placed orders | cache-aside | loaded by the service's own code, never changed again |
 */
import {
  type Cache,
  cacheAside,
  type Journal,
  postgresReader,
  postgresStore,
  readThrough,
  shardedReader,
  shardedStore,
  type Tier,
  writeAround,
  writeBehind,
  writeThrough,
} from 'ringtail'
import type { Profile } from '../database/load.ts'
import type { PlacedOrder } from '../database/orders.ts'
import { PAGES, type ProductPage, pageOf, type StockLevel } from '../database/product-page.ts'
import { CARTS_TABLE, STOCK_TABLE, USERS_TABLE } from '../database/schema.ts'
import { type Shard, shardOf } from '../database/shards.ts'
import type { Cart } from './cart.ts'

export interface ShopCaches {
  readonly pages: Cache<ProductPage>
  readonly stock: Cache<StockLevel>
  readonly profiles: Cache<Profile>
  readonly carts: Cache<Cart>
  readonly orders: Cache<PlacedOrder>
}

export const CACHE_NAMES = ['shop-page', 'shop-stock', 'shop-profile', 'shop-cart', 'shop-order'] as const

/** How long closing waits for carts to come to the database. */
const DRAIN = '5s'
/** Orders that wait for one another's stock may hold a shard's connections for a moment. */
const CART_LOAD = '3s'

/** @param journal where changed carts lie until the database has them */
export function openCaches(tier: Tier, shards: readonly Shard[], journal: Journal): ShopCaches {
  const partitioned = { shardOf: (id: string) => shardOf(id, shards.length) }
  const readers = shards.map(({ id, pool }) => ({
    id,
    store: postgresReader<ProductPage>({ pool, name: 'page', query: PAGES, key: 'id', row: pageOf }),
  }))
  const tables = <V>(table: Omit<Parameters<typeof postgresStore>[0], 'pool'>) =>
    shardedStore(
      shards.map(({ id, pool }) => ({ id, store: postgresStore<V>({ pool, ...table }) })),
      partitioned,
    )
  return {
    pages: tier.cache('shop-page', { strategy: readThrough(shardedReader(readers, partitioned)), ttl: '10m', grace: '1h' }),
    stock: tier.cache('shop-stock', { strategy: writeThrough(tables<StockLevel>(STOCK_TABLE)), ttl: '10m', grace: '1m' }),
    profiles: tier.cache('shop-profile', { strategy: writeAround(tables<Profile>(USERS_TABLE)), ttl: '30m', grace: '1h' }),
    carts: tier.cache('shop-cart', {
      strategy: writeBehind(tables<Cart>(CARTS_TABLE), { journal, drain: DRAIN }),
      ttl: '1h',
      deadlines: { load: CART_LOAD },
    }),
    orders: tier.cache('shop-order', { strategy: cacheAside(), ttl: '1h' }),
  }
}
