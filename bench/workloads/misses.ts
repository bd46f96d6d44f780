/**
 * Misses: each key is new, and is loaded by a loader that answers at once; so what is measured is what the cache adds to a load.
 *
 * Ringtail leases a key before it loads it, so that no other process loads it too, and fills it under that lease. Beside it stands Ringtail
 * with plain values, which have no leases: the difference is what a lease costs.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Entry, Workload } from '../harness/workload.ts'

/** Short: what is missed once is not asked for again. */
const TTL_MS = 5_000

export function misses(inFlight: number, entry: Entry): Workload {
  let runs = 0
  return {
    ...entry,
    name: `misses-${inFlight}`,
    title: `misses, ${inFlight} in flight`,
    unit: 'loads/s',
    inFlight,
    needsNothing: true,
    callerOf: (contestant, { keys, products }) => {
      const run = `${process.pid}-${++runs}`
      return async (turns) => {
        while (!turns.over) {
          const turn = turns.taken++
          const product = products[productOfTurn(turn, keys.length)]!
          const loaded = await contestant.getOrSet!(`miss:${run}:${turn}`, async () => product, TTL_MS)
          if (loaded?.id !== product.id) throw new Error(`needed product ${product.id}, but got: ${JSON.stringify(loaded)}`)
        }
      }
    },
  }
}
