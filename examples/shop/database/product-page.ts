/**
 * The product page, as the database tells it: product, price and reviews joined and aggregated.
 *
 * Stock changes with every order and the rest hardly ever, so they are cached apart: a page is kept for minutes while its stock is always
 * that of the last order. Straight from the database, both come in one statement (`PAGE_WITH_STOCK`).
 */
export interface ProductPage {
  readonly name: string
  readonly brand: string | null
  readonly category: readonly string[]
  readonly description: string | null
  readonly images: readonly string[]
  readonly specs: readonly { readonly key: string | null; readonly value: string }[]
  readonly price: { readonly currency: string; readonly amount: number; readonly retail: number | null }
  readonly reviews: {
    readonly count: number
    readonly average: number | null
    readonly latest: readonly { readonly rating: number; readonly words: string; readonly writtenAt: string }[]
  }
}

export interface StockLevel {
  readonly quantity: number
}

const COLUMNS = `
  p.id, p.name, p.brand, p.category, p.description, p.images, p.specs,
  json_build_object('currency', c.currency, 'amount', c.amount, 'retail', c.retail) as price,
  json_build_object('count', r.count, 'average', r.average, 'latest', coalesce(l.latest, '[]'::json)) as reviews`

const TABLES = `
  products p
  join prices c on c.product_id = p.id
  cross join lateral (select count(*)::int as count, round(avg(rating), 2)::float8 as average from reviews where product_id = p.id) r
  cross join lateral (
    select json_agg(json_build_object('rating', n.rating, 'words', n.words, 'writtenAt', n.written_at)) as latest
    from (select * from reviews where product_id = p.id order by written_at desc limit 3) n
  ) l`

/** `$1`: ids. A row a product, without its stock. */
export const PAGES = `select ${COLUMNS} from ${TABLES} where p.id = any($1)`

/** `$1`: ids. A row a product, with `quantity`, its stock. */
export const PAGES_WITH_STOCK = `select ${COLUMNS}, s.quantity from ${TABLES} join stock s on s.product_id = p.id where p.id = any($1::text[])`

/** @param row of `PAGES` or `PAGES_WITH_STOCK` */
export function pageOf(row: Record<string, unknown>): ProductPage {
  const { id: _, quantity: __, ...page } = row
  return page as unknown as ProductPage
}
