/**
 * Hits in the process's own memory: each answer is the product asked for, or the benchmark fails.
 *
 * Such answers come without the event loop turning, so a caller hands it over now and then, as an application's requests do; otherwise the
 * run would never end, and nobody would hear of a change.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

const GETS_A_TURN = 256

export function nearHits(entry: Entry): Workload {
  return {
    ...entry,
    name: 'near-hits',
    title: 'hits in memory',
    unit: 'gets/s',
    inFlight: 1,
    callerOf: (contestant, { keys }) => {
      return async (turns) => {
        while (!turns.over) {
          for (let i = 0; i < GETS_A_TURN; i++) {
            const id = productOfTurn(turns.taken++, keys.length)
            const product = await contestant.get(keys[id]!)
            if (product?.id !== id) throw new Error(`needed product ${id}, but got: ${JSON.stringify(product)}`)
          }
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
    },
  }
}
