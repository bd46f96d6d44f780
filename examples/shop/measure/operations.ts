/** What is measured: three operations of the shop, each straight on the database and through the tier, by the services' own code. */
import type { Shard } from '../database/shards.ts'
import type { ShopCaches } from '../services/caches.ts'
import { Carts } from '../services/carts.ts'
import { ProductPages } from '../services/product-pages.ts'
import { Profiles } from '../services/profiles.ts'

export interface Operation {
  readonly name: 'product read' | 'user profile' | 'cart update'
  /** Once, before all. */
  readonly prepare?: () => Promise<unknown>
  /** What to do it with; undefined: nothing yet. */
  readonly pick: () => string | undefined
  /** Before each pair, not measured. */
  readonly before?: (id: string) => Promise<unknown>
  readonly straight: (id: string) => Promise<unknown>
  readonly cached: (id: string) => Promise<unknown>
}

export interface Surroundings {
  readonly caches: ShopCaches
  readonly shards: readonly Shard[]
  readonly productIds: readonly string[]
  /** Ids of a product and a user that were just read by a shopper. */
  readonly recent: () => { readonly product: string | undefined; readonly user: string | undefined }
  /** Whether what shoppers have just read lies on the nodes of these caches; if not, it is read once before each pair. */
  readonly sharesNodes: boolean
}

const CART_LINES = 15
/** `~` is in no id of an event log. */
const CARTS = { straight: '~probe-straight', cached: '~probe-cached', user: '~probe' }

export function operationsOf({ caches, shards, productIds, recent, sharesNodes }: Surroundings): Operation[] {
  const pages = new ProductPages(caches, shards)
  const profiles = new Profiles(caches, shards)
  const carts = new Carts(caches, shards)
  const lines = productIds.slice(0, CART_LINES).map((productId) => ({ productId, quantity: 1 }))
  let turn = 0
  const next = () => ({ ...lines[++turn % lines.length]!, quantity: 1 + (turn % 9) })
  const first = (read: (id: string) => Promise<unknown>) => (sharesNodes ? {} : { before: read })
  return [
    {
      name: 'product read',
      pick: () => recent().product,
      ...first((id) => pages.read(id)),
      straight: (id) => pages.readStraight(id),
      cached: (id) => pages.read(id),
    },
    {
      name: 'user profile',
      pick: () => recent().user,
      ...first((id) => profiles.read(id)),
      straight: (id) => profiles.readStraight(id),
      cached: (id) => profiles.read(id),
    },
    {
      name: 'cart update',
      prepare: () => Promise.all([CARTS.straight, CARTS.cached].map((id) => carts.add(id, CARTS.user, lines))),
      pick: () => CARTS.user,
      straight: () => carts.setStraight(CARTS.straight, CARTS.user, next()),
      cached: () => carts.set(CARTS.cached, CARTS.user, next()),
    },
  ]
}
