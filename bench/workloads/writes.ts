/**
 * Writes of whole products with a time to live, each acknowledged before the next; after each run a sample is read back.
 *
 * Each write changes the product's stock, so that what is read back can only be the last write acknowledged: a contestant that acknowledges
 * and does not write fails the benchmark. Ringtail's writes are versioned: a script on the server compares before it writes. The peers' are
 * plain SETs.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

const STOCKS = 500
const SAMPLE = 200

export function writes(inFlight: number, entry: Entry): Workload {
  /** By product: the stock last acknowledged. Of one contestant, for each has a process of its own. */
  const stocks = new Map<number, number>()
  return {
    ...entry,
    name: `writes-${inFlight}`,
    title: `writes, ${inFlight} in flight`,
    unit: 'sets/s',
    inFlight,
    callerOf: (contestant, { keys, products }) => {
      return async (turns) => {
        while (!turns.over) {
          const id = productOfTurn(turns.taken++, keys.length)
          const product = products[id]!
          const stock = ((stocks.get(id) ?? product.stock) + 1) % STOCKS
          await contestant.set(keys[id]!, { ...product, stock })
          stocks.set(id, stock)
        }
      }
    },
    check: async (contestant, { keys }) => {
      const written = [...stocks]
      const step = Math.max(1, Math.floor(written.length / SAMPLE))
      for (let at = 0; at < written.length; at += step) {
        const [id, stock] = written[at]!
        const product = await contestant.get(keys[id]!)
        if (product?.id !== id || product.stock !== stock)
          throw new Error(`needed product ${id} with stock ${stock} as written, but got: ${JSON.stringify(product)}`)
      }
    },
  }
}
