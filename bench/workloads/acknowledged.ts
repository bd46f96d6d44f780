/**
 * What a contestant has acknowledged to have written, so that a sample of it can be read back.
 *
 * Each write changes the product's stock, so that what is read back can only be the last write acknowledged: a contestant that acknowledges
 * and does not write fails the benchmark.
 */
import type { Contestant } from '../harness/contestant.ts'
import type { Catalogue } from '../harness/products.ts'

const STOCKS = 500
const SAMPLE = 200

export class Acknowledged {
  /** By product: the stock last acknowledged. Of one contestant, for each has a process of its own. */
  readonly #stocks = new Map<number, number>()

  /** Writes the product with another stock than before. */
  async write(contestant: Contestant, { keys, products }: Catalogue, id: number): Promise<void> {
    const product = products[id]!
    const stock = ((this.#stocks.get(id) ?? product.stock) + 1) % STOCKS
    await contestant.set(keys[id]!, { ...product, stock })
    this.#stocks.set(id, stock)
  }

  /** Rejects when a product of the sample is not there as it was written. */
  async check(contestant: Contestant, { keys }: Catalogue): Promise<void> {
    const written = [...this.#stocks]
    const step = Math.max(1, Math.floor(written.length / SAMPLE))
    for (let at = 0; at < written.length; at += step) {
      const [id, stock] = written[at]!
      const product = await contestant.get(keys[id]!)
      if (product?.id !== id || product.stock !== stock)
        throw new Error(`needed product ${id} with stock ${stock} as written, but got: ${JSON.stringify(product)}`)
    }
  }
}
