/**
 * The tables of a shard.
 *
 * Products, prices, stock and reviews lie on the product's shard, profiles on the user's, carts on the cart's, orders with their lines on
 * the order's. A reservation says that a shard has set an order's lines aside; it lies beside the stock it was taken from. What a cache
 * writes through or refreshes has a version that grows with each change, so that caches keep whatever is newest; orders change stock by SQL
 * of their own, so there Ringtail's trigger sees to it. Carts are written behind, so a table beside theirs remembers which were removed.
 */
import type pg from 'pg'
import { postgresRemovalsTable, postgresVersionTrigger } from 'ringtail'
import { withoutPassword } from '../options.ts'
import { UsageError } from '../usage-error.ts'
import { SCHEMA, type Shard } from './shards.ts'

const TABLES = `
  create table ${SCHEMA}.products (
    id text primary key, name text not null, brand text, category text[] not null, description text, images jsonb not null, specs jsonb not null
  );
  create table ${SCHEMA}.prices (
    product_id text primary key, currency text not null, amount numeric(12, 2) not null check (amount > 0), retail numeric(12, 2)
  );
  create table ${SCHEMA}.stock (
    product_id text primary key, quantity integer not null check (quantity >= 0), version bigint not null default 1
  ) with (fillfactor = 70);
  create table ${SCHEMA}.reviews (
    id bigint primary key generated always as identity, product_id text not null, rating smallint not null check (rating between 1 and 5),
    words text not null, written_at timestamptz not null
  );
  create table ${SCHEMA}.users (id text primary key, value jsonb not null, version bigint not null default 1);
  create table ${SCHEMA}.carts (id text primary key, value jsonb not null, version bigint not null default 1) with (fillfactor = 70);
  create table ${SCHEMA}.orders (
    id text primary key, user_id text not null, status text not null check (status in ('pending', 'accepted', 'refused')), short text[],
    product_ids text[] not null, quantities integer[] not null, placed_at timestamptz not null default now()
  );
  create table ${SCHEMA}.order_lines (
    order_id text not null, product_id text not null, quantity integer not null check (quantity > 0), primary key (order_id, product_id)
  );
  create table ${SCHEMA}.reservations (
    order_id text primary key, state text not null check (state in ('reserved', 'released')), product_ids text[] not null, quantities integer[] not null
  );
`

/** Built once the rows are there: quicker, and the statistics are right from the first query. */
const INDEXES = `
  create index reviews_latest on ${SCHEMA}.reviews (product_id, written_at desc);
  create index orders_of_user on ${SCHEMA}.orders (user_id, placed_at desc);
  analyze ${SCHEMA}.products; analyze ${SCHEMA}.prices; analyze ${SCHEMA}.stock; analyze ${SCHEMA}.reviews; analyze ${SCHEMA}.users;
`

/** How Ringtail's stores see the tables that caches write to; the trigger and the caches are made of the same. */
export const STOCK_TABLE = { table: `${SCHEMA}.stock`, key: 'product_id', columns: { quantity: 'integer' } } as const
export const USERS_TABLE = { table: `${SCHEMA}.users`, key: 'id' } as const
export const CARTS_TABLE = { table: `${SCHEMA}.carts`, key: 'id', removals: `${SCHEMA}.carts_removals` } as const

export const COUNTED_TABLES = ['products', 'prices', 'stock', 'reviews', 'users', 'carts', 'orders', 'order_lines'] as const

/** @throws UsageError when the schema is there already: it is not ours to touch */
export async function createSchema(shard: Shard, url: string): Promise<void> {
  try {
    await shard.aside.query(`create schema ${SCHEMA}`)
  } catch (error) {
    // 42P06: duplicate_schema
    if ((error as pg.DatabaseError).code !== '42P06') throw error
    throw UsageError.of(
      '--database',
      `a database without a schema ${SCHEMA}`,
      `${withoutPassword(url)}, which has one. Drop it first if it is a left-over`,
    )
  }
}

export async function createTables(shard: Shard): Promise<void> {
  await shard.aside.query(`${TABLES} ${postgresVersionTrigger(STOCK_TABLE)} ${postgresRemovalsTable(CARTS_TABLE)}`)
}

export async function createIndexes(shard: Shard): Promise<void> {
  await shard.aside.query(INDEXES)
}

export async function dropSchema(shard: Shard): Promise<void> {
  await shard.aside.query(`drop schema if exists ${SCHEMA} cascade`)
}
