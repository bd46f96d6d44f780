/** Carries operations out both ways and keeps how long each took. See `improvement.ts` for where it runs and why. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Shard } from '../database/shards.ts'
import type { ShopCaches } from '../services/caches.ts'
import { Carts } from '../services/carts.ts'
import { ProductPages } from '../services/product-pages.ts'
import { Profiles } from '../services/profiles.ts'

export interface Improvement {
  readonly operation: 'product read' | 'user profile' | 'cart update'
  /** Medians. */
  readonly databaseMs: number
  readonly cacheMs: number
  /** databaseMs / cacheMs. */
  readonly times: number
  readonly samples: number
}

interface Operation {
  readonly name: Improvement['operation']
  readonly prepare?: () => Promise<unknown>
  /** Undefined: nothing to do it with yet. */
  readonly pick: () => string | undefined
  readonly straight: (id: string) => Promise<unknown>
  readonly cached: (id: string) => Promise<unknown>
}

const EVERY_MS = 100
const CART_LINES = 15
/** The first few of each are for connections, prepared statements and compiled code. */
const WARM_UP_PAIRS = 3
/** The newest so many are kept: what a long run was like lately. */
const KEPT_SAMPLES = 10_000

export class Probe {
  readonly #operations: readonly Operation[]
  readonly #samples = new Map<string, { straight: number[]; cached: number[] }>()
  readonly #stopping = new AbortController()

  /** @param recent ids of a product and a user that were just read */
  constructor(
    caches: ShopCaches,
    shards: readonly Shard[],
    productIds: readonly string[],
    recent: () => { product: string | undefined; user: string | undefined },
  ) {
    const pages = new ProductPages(caches, shards)
    const profiles = new Profiles(caches, shards)
    const carts = new Carts(caches, shards)
    const lines = productIds.slice(0, CART_LINES).map((productId) => ({ productId, quantity: 1 }))
    let turn = 0
    const next = () => ({ ...lines[++turn % lines.length]!, quantity: 1 + (turn % 9) })
    this.#operations = [
      { name: 'product read', pick: () => recent().product, straight: (id) => pages.readStraight(id), cached: (id) => pages.read(id) },
      { name: 'user profile', pick: () => recent().user, straight: (id) => profiles.readStraight(id), cached: (id) => profiles.read(id) },
      {
        name: 'cart update',
        prepare: () => Promise.all(['probe-straight', 'probe-cached'].map((id) => carts.add(id, 'probe', lines))),
        pick: () => 'probe',
        straight: (id) => carts.setStraight(`${id}-straight`, 'probe', next()),
        cached: (id) => carts.set(`${id}-cached`, 'probe', next()),
      },
    ]
    for (const { name } of this.#operations) this.#samples.set(name, { straight: [], cached: [] })
  }

  /** Resolves after `stop`. What fails is left out, and tried again later. */
  async run(): Promise<void> {
    for (const { prepare } of this.#operations) await prepare?.().catch(() => {})
    for (let turn = 0; !this.#stopping.signal.aborted; turn++) {
      const operation = this.#operations[turn % this.#operations.length]!
      const id = operation.pick()
      if (id !== undefined) await this.#measure(operation, id, turn % 2 === 0).catch(() => {})
      await sleep(EVERY_MS, undefined, { signal: this.#stopping.signal }).catch(() => {})
    }
  }

  stop(): void {
    this.#stopping.abort()
  }

  /** Only of operations that were measured. */
  results(): Improvement[] {
    return this.#operations.flatMap(({ name }) => {
      const { straight, cached } = this.#samples.get(name)!
      const from = straight.length > 2 * WARM_UP_PAIRS ? WARM_UP_PAIRS : 0
      if (straight.length === 0) return []
      const [databaseMs, cacheMs] = [median(straight.slice(from)), median(cached.slice(from))]
      return { operation: name, databaseMs, cacheMs, times: databaseMs / cacheMs, samples: straight.length - from }
    })
  }

  async #measure(operation: Operation, id: string, straightFirst: boolean): Promise<void> {
    const first = await timed(() => (straightFirst ? operation.straight(id) : operation.cached(id)))
    const second = await timed(() => (straightFirst ? operation.cached(id) : operation.straight(id)))
    const samples = this.#samples.get(operation.name)!
    samples.straight.push(straightFirst ? first : second)
    samples.cached.push(straightFirst ? second : first)
    for (const each of [samples.straight, samples.cached]) if (each.length > KEPT_SAMPLES) each.shift()
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await work()
  return performance.now() - startMs
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
