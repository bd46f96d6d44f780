/**
 * What the database says at the end: rows, orders, stock. It is the judge of the run, so it is asked straight, past every cache.
 *
 * The strongest of its questions is the balance: for every product, what was there at first less what is there now must be what the
 * accepted orders hold. An order that was taken twice, half, or without being written down would show.
 */
import type { Workload } from '../data/workload.ts'
import { COUNTED_TABLES } from './schema.ts'
import type { Shard } from './shards.ts'

export interface ReadBack {
  /** By shard, in order: rows of all tables. */
  readonly rows: readonly number[]
  readonly orders: {
    /** Accepted orders in the database. */
    readonly stored: number
    /** Accepted orders that are there more than once. */
    readonly duplicated: number
    readonly refused: number
    readonly pending: number
  }
  readonly stock: {
    readonly lowest: number
    /** Products whose stock is not what the accepted orders left of it. */
    readonly unbalanced: number
  }
}

export async function readBack(shards: readonly Shard[], workload: Workload): Promise<ReadBack> {
  const [rows, orders, stock, sold] = await Promise.all([
    Promise.all(shards.map(rowsOf)),
    ordersOf(shards),
    numbersOf(shards, 'select product_id as id, quantity as number from stock'),
    numbersOf(
      shards,
      "select l.product_id as id, sum(l.quantity)::int as number from order_lines l join orders o on o.id = l.order_id and o.status = 'accepted' group by 1",
    ),
  ])
  let unbalanced = 0
  for (const [index, { id }] of workload.products.entries()) {
    if (workload.initialStock[index]! - (stock.get(id) ?? Number.NaN) !== (sold.get(id) ?? 0)) unbalanced++
  }
  let lowest = Number.POSITIVE_INFINITY
  for (const quantity of stock.values()) lowest = Math.min(lowest, quantity)
  return { rows, orders, stock: { lowest, unbalanced } }
}

async function rowsOf(shard: Shard): Promise<number> {
  const counts = COUNTED_TABLES.map((table) => `(select count(*) from ${table})`).join(' + ')
  const { rows } = await shard.aside.query<{ count: string }>(`select ${counts} as count`)
  return Number(rows[0]?.count)
}

async function ordersOf(shards: readonly Shard[]): Promise<ReadBack['orders']> {
  const counts = { accepted: 0, refused: 0, pending: 0 }
  const accepted = new Set<string>()
  for (const shard of shards) {
    const { rows } = await shard.aside.query<{ id: string; status: keyof typeof counts }>('select id, status from orders')
    for (const { id, status } of rows) {
      counts[status]++
      if (status === 'accepted') accepted.add(id)
    }
  }
  return { stored: accepted.size, duplicated: counts.accepted - accepted.size, refused: counts.refused, pending: counts.pending }
}

/** One number an id, summed over the shards. */
async function numbersOf(shards: readonly Shard[], query: string): Promise<Map<string, number>> {
  const numbers = new Map<string, number>()
  for (const shard of shards) {
    const { rows } = await shard.aside.query<{ id: string; number: number }>(query)
    for (const { id, number } of rows) numbers.set(id, (numbers.get(id) ?? 0) + number)
  }
  return numbers
}
