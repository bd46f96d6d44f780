/**
 * What takes part: Ringtail and the libraries it could be compared with.
 *
 * A peer file under `peers/` says how one library is set up, as that library's own documentation has it, and wraps it in these two calls.
 * The wrapping adds what an application would write itself and nothing else: for a plain client that is `JSON.parse` of the reply.
 */
import type { Product } from './products.ts'

export interface Contestant {
  get(key: string): Promise<Product | undefined>
  set(key: string, product: Product): Promise<unknown>
  /** Products in the order of the keys, or nothing in their place; undefined for those that have no such call. */
  getMany?(keys: readonly string[]): Promise<readonly (Product | null | undefined)[]>
  /** What is in the process's own memory, at once. */
  peek?(key: string): Product | undefined
  /** What is cached, or what `load` brings, cached for `ttlMs`; of those that have it. */
  getOrSet?(key: string, load: () => Promise<Product>, ttlMs: number): Promise<Product | undefined>
  /** What is there, changed by `change`, unless somebody else was quicker: then what he made of it. */
  update?(key: string, change: (product: Product) => Product): Promise<unknown>
  close(): Promise<unknown>
}

/** The servers a benchmark runs on. The first is shared by all; the others are for those that spread over several. */
export interface Ground {
  readonly urls: readonly string[]
  /** Of a PostgreSQL that waits for its disk; '' where no workload needs one. */
  readonly database: string
  /** How long what is set lives, ms: longer than any run. */
  readonly ttlMs: number
  /** How many products of 256 bytes there are; see `catalogue`. */
  readonly products: number
  /** Entries that caches in memory have room for. */
  readonly room: number
}

export interface Peer {
  readonly name: string
  /** Whose versions the report prints, as this workspace imports them. */
  readonly packages: readonly string[]
  /** The page of documentation that the set-up follows. */
  readonly page: string
  open(ground: Ground): Promise<Contestant>
}
