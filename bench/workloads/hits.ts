/**
 * Reads of what is there: each answer is parsed, and is the product asked for, or the benchmark fails.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Workload } from '../harness/workload.ts'

/** @param bars by peer, how many times its figure is expected */
export function hits(inFlight: number, bars: Workload['bars'] = {}): Workload {
  return {
    name: `hits-${inFlight}`,
    title: `hits, ${inFlight} in flight`,
    unit: 'gets/s',
    inFlight,
    bars,
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
