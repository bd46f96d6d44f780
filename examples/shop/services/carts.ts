/**
 * Carts: what someone is about to buy, changed by compare-and-set on its row, answered with the names and prices of what changed.
 */

import { CARTS_TABLE } from '../database/schema.ts'
import { byShard, type Shard, shardOf } from '../database/shards.ts'
import { Avoided } from './avoided.ts'
import type { ShopCaches } from './caches.ts'
import { added, type Cart, type CartLine, type Change, replaced } from './cart.ts'
import { Refusal } from './refusal.ts'

export interface PricedLine extends CartLine {
  readonly name: string
  readonly currency: string
  readonly amount: number
}

export interface ChangedCart {
  readonly id: string
  /** Lines in the whole cart. */
  readonly lines: number
  readonly changed: readonly PricedLine[]
}

interface Price {
  readonly name: string
  readonly price: { readonly currency: string; readonly amount: number }
}

export class Carts {
  readonly #caches: ShopCaches
  readonly #shards: readonly Shard[]
  readonly #avoided: Avoided

  constructor(caches: ShopCaches, shards: readonly Shard[], avoided = new Avoided()) {
    this.#caches = caches
    this.#shards = shards
    this.#avoided = avoided
  }

  /** The whole cart with names and prices. */
  async show(id: string): Promise<{ id: string; userId: string; lines: readonly PricedLine[] }> {
    const { value: cart, outcome } = await this.#caches.carts.getWithOutcome(id)
    this.#avoided.read(outcome)
    if (cart === undefined) throw new Refusal(404, `there is no cart ${id}`)
    return {
      id,
      userId: cart.userId,
      lines: priced(cart.lines, await this.#caches.pages.getMany(cart.lines.map(({ productId }) => productId))),
    }
  }

  /** Adds to what is there. */
  add(id: string, userId: string, lines: readonly CartLine[]): Promise<ChangedCart> {
    return this.#change(id, userId, lines, added)
  }

  /** Sets a line's quantity; 0 takes it out. */
  set(id: string, userId: string, line: CartLine): Promise<ChangedCart> {
    return this.#change(id, userId, [line], replaced)
  }

  /** Prices and cart are read at the same time; the cart is written once both are known. */
  async #change(id: string, userId: string, lines: readonly CartLine[], change: Change): Promise<ChangedCart> {
    const pricing = this.#caches.pages.getMany(lines.map(({ productId }) => productId)).then((pages) => priced(lines, pages))
    pricing.catch(() => {})
    const cart = await this.#caches.carts.update(id, async (current) => {
      await pricing
      return { userId: current?.userId ?? userId, lines: change(current?.lines ?? [], lines) }
    })
    return { id, lines: cart.lines.length, changed: await pricing }
  }

  /** `set` without any cache: the same check of the row's version, and the same names and prices, from the database. */
  async setStraight(id: string, userId: string, line: CartLine): Promise<ChangedCart> {
    const shard = this.#shards[shardOf(id, this.#shards.length)]!
    for (;;) {
      const [prices, { rows }] = await Promise.all([
        this.#pricesStraight([line.productId]),
        shard.aside.query<{ value: Cart; version: string }>({
          name: 'read-cart',
          text: `select value, version from ${CARTS_TABLE.table} where id = $1`,
          values: [id],
        }),
      ])
      const changed = priced([line], prices)
      const cart: Cart = { userId: rows[0]?.value.userId ?? userId, lines: replaced(rows[0]?.value.lines ?? [], [line]) }
      const { rowCount } = await shard.aside.query({
        name: 'write-cart',
        text: `insert into ${CARTS_TABLE.table} as c (id, value, version) values ($1, $2, 1)
               on conflict (id) do update set value = excluded.value, version = c.version + 1 where c.version = $3`,
        values: [id, JSON.stringify(cart), rows[0]?.version ?? 0],
      })
      if (rowCount === 1) return { id, lines: cart.lines.length, changed }
    }
  }

  async #pricesStraight(ids: readonly string[]): Promise<Map<string, Price>> {
    const parts = byShard(ids, (id) => id, this.#shards.length)
    const prices = new Map<string, Price>()
    await Promise.all(
      this.#shards.map(async (shard, index) => {
        if (parts[index]!.length === 0) return
        const { rows } = await shard.aside.query<{ id: string; name: string; currency: string; amount: number }>({
          name: 'prices',
          text: `select p.id, p.name, c.currency, c.amount::float8 as amount
                 from products p join prices c on c.product_id = p.id where p.id = any($1::text[])`,
          values: [parts[index]],
        })
        for (const { id, name, currency, amount } of rows) prices.set(id, { name, price: { currency, amount } })
      }),
    )
    return prices
  }
}

function priced(lines: readonly CartLine[], prices: ReadonlyMap<string, Price>): PricedLine[] {
  return lines.map((line) => {
    const product = prices.get(line.productId)
    if (product === undefined) throw new Refusal(404, `there is no product ${line.productId}`)
    return { ...line, name: product.name, currency: product.price.currency, amount: product.price.amount }
  })
}
