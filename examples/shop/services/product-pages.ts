/**
 * Reading a product: the page and its stock, from two caches in parallel, or straight from the database in one statement.
 */
import type { ReadOutcome } from 'ringtail'
import { PAGES_WITH_STOCK, type ProductPage, pageOf } from '../database/product-page.ts'
import { type Shard, shardOf } from '../database/shards.ts'
import { Recent } from '../measure/recent.ts'
import { Avoided } from './avoided.ts'
import type { ShopCaches } from './caches.ts'

export type Outcome = ReadOutcome<unknown>['outcome']

export interface ShownProduct extends ProductPage {
  readonly id: string
  readonly stock: number
}

export interface ProductRead {
  /** Undefined: there is no such product. */
  readonly product: ShownProduct | undefined
  /** The less favourable of page and stock: a hit is a hit in both. */
  readonly outcome: Outcome
}

const FROM_WORST: readonly Outcome[] = ['miss', 'stale', 'negative', 'hit']

export class ProductPages {
  readonly #caches: ShopCaches
  readonly #shards: readonly Shard[]
  readonly #avoided: Avoided
  readonly recent = new Recent()

  constructor(caches: ShopCaches, shards: readonly Shard[], avoided = new Avoided()) {
    this.#caches = caches
    this.#shards = shards
    this.#avoided = avoided
  }

  async read(id: string): Promise<ProductRead> {
    const [page, stock] = await Promise.all([this.#caches.pages.getWithOutcome(id), this.#caches.stock.getWithOutcome(id)])
    const outcome = FROM_WORST.find((each) => each === page.outcome || each === stock.outcome) ?? 'miss'
    this.#avoided.read(outcome)
    if (page.value === undefined || stock.value === undefined) return { product: undefined, outcome }
    this.recent.add(id)
    return { product: { id, ...page.value, stock: stock.value.quantity }, outcome }
  }

  /** The same product without any cache: what a service without a tier would do. */
  async readStraight(id: string): Promise<ShownProduct | undefined> {
    const shard = this.#shards[shardOf(id, this.#shards.length)]!
    const { rows } = await shard.aside.query<{ quantity: number }>({ name: 'page-with-stock', text: PAGES_WITH_STOCK, values: [[id]] })
    return rows[0] === undefined ? undefined : { id, ...pageOf(rows[0] as unknown as Record<string, unknown>), stock: rows[0].quantity }
  }
}
