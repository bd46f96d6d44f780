/**
 * Orders over several shards: all or nothing, once, and never more than there is.
 *
 * 1. The order is written down as `pending` on its own shard.
 * 2. Each shard that holds some of its products sets them aside: one statement that locks the rows in order, and takes all of them or none.
 *    The reservation, kept under the order's id, makes a second try harmless.
 * 3. If every shard could, the order's own shard turns `pending` into `accepted` and keeps the lines; else into `refused`, and what was set
 *    aside is put back.
 *
 * The one decision is the change of that one row from `pending`: whoever comes second, such as a retried request, finds it made and follows
 * it. So an order that was begun can be carried on by anyone (`placeOrder` with the same id), and ends once.
 */
import { byShard, type Shard, shardOf } from './shards.ts'

export interface OrderLine {
  readonly productId: string
  readonly quantity: number
}

export interface OrderRequest {
  /** Chosen by the customer's side; the same id is the same order. */
  readonly id: string
  readonly userId: string
  /** No product twice. */
  readonly lines: readonly OrderLine[]
}

export interface OrderAnswer {
  readonly status: 'accepted' | 'refused'
  /** Of a refused order: the products of which there was too little. */
  readonly short: readonly string[]
}

/** An order as it can be looked at once it was answered. */
export interface PlacedOrder extends OrderAnswer {
  readonly id: string
  readonly userId: string
  readonly placedAt: string
  readonly lines: readonly OrderLine[]
}

/** The order's id is already that of another customer's order. */
export class OrderIdTaken extends Error {
  override readonly name = 'OrderIdTaken'
}

/** @throws OrderIdTaken; whatever the driver throws when a shard does not answer: the order can then be tried again under its id */
export async function placeOrder(shards: readonly Shard[], request: OrderRequest): Promise<OrderAnswer> {
  const home = shards[shardOf(request.id, shards.length)]!
  const { answer: earlier, lines } = await begin(home, request)
  if (earlier !== undefined) return earlier
  const parts = byShard(lines, ({ productId }) => productId, shards.length)
  const involved = shards.flatMap((shard, index) => (parts[index]!.length > 0 ? [{ shard, lines: parts[index]! }] : []))
  const short = (await Promise.all(involved.map((part) => reserve(part.shard, request.id, part.lines)))).flat()
  const answer = short.length === 0 ? await accept(home, request.id, lines.length) : await refuse(home, request.id, short)
  if (answer.status === 'refused') await Promise.all(involved.map(({ shard }) => release(shard, request.id)))
  return answer
}

/** @returns the answer that an order was given already, if it was */
export async function findOrder(shards: readonly Shard[], id: string): Promise<(OrderAnswer & { readonly userId: string }) | undefined> {
  const row = await read(shards[shardOf(id, shards.length)]!, id)
  return row?.answer === undefined ? undefined : { ...row.answer, userId: row.userId }
}

/** Ends the orders that a failure left `pending`: they are refused, and their reservations put back. @returns how many */
export async function settlePending(shards: readonly Shard[]): Promise<number> {
  let settled = 0
  for (const home of shards) {
    const { rows } = await home.aside.query<{ id: string }>("select id from orders where status = 'pending'")
    for (const { id } of rows) {
      const answer = await refuse(home, id, [])
      if (answer.status === 'refused') await Promise.all(shards.map((shard) => release(shard, id)))
      settled++
    }
  }
  return settled
}

/** Writes the order down. If it is there already, its first lines hold, and its answer if it has one. */
async function begin(home: Shard, order: OrderRequest): Promise<{ answer?: OrderAnswer | undefined; lines: readonly OrderLine[] }> {
  const { rowCount } = await home.pool.query({
    name: 'begin-order',
    text: `insert into orders (id, user_id, status, product_ids, quantities) values ($1, $2, 'pending', $3, $4) on conflict (id) do nothing`,
    values: [order.id, order.userId, order.lines.map(({ productId }) => productId), order.lines.map(({ quantity }) => quantity)],
  })
  if (rowCount === 1) return { lines: order.lines }
  const earlier = await read(home, order.id)
  if (earlier?.userId !== order.userId) throw new OrderIdTaken(`order ${order.id} is another customer's`)
  return earlier
}

interface OrderRow {
  readonly userId: string
  readonly answer: OrderAnswer | undefined
  readonly lines: readonly OrderLine[]
}

async function read(home: Shard, id: string): Promise<OrderRow | undefined> {
  const { rows } = await home.pool.query<{
    user_id: string
    status: string
    short: string[] | null
    product_ids: string[]
    quantities: number[]
  }>({
    name: 'read-order',
    text: 'select user_id, status, short, product_ids, quantities from orders where id = $1',
    values: [id],
  })
  const row = rows[0]
  if (row === undefined) return undefined
  const { status } = row
  return {
    userId: row.user_id,
    answer: status === 'accepted' || status === 'refused' ? { status, short: row.short ?? [] } : undefined,
    lines: row.product_ids.map((productId, index) => ({ productId, quantity: row.quantities[index]! })),
  }
}

const RESERVE = `
  with line as materialized (
    select * from unnest($2::text[], $3::int[]) as l(product_id, wanted)
  ), held as materialized (
    select s.product_id, s.quantity, l.wanted from stock s join line l using (product_id) order by s.product_id for update of s
  ), reservation as (
    insert into reservations (order_id, state, product_ids, quantities)
    select $1, 'reserved', $2, $3
    where (select count(*) = cardinality($2::text[]) and bool_and(quantity >= wanted) from held)
    on conflict (order_id) do nothing returning order_id
  ), taken as (
    update stock s set quantity = s.quantity - h.wanted from held h
    where s.product_id = h.product_id and exists (select from reservation) returning s.product_id
  )
  select product_id, true as taken from taken
  union all
  select line.product_id, false from line left join held h using (product_id)
  where coalesce(h.quantity < h.wanted, true) and not exists (select from reservation)`

/** @returns the products of which there is too little; none: all lines are set aside */
async function reserve(shard: Shard, orderId: string, lines: readonly OrderLine[]): Promise<string[]> {
  const productIds = lines.map(({ productId }) => productId)
  const quantities = lines.map(({ quantity }) => quantity)
  const { rows } = await shard.pool.query<{ product_id: string; taken: boolean }>({
    name: 'reserve',
    text: RESERVE,
    values: [orderId, productIds, quantities],
  })
  if (rows[0]?.taken === true) return []
  // Nothing was taken: because there is too little, or because an earlier try of this order has been here.
  const { rows: earlier } = await shard.pool.query<{ state: string }>('select state from reservations where order_id = $1', [orderId])
  if (earlier[0]?.state === 'reserved') return []
  return earlier[0]?.state === 'released' ? productIds : rows.map(({ product_id }) => product_id)
}

async function accept(home: Shard, id: string, lines: number): Promise<OrderAnswer> {
  const { rowCount } = await home.pool.query({
    name: 'accept-order',
    text: `with accepted as (
             update orders set status = 'accepted' where id = $1 and status = 'pending' returning id, product_ids, quantities
           )
           insert into order_lines (order_id, product_id, quantity)
           select a.id, l.product_id, l.quantity from accepted a, unnest(a.product_ids, a.quantities) as l(product_id, quantity)`,
    values: [id],
  })
  return rowCount === lines ? { status: 'accepted', short: [] } : await decided(home, id)
}

async function refuse(home: Shard, id: string, short: readonly string[]): Promise<OrderAnswer> {
  const { rowCount } = await home.pool.query({
    name: 'refuse-order',
    text: "update orders set status = 'refused', short = $2 where id = $1 and status = 'pending'",
    values: [id, short],
  })
  return rowCount === 1 ? { status: 'refused', short } : await decided(home, id)
}

/** The answer that someone else gave in the meantime. */
async function decided(home: Shard, id: string): Promise<OrderAnswer> {
  const answer = (await read(home, id))?.answer
  if (answer === undefined) throw new Error(`order ${id}: needs to be decided, but it is not there or still pending`)
  return answer
}

/** Locks in the order of `RESERVE`, stock first: the two may meet in one order that is tried twice at once. */
const RELEASE = `
  with line as materialized (
    select l.* from reservations, unnest(product_ids, quantities) as l(product_id, wanted) where order_id = $1 and state = 'reserved'
  ), held as materialized (
    select s.product_id, l.wanted from stock s join line l using (product_id) order by s.product_id for update of s
  ), released as (
    update reservations set state = 'released'
    where order_id = $1 and state = 'reserved' and exists (select from held) returning order_id
  )
  update stock s set quantity = s.quantity + h.wanted from held h where s.product_id = h.product_id and exists (select from released)`

async function release(shard: Shard, orderId: string): Promise<void> {
  await shard.pool.query({ name: 'release', text: RELEASE, values: [orderId] })
}
