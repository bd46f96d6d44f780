/**
 * Turns carts into orders, and keeps what is shown of stock right.
 *
 * The database alone decides on an order (`database/orders.ts`). Then, before the customer hears of it, the cached stock of all its products
 * is loaded anew: never dropped, so that readers go on to hit, and ordered by the rows' versions, so that of two orders the later one's
 * stock stays, whichever refresh comes last.
 */
import { findOrder, type OrderAnswer, OrderIdTaken, type PlacedOrder, placeOrder } from '../database/orders.ts'
import { type Shard, shardOf } from '../database/shards.ts'
import { Avoided } from './avoided.ts'
import type { ShopCaches } from './caches.ts'
import { Refusal } from './refusal.ts'

export interface OrderForm {
  readonly orderId: string
  readonly cartId: string
  readonly userId: string
}

export class OrderDesk {
  readonly #caches: ShopCaches
  readonly #shards: readonly Shard[]
  readonly #avoided: Avoided

  constructor(caches: ShopCaches, shards: readonly Shard[], avoided = new Avoided()) {
    this.#caches = caches
    this.#shards = shards
    this.#avoided = avoided
  }

  /** Orders what is in the cart, once: the same order id is answered as it was the first time. @throws Refusal */
  async place({ orderId, cartId, userId }: OrderForm): Promise<OrderAnswer> {
    const { value: cart, outcome } = await this.#caches.carts.getWithOutcome(cartId)
    this.#avoided.read(outcome)
    if (cart === undefined || cart.lines.length === 0) return await this.#earlier(orderId, cartId, userId)
    const answer = await this.#placed({ id: orderId, userId, lines: cart.lines })
    const products = cart.lines.map(({ productId }) => productId)
    await Promise.all([
      // The order stands, whatever becomes of the caches; what could not be refreshed is old until its TTL is over.
      this.#caches.stock.refresh(products).catch(() => {}),
      answer.status === 'accepted' ? this.#caches.carts.delete(cartId).catch(() => {}) : undefined,
    ])
    return answer
  }

  async find(id: string): Promise<PlacedOrder> {
    let outcome: 'hit' | 'miss' = 'hit'
    const order = await this.#caches.orders.getOrSet(id, () => {
      outcome = 'miss'
      return this.#load(id)
    })
    this.#avoided.read(outcome)
    if (order === undefined) throw new Refusal(404, `there is no order ${id}`)
    return order
  }

  async #placed(order: Parameters<typeof placeOrder>[1]): Promise<OrderAnswer> {
    try {
      return await placeOrder(this.#shards, order)
    } catch (error) {
      if (error instanceof OrderIdTaken) throw new Refusal(422, error.message)
      throw error
    }
  }

  async #earlier(orderId: string, cartId: string, userId: string): Promise<OrderAnswer> {
    const earlier = await findOrder(this.#shards, orderId)
    if (earlier === undefined || earlier.userId !== userId)
      throw new Refusal(422, `an order needs something in the cart, but ${cartId} is empty`)
    return { status: earlier.status, short: earlier.short }
  }

  async #load(id: string): Promise<PlacedOrder | undefined> {
    const { pool } = this.#shards[shardOf(id, this.#shards.length)]!
    const { rows } = await pool.query<PlacedOrder>({
      name: 'find-order',
      text: `select o.id, o.user_id as "userId", o.status, coalesce(o.short, '{}') as short, o.placed_at as "placedAt",
               coalesce((select json_agg(json_build_object('productId', l.product_id, 'quantity', l.quantity)) from order_lines l where l.order_id = o.id), '[]') as lines
             from orders o where o.id = $1 and o.status <> 'pending'`,
      values: [id],
    })
    return rows[0]
  }
}
