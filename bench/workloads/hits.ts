/**
 * Reads of what is there: each answer is parsed, and is the product asked for, or the benchmark fails.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

export function hits(inFlight: number, entry: Entry): Workload {
  return {
    ...entry,
    name: `hits-${inFlight}`,
    title: `hits, ${inFlight} in flight`,
    unit: 'gets/s',
    inFlight,
    callerOf: (contestant, { keys }) => {
      return async (turns) => {
        while (!turns.over) {
          const id = productOfTurn(turns.taken++, keys.length)
          const product = await contestant.get(keys[id]!)
          if (product?.id !== id) throw new Error(`needed product ${id}, but got: ${JSON.stringify(product)}`)
        }
      }
    },
  }
}
