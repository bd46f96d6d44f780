/** What the shop and its shoppers, who are another process, say to each other. */
import type { Orders } from '../data/events.ts'

export interface ShoppersTask {
  readonly services: { readonly product: string; readonly cart: string; readonly order: string }
  readonly productIds: readonly string[]
  /** Indexes of `productIds`, in the order in which they are read. */
  readonly reads: Int32Array
  /** Items are indexes of `productIds`, customers of `userIds`. */
  readonly orders: Orders
  readonly userIds: readonly string[]
  readonly guestId: string
  /** Shoppers at a time; each has one request under way. */
  readonly shoppers: number
  /** Requests per second to aim at; undefined: as fast as they are answered. */
  readonly rate: number | undefined
}

export type ToShoppers = { readonly kind: 'start'; readonly task: ShoppersTask } | { readonly kind: 'stop' }
export type FromShoppers = { readonly kind: 'ready' } | { readonly kind: 'progress' | 'done'; readonly tally: Tally }

/** How a product page was answered, as the service says. */
export const OUTCOMES = ['hit', 'stale', 'negative', 'miss'] as const
export type PageOutcome = (typeof OUTCOMES)[number]

/** Everything since the start; each message holds the whole. */
export interface Tally {
  requests: { total: number; failed: number; reads: number; writes: number }
  /** Product pages that were answered, by outcome. */
  pages: Record<PageOutcome, number>
  /** Product pages of which an earlier read had been answered before this one was sent; and how many of those came from the cache. */
  repeats: { reads: number; hits: number }
  /** Latencies of product pages as the shopper sees them, HTTP included: `LatencyHistogram` counts. */
  latency: { hit: Float64Array; miss: Float64Array }
  orders: { accepted: number; refused: number; sentAgain: number; answeredOtherwise: number; rounds: number }
  /** Whether the read trace had to be begun anew, and how often. */
  readRounds: number
  /** The last few failures, in words. */
  failures: string[]
}
