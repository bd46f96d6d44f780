/**
 * Look-ups in the process's own memory, at once and without a promise; what is not there is read as ever.
 *
 * A caller hands the event loop over now and then, as in `near-hits.ts`.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

const LOOKS_A_TURN = 256

export function nearPeeks(entry: Entry): Workload {
  return {
    ...entry,
    name: 'near-peeks',
    title: 'look-ups in memory, without a promise',
    unit: 'look-ups/s',
    inFlight: 1,
    callerOf: (contestant, { keys }) => {
      return async (turns) => {
        while (!turns.over) {
          for (let i = 0; i < LOOKS_A_TURN; i++) {
            const id = productOfTurn(turns.taken++, keys.length)
            const product = contestant.peek!(keys[id]!) ?? (await contestant.get(keys[id]!))
            if (product?.id !== id) throw new Error(`needed product ${id}, but got: ${JSON.stringify(product)}`)
          }
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
    },
  }
}
