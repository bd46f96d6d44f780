/**
 * Writes of whole products with a time to live, each acknowledged before the next.
 *
 * Ringtail's are versioned: a script on the server compares before it writes. The peers' are plain SETs.
 */
import { productOfTurn } from '../harness/products.ts'
import type { Workload } from '../harness/workload.ts'

/** @param bars by peer, how many times its figure is expected */
export function writes(inFlight: number, bars: Workload['bars'] = {}): Workload {
  return {
    name: `writes-${inFlight}`,
    title: `writes, ${inFlight} in flight`,
    unit: 'sets/s',
    inFlight,
    bars,
    callerOf: (contestant, { keys, products }) => {
      return async (turns) => {
        while (!turns.over) {
          const id = productOfTurn(turns.taken++, keys.length)
          await contestant.set(keys[id]!, products[id]!)
        }
      }
    },
  }
}
