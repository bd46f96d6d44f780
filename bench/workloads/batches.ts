/**
 * Reads of many keys by one call, where a library has one; by as many calls at once where it has none. A turn is a key.
 *
 * Each answer is parsed, and is the product asked for, or the benchmark fails.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

const IN_FLIGHT = 4

export function batches(size: number, entry: Entry): Workload {
  return {
    ...entry,
    name: `batch-${size}`,
    title: `batches of ${size.toLocaleString('en-US')}, ${IN_FLIGHT} in flight`,
    unit: 'keys/s',
    inFlight: IN_FLIGHT,
    callerOf: (contestant, { keys }) => {
      const all = (some: readonly string[]) => Promise.all(some.map((key) => contestant.get(key)))
      const getMany = contestant.getMany ?? all
      return async (turns) => {
        while (!turns.over) {
          const ids = Array.from({ length: size }, (_, nth) => productOfTurn(turns.taken + nth, keys.length))
          turns.taken += size
          const products = await getMany(ids.map((id) => keys[id]!))
          for (const [at, id] of ids.entries()) {
            if (products[at]?.id !== id) throw new Error(`needed product ${id}, but got: ${JSON.stringify(products[at])}`)
          }
        }
      }
    },
  }
}
